// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * Unix sockets, for kernels on which programs can't stand before security hooks. These are programs of the cgroup: they
 * need Linux 6.7, and see the path that a process gives. They are an object of their own, because older libraries do
 * not know bpf_cast_to_kern_ctx.
 */
#include "ways_out.h"

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

/* Spells the current directory of the process in front of the path that the process gave. */
static __always_inline void spell_directory(struct scratch *s)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (spell((__u64)BPF_CORE_READ(task, fs, pwd.dentry), mount_around((__u64)BPF_CORE_READ(task, fs, pwd.mnt)),
		  FORGET(s->slot)))
		begin(s);
}

static __always_inline int on_unix(enum ebg_hook hook, struct bpf_sock_addr *ctx)
{
	struct bpf_sock_addr_kern *kern = bpf_cast_to_kern_ctx(ctx);
	/* behind it, bytes of an earlier call are left */
	__u32 length = kern->uaddrlen - sizeof(__u16);
	struct scratch *s = claim();
	__u8 first;
	int settled;

	if (!s) {
		settled = settle_unread_way_out(hook);
	} else {
		first = take_address(s, (const void *)kern->uaddr + sizeof(__u16), length);
		spell_text(s, !first || first == '/' ? 0 : first == '@' ? '@' : '/');
		if (first && first != '/' && first != '@')
			spell_directory(s);
		settled = settle_way_out(hook, FORGET(s->slot), 0);
		release(s);
	}
	return settled ? refuse_with(EBG_EACCES) : EBG_PASS;
}

PROGRAM("unix/connect", ebg_connect_un)(struct bpf_sock_addr *ctx)
{
	return on_unix(EBG_HOOK_UNIX, ctx);
}

PROGRAM("unix/sendmsg", ebg_sendmsg_un)(struct bpf_sock_addr *ctx)
{
	return on_unix(EBG_HOOK_UNIX_SEND, ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
