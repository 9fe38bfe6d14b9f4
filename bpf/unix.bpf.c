// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * Ways out, as the kernel itself knows them: a unix socket by its file, or by its name where it has no file; a file
 * that cron or at reads; a process that goes to another cgroup, or begins in one. The programs stand before the
 * kernel's security hooks, as those of files.bpf.c do.
 */
#include "identify.h"
#include "scope.h"
#include "ways_out.h"

#include <bpf/bpf_tracing.h>

/* The same answer, in the range that the verifier allows. */
static __always_inline int answer(int settled)
{
	return settled ? -EBG_EACCES : 0;
}

static __always_inline int on_socket(enum ebg_hook hook, const struct sock *listener)
{
	const struct unix_sock *to = (const void *)listener;
	const struct unix_address *address = BPF_CORE_READ(to, addr);
	const struct dentry *file = BPF_CORE_READ(to, path.dentry);
	struct scratch *s;
	__u64 ruling = 0;
	int settled;

	if (!address)
		return 0; /* one of a pair, or a socket that answers a client */
	s = claim();
	if (!s)
		return answer(settle_unread_way_out(hook));
	begin(s);
	if (file) {
		ruling = inode_ruling(file);
		if (spell((__u64)file, mount_around((__u64)BPF_CORE_READ(to, path.mnt)), FORGET(s->slot)))
			begin(s);
	} else {
		__u8 first = take_address(s, &address->name[0].sun_path, BPF_CORE_READ(address, len) - sizeof(__u16));

		spell_text(s, first == '@' ? '@' : 0);
	}
	settled = settle_way_out(hook, FORGET(s->slot), ruling);
	release(s);
	return answer(settled);
}

SEC("fmod_ret/security_unix_stream_connect")
int BPF_PROG(ebg_unix_stream, struct sock *from, struct sock *to)
{
	return is_concerned() ? on_socket(EBG_HOOK_UNIX, to) : 0;
}

SEC("fmod_ret/security_unix_may_send")
int BPF_PROG(ebg_unix_send, struct socket *from, struct socket *to)
{
	return is_concerned() ? on_socket(EBG_HOOK_UNIX_SEND, BPF_CORE_READ(to, sk)) : 0;
}

/* Is it a file of a cgroup that takes the numbers of processes or threads, and moves them into the cgroup? */
static __always_inline int moves_processes(const struct dentry *file)
{
	__u64 name[2] = {}, processes[2] = {}, threads[2] = {};

	__builtin_memcpy(processes, "cgroup.procs", sizeof("cgroup.procs"));
	__builtin_memcpy(threads, "cgroup.threads", sizeof("cgroup.threads"));
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, d_name.name));
	return (name[0] == processes[0] && name[1] == processes[1]) ||
	       (name[0] == threads[0] && name[1] == threads[1]);
}

static __always_inline int is_below_guard(const struct dentry *file)
{
	int i;

	for (i = 0; i < EBG_DEPTH; i++) {
		const struct dentry *directory = BPF_CORE_READ(file, d_parent);

		if (rule_of(inode_ruling(directory)) == EBG_RULE_INSIDE)
			return 1;
		if (directory == file)
			break;
		file = directory;
	}
	return 0;
}

/* The ruling over a file that is opened for writing: itself, or its directory. */
static __always_inline __u64 writing_ruling(const struct dentry *file)
{
	if (BPF_CORE_READ(file, d_sb, s_magic) == EBG_CGROUP2)
		return moves_processes(file) && !is_below_guard(file) ? judge_leaving(configuration()) : 0;
	return judge_writing(inode_ruling(file) ?: inode_ruling(BPF_CORE_READ(file, d_parent)));
}

SEC("fmod_ret/security_file_open")
int BPF_PROG(ebg_way_open, struct file *file)
{
	const struct dentry *dentry;
	struct scratch *s;
	__u64 ruling;
	int settled;

	if (!(file->f_flags & EBG_FOR_WRITING) || !is_concerned())
		return 0;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	ruling = writing_ruling(dentry);
	if (!ruling)
		return 0;
	s = claim();
	if (!s)
		return answer(settle_unread_way_out(EBG_HOOK_WAY_OPEN));
	begin(s);
	if (spell((__u64)dentry, mount_around((__u64)BPF_CORE_READ(file, f_path.mnt)), FORGET(s->slot)))
		begin(s);
	settled = settle_way_out(EBG_HOOK_WAY_OPEN, FORGET(s->slot), ruling);
	release(s);
	return answer(settled);
}

/* Sees a child that begins in another cgroup. The hook does not know in which one. */
SEC("fmod_ret/security_task_alloc")
int BPF_PROG(ebg_way_clone, struct task_struct *child, unsigned long flags)
{
	struct scratch *s;
	__u64 ruling;
	int settled;

	if (!(flags & EBG_INTO_CGROUP) || !is_concerned())
		return 0;
	ruling = judge_clone(configuration(), flags);
	s = claim();
	if (!s)
		return answer(settle_unread_way_out(EBG_HOOK_WAY_CLONE));
	__builtin_memset(s->name, 0, sizeof(s->name));
	__builtin_memcpy(s->name, "clone3(2", 8); /* in words: a text would need a map of its own */
	__builtin_memcpy(s->name + 8, ") into a", 8);
	__builtin_memcpy(s->name + 16, " cgroup", 8);
	spell_text(s, 0);
	settled = settle_way_out(EBG_HOOK_WAY_CLONE, FORGET(s->slot), ruling);
	release(s);
	return answer(settled);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
