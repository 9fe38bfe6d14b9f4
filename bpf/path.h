/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Files, and the rules for them.
 *
 * From a file up to the root, each step is looked at in two ways: as what it is (its inode, the same through bind
 * mounts, hard links, other roots and namespaces), and by its path (so that what is made later, or takes another's
 * place, is met too). The step that is nearest to the file decides.
 *
 * Nearly every step is of no rule, and a filter says so at once. On the file's own mount the steps are loads whose types
 * the verifier knows; what lies beyond, and paths, are read by global functions, which take numbers alone.
 */
#ifndef EBG_PATH_H
#define EBG_PATH_H

#include "hash.h"
#include "scratch.h"

#define EBG_DEPTH 64  /* directories that are followed; what lies deeper can't be judged */
#define EBG_TEXT 256  /* bytes of a part of a path; file systems allow 255 */

/* The rules, filled before a program attaches, as those in maps.h; the loader sets the sizes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_filter);
} ebg_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* the hash of a path */
	__type(value, struct ebg_file_rule);
} ebg_paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_inode);
	__type(value, struct ebg_file_rule);
} ebg_inodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_filesystem);
	__type(value, struct ebg_file_rule);
} ebg_types SEC(".maps");

/* What the rules say, in one number: 0 for nothing. */
enum said {
	SAID = 1,
	SAID_DENY = 2,
	SAID_REMOTE = 4, /* the file comes over a network */
	SAID_RULE_SHIFT = 3,
};

#define SAID_UNREADABLE ((__u64)EBG_RULE_UNREADABLE << SAID_RULE_SHIFT | SAID_DENY | SAID)

static __always_inline __u64 said_by(const struct ebg_file_rule *rule)
{
	return rule ? (__u64)rule->rule << SAID_RULE_SHIFT | (rule->remote ? SAID_REMOTE : 0) |
			      (rule->deny ? SAID_DENY : 0) | SAID :
		      0;
}

static __always_inline const struct ebg_filter *filter(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ebg_filter, &zero);
}

/* Is this place of the filter set? `hash`: its upper half is as good as any. */
static __always_inline int is_set(const __u64 *words, __u64 hash)
{
	__u32 place = hash >> 32;

	return words[BELOW(EBG_FILTER, place >> 6)] >> (place & 63) & 1;
}

/*
 * Writes the path as it is seen from the root of its mount namespace to the end of the slot's message, and its start to
 * s->cursor. -1 where it has none, or is too long.
 */
__noinline int spell(__u64 dentry_address, __u64 mount_address, __u32 slot)
{
	struct dentry *dentry = (void *)dentry_address;
	struct mount *mount = (void *)mount_address;
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return -1;
	FORGET(s->cursor) = EBG_MESSAGE;
	for (i = 0; i < 2 * EBG_DEPTH; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		__u32 length = BPF_CORE_READ(dentry, d_name.len), cursor = FORGET(s->cursor);

		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount)
				break;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		if ((dentry == parent) | (length >= EBG_TEXT) | (cursor <= length))
			return -1;
		cursor -= length + 1;
		s->message[BELOW(EBG_MESSAGE, cursor)] = '/';
		if (bpf_probe_read_kernel(s->message + BELOW(EBG_MESSAGE, cursor) + 1, BELOW(EBG_TEXT, length),
					  BPF_CORE_READ(dentry, d_name.name)) < 0)
			return -1;
		FORGET(s->cursor) = cursor;
		dentry = parent;
	}
	/* what the kernel keeps for itself is in no namespace, and has no path */
	if (i == 2 * EBG_DEPTH || (long)BPF_CORE_READ(mount, mnt_ns) >= EBG_LAST_ERROR)
		return -1;
	if (FORGET(s->cursor) == EBG_MESSAGE) {
		s->message[EBG_MESSAGE - 1] = '/';
		FORGET(s->cursor) = EBG_MESSAGE - 1;
	}
	return 0;
}

static __always_inline __u64 word_of(const struct scratch *s, __u32 index)
{
	return *(__u64 *)(s->message + 8 * BELOW(EBG_MESSAGE / 8, index));
}

/* The hash of the path that was spelled, as _files.py makes it: whole words up to its end, zeros before its start. */
__noinline __u64 spelled_hash(__u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i, cursor, before;

	if (!s)
		return 0;
	cursor = FORGET(s->cursor);
	before = 8 * (cursor & 7); /* bits */
	FORGET(s->hash) = mixed(EBG_HASH_SEED, word_of(s, cursor >> 3) >> before << before);
	FORGET(s->position) = (cursor >> 3) + 1;
	for (i = 0; i < EBG_MESSAGE / 8; i++) {
		__u32 position = FORGET(s->position);

		if (position >= EBG_MESSAGE / 8)
			break;
		FORGET(s->hash) = mixed(FORGET(s->hash), word_of(s, position));
		FORGET(s->position) = position + 1;
	}
	return mixed(FORGET(s->hash), EBG_MESSAGE - cursor);
}

/* May the rules know a file by its inode's number, or one whose last part of the path has this length? */
static __always_inline int may_be_known(const struct ebg_filter *known, __u64 number, __u32 length)
{
	/* no branch: the verifier would follow both, at each step */
	return is_set(known->inodes, mixed(EBG_HASH_SEED, number)) |
	       (known->lengths[BELOW(EBG_LENGTHS, length >> 6)] >> (length & 63) & 1);
}

static __always_inline __u64 judge_inode(const struct dentry *dentry)
{
	const struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct ebg_inode key = { BPF_CORE_READ(inode, i_ino), BPF_CORE_READ(inode, i_sb, s_dev),
				 BPF_CORE_READ(inode, i_generation) };

	return said_by(bpf_map_lookup_elem(&ebg_inodes, &key));
}

static __always_inline __u64 judge_path(const struct ebg_filter *known, const struct dentry *dentry, __u64 mount)
{
	__u32 length = BPF_CORE_READ(dentry, d_name.len);
	__u64 start = 0, hash, said = 0;
	struct scratch *s;

	if (length > sizeof(start))
		length = sizeof(start);
	bpf_probe_read_kernel(&start, BELOW(16, length), BPF_CORE_READ(dentry, d_name.name));
	if (!is_set(known->names, mixed(EBG_HASH_SEED, start)))
		return 0;
	s = claim();
	if (!s)
		return SAID_UNREADABLE;
	if (spell((__u64)dentry, mount, FORGET(s->slot)) == 0) {
		hash = spelled_hash(FORGET(s->slot));
		said = said_by(bpf_map_lookup_elem(&ebg_paths, &hash));
	}
	release(s);
	return said;
}

/* On a tie, deny. */
static __always_inline __u64 stricter(__u64 one, __u64 other)
{
	return one & SAID_DENY || !other ? one : other;
}

/* What the rules say of this very file or directory. */
__noinline __u64 judge_step(__u64 dentry_address, __u64 mount)
{
	const struct dentry *dentry = (void *)dentry_address;
	const struct ebg_filter *known = filter();

	if (!known)
		return SAID_UNREADABLE;
	return stricter(judge_inode(dentry), judge_path(known, dentry, mount));
}

static __always_inline int is_topmost(const struct mount *mount)
{
	return BPF_CORE_READ(mount, mnt_parent) == mount;
}

/* From the place where a mount hangs upwards. */
__noinline __u64 judge_above(__u64 mount_address)
{
	struct mount *mount = (void *)mount_address, *above = BPF_CORE_READ(mount, mnt_parent);
	const struct ebg_filter *known = filter();
	struct dentry *dentry, *parent;
	__u64 said;
	__u32 i;

	if (!known)
		return SAID_UNREADABLE;
	if (above == mount)
		return 0;
	dentry = BPF_CORE_READ(mount, mnt_mountpoint);
	mount = above;
	for (i = 0; i < EBG_DEPTH; i++) {
		int at_root = dentry == BPF_CORE_READ(mount, mnt.mnt_root);

		if (at_root && is_topmost(mount))
			return 0; /* no rule names the root of everything */
		if (may_be_known(known, BPF_CORE_READ(dentry, d_inode, i_ino), BPF_CORE_READ(dentry, d_name.len))) {
			said = judge_step((__u64)dentry, (__u64)mount);
			if (said)
				return said;
		}
		if (at_root) {
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = BPF_CORE_READ(mount, mnt_parent);
			continue;
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry)
			return 0;
		dentry = parent;
	}
	return SAID_UNREADABLE;
}

/* What the rules for types of file systems say. */
__noinline __u64 judge_type(__u64 super_block)
{
	const struct super_block *sb = (void *)super_block;
	const char *subtype = BPF_CORE_READ(sb, s_subtype);
	struct ebg_filesystem key = {};
	const struct ebg_file_rule *rule;

	bpf_probe_read_kernel_str(key.type, sizeof(key.type), BPF_CORE_READ(sb, s_type, name));
	if (subtype)
		bpf_probe_read_kernel_str(key.subtype, sizeof(key.subtype), subtype);
	rule = bpf_map_lookup_elem(&ebg_types, &key);
	if (!rule && subtype) {
		__builtin_memset(key.subtype, 0, sizeof(key.subtype));
		key.subtype[0] = '*';
		rule = bpf_map_lookup_elem(&ebg_types, &key);
	}
	return said_by(rule);
}

/* The mount around what a path knows of it; a number, because the verifier lets nobody leave a structure by its front. */
static __always_inline __u64 mount_around(__u64 vfsmount)
{
	return vfsmount - __builtin_preserve_field_info(((struct mount *)0)->mnt, EBG_BYTE_OFFSET);
}

/* A file that somebody wants. Where the kernel has its entry and mount is kept as numbers, for the global functions. */
struct wanted {
	struct dentry *dentry;
	struct vfsmount *mnt;
	__u64 entry;
	__u64 mount;
};

static __always_inline __u64 number_of(const struct inode *inode)
{
	return inode ? inode->i_ino : 0; /* nothing has this name yet */
}

/* What the rules say of a file: of itself, of the directories above it, and of its file system. */
static __always_inline __u64 judge_file(const struct ebg_filter *known, const struct wanted *wanted)
{
	struct dentry *file = wanted->dentry, *dentry = file, *root = wanted->mnt->mnt_root, *below;
	__u64 said = 0, above = 0, type;
	__u32 at_root = 0, i;

	if (may_be_known(known, number_of(file->d_inode), file->d_name.len))
		said = judge_step(wanted->entry, wanted->mount);
	for (i = 0; !said; i++) {
		if (dentry == root) {
			at_root = 1;
			above = judge_above(wanted->mount);
		}
		below = dentry;
		dentry = dentry->d_parent;
		if (dentry == below)
			break;
		if (i == EBG_DEPTH)
			return SAID_UNREADABLE;
		/* beyond the root, where a part of a tree is mounted, there are no paths, but inodes */
		if (may_be_known(known, number_of(dentry->d_inode), dentry->d_name.len))
			said = judge_step((__u64)BPF_CORE_READ(below, d_parent), wanted->mount);
	}
	if (!said && !at_root && dentry->d_flags & EBG_DISCONNECTED)
		return SAID_UNREADABLE; /* opened by its handle: the kernel does not know in which directory it is */
	said = stricter(said, above);
	if (!known->filesystems)
		return said;
	type = judge_type((__u64)BPF_CORE_READ(file, d_sb));
	return said ? said | (type & SAID_REMOTE) : type;
}

#endif
