// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * Files. They have an object of their own, because it needs kernel functions that programs may answer for. It is loaded
 * only where rules name files, or where allowed accesses are observed.
 *
 * The programs stand before the kernel's security hooks (fmod_ret), or are loaded as hooks of its BPF security module:
 * security_hooks.py chooses. The kernel runs them for every process of the host, so they first ask whether the process is
 * in the guard. If a program returns another number than 0, that is the answer of the hook.
 */
#include "identify.h"
#include "record.h"
#include "scope.h"
#include "tree.h"

#include <bpf/bpf_tracing.h>

/* Records an access that is denied or observed, and answers for the hook. A global function: it takes numbers alone. */
FUNCTION(int, settle_file, __u32 hook, __u32 kind, __u64 ruling, __u64 entry, __u64 mount)
{
	const struct ebg_config *config = configuration();
	struct access access = { .hook = hook,
				 .to.kind = kind,
				 .it = judgement_of(ruling) };
	struct scratch *s;
	int answer;

	if (!config)
		return -EBG_EACCES;
	s = claim();
	if (s)
		begin(s);
	if (s && spell(entry, mount, FORGET(s->slot)) == 0) {
		access.name_hash = spelled_hash(FORGET(s->slot));
		keep_path(s);
		access.name = s->name;
	}
	answer = settle(config, &access) == EBG_PASS ? 0 : -EBG_EACCES;
	if (s)
		release(s);
	return answer;
}

/* Counts an access, and has few of them recorded. Returns an answer whose range the verifier knows. */
static __always_inline int conclude(enum ebg_hook hook, enum ebg_kind kind, __u64 ruling, const struct wanted *wanted)
{
	const struct ebg_config *config = configuration();

	if (!config)
		return -EBG_EACCES;
	if (ruling & RULING_DENY || rule_of(ruling) == EBG_RULE_CANARY ||
	    (config->observe && (kind == EBG_KIND_EXEC || ruling & RULING_REMOTE)))
		return settle_file(hook, kind, ruling, entry_of(wanted), mount_of(wanted)) ? -EBG_EACCES : 0;
	count(kind * EBG_VERDICTS + EBG_VERDICT_ALLOWED);
	return 0;
}

static __always_inline int on_file(enum ebg_hook hook, const struct wanted *wanted)
{
	const struct ebg_filter *known = filter();

	if (!known)
		return -EBG_EACCES;
	return conclude(hook, EBG_KIND_FILE, file_ruling(known, wanted), wanted);
}

static __always_inline struct wanted wanted_file(struct file *file)
{
	return (struct wanted){ .dentry = file->f_path.dentry,
				.mnt = file->f_path.mnt,
				.entry_at = &file->f_path.dentry,
				.mount_at = &file->f_path.mnt };
}

/* `argument`: the program's argument that holds the address of the entry. */
static __always_inline int on_entry(enum ebg_hook hook, const struct path *directory, struct dentry *dentry,
				    const __u64 *argument)
{
	struct wanted wanted = { .dentry = dentry,
				 .mnt = directory->mnt,
				 .entry_at = argument,
				 .mount_at = &directory->mnt };

	return on_file(hook, &wanted);
}

SEC("fmod_ret/security_file_open")
int BPF_PROG(ebg_file_open, struct file *file)
{
	const struct ebg_filter *known = filter();
	struct wanted wanted;
	__u64 ruling;

	if (!is_concerned())
		return 0;
	if (!known)
		return -EBG_EACCES;
	wanted = wanted_file(file);
	ruling = file_ruling(known, &wanted);
	/* An execution opens several files, its loader for one. ebg_exec counts the execution. */
	if (file->f_flags & EBG_FOR_EXEC)
		return ruling & RULING_DENY ? conclude(EBG_HOOK_OPEN, EBG_KIND_EXEC, ruling, &wanted) : 0;
	return conclude(EBG_HOOK_OPEN, EBG_KIND_FILE, ruling, &wanted);
}

SEC("fmod_ret/security_path_truncate")
int BPF_PROG(ebg_truncate, const struct path *path)
{
	struct wanted wanted = { .dentry = path->dentry,
				 .mnt = path->mnt,
				 .entry_at = &path->dentry,
				 .mount_at = &path->mnt };

	if (!is_concerned())
		return 0;
	return on_file(EBG_HOOK_TRUNCATE, &wanted);
}

#define ON_ENTRY(name, HOOK)                                                                   \
	SEC("fmod_ret/security_path_" #name)                                                   \
	int BPF_PROG(ebg_##name, const struct path *directory, struct dentry *dentry)     \
	{                                                                                      \
		return is_concerned() ? on_entry(EBG_HOOK_##HOOK, directory, dentry, ctx + 1) : 0; \
	}

ON_ENTRY(mknod, MKNOD)
ON_ENTRY(mkdir, MKDIR)
ON_ENTRY(rmdir, RMDIR)
ON_ENTRY(unlink, UNLINK)
ON_ENTRY(symlink, SYMLINK)

/* A link stays on the file system where it is made, so the file itself is seen through the same mount. */
SEC("fmod_ret/security_path_link")
int BPF_PROG(ebg_link, struct dentry *old, const struct path *directory, struct dentry *dentry)
{
	if (!is_concerned())
		return 0;
	return on_entry(EBG_HOOK_LINK, directory, old, ctx) ?: on_entry(EBG_HOOK_LINK, directory, dentry, ctx + 2);
}

SEC("fmod_ret/security_path_rename")
int BPF_PROG(ebg_rename, const struct path *old_directory, struct dentry *old, const struct path *directory,
	     struct dentry *dentry)
{
	if (!is_concerned())
		return 0;
	return on_entry(EBG_HOOK_RENAME, old_directory, old, ctx + 1) ?:
	       on_entry(EBG_HOOK_RENAME, directory, dentry, ctx + 3);
}

/* Sees the program that is being executed; for a script, the interpreter. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(ebg_exec, struct task_struct *task, int pid, struct linux_binprm *program)
{
	const struct ebg_filter *known = filter();
	struct wanted wanted;
	__u64 ruling;

	if (!is_concerned() || !known)
		return 0;
	wanted = wanted_file(program->file);
	ruling = file_ruling(known, &wanted);
	/* a denied program was recorded when it was opened, unless the tracepoint alone sees executions */
	if (!(ruling & RULING_DENY) || known->traced)
		conclude(EBG_HOOK_EXEC, EBG_KIND_EXEC, ruling, &wanted);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
