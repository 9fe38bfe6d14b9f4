/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Paths, as the kernel spells them, and the rules for paths and inodes. */
#ifndef EBG_PATH_H
#define EBG_PATH_H

#include "hash.h"
#include "scratch.h"
#include "verdict.h"

#define EBG_DEPTH 64  /* directories that are followed; a file that lies deeper can't be judged */
#define EBG_TEXT 256  /* bytes of a part of a path; file systems allow 255 */

/* The rules. They are filled before a program attaches, as those in maps.h, and the loader sets the sizes. */
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

/* Nothing is spelled yet. */
static __always_inline void begin(struct scratch *s)
{
	FORGET(s->cursor) = EBG_MESSAGE;
}

/*
 * Writes the name of s->entry, on s->mount, in front of the path so far, and moves both up. Returns 0 where more
 * names follow, 1 at the root of all mounts, and -1 where the path has no end or no room. The steps here are functions
 * of their own: the verifier checks them once, and not in each turn of their loop.
 */
FUNCTION(int, spell_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	struct dentry *dentry, *parent;
	struct mount *mount, *above;
	__u32 length, cursor;

	if (!s)
		return -1;
	dentry = (void *)FORGET(s->entry);
	mount = (void *)FORGET(s->mount);
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount)
			return 1;
		FORGET(s->entry) = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		FORGET(s->mount) = (__u64)above;
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	length = BPF_CORE_READ(dentry, d_name.len);
	cursor = FORGET(s->cursor);
	if ((dentry == parent) | (length >= EBG_TEXT) | (cursor <= length))
		return -1;
	cursor -= length + 1;
	s->message[BELOW(EBG_MESSAGE, cursor)] = '/';
	if (bpf_probe_read_kernel(s->message + BELOW(EBG_MESSAGE, cursor) + 1, BELOW(EBG_TEXT, length),
				  BPF_CORE_READ(dentry, d_name.name)) < 0)
		return -1;
	FORGET(s->cursor) = cursor;
	FORGET(s->entry) = (__u64)parent;
	return 0;
}

/*
 * Spells the path, as it is seen from the root of its mount namespace, at the end of the slot's message. If something
 * is spelled there already, the path comes in front of it. s->cursor moves to its start. Returns -1 where the entry has
 * no path, or too long a path.
 */
FUNCTION(int, spell, __u64 dentry, __u64 mount, __u32 slot)
{
	struct scratch *s = scratch(slot);
	const struct mount *topmost;
	int end = 0;
	__u32 i;

	if (!s)
		return -1;
	FORGET(s->entry) = dentry;
	FORGET(s->mount) = mount;
	for (i = 0; i < 2 * EBG_DEPTH && !end; i++)
		end = spell_step(slot);
	topmost = (void *)FORGET(s->mount);
	/* a mount that the kernel keeps for itself is in no namespace, and its files have no path */
	if (end <= 0 || (long)BPF_CORE_READ(topmost, mnt_ns) >= EBG_LAST_ERROR)
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

/* Takes the word at s->position into the hash, and moves on. Returns 1 at the end of the message. */
FUNCTION(int, hash_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position;

	if (!s)
		return 1;
	position = FORGET(s->position);
	if (position >= EBG_MESSAGE / 8)
		return 1;
	FORGET(s->hash) = mixed(FORGET(s->hash), word_of(s, position));
	FORGET(s->position) = position + 1;
	return 0;
}

/* Returns the hash of the spelled path, as paths.py makes it: whole words up to its end, zeros before its start. */
FUNCTION(__u64, spelled_hash, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i, cursor, before;

	if (!s)
		return 0;
	cursor = FORGET(s->cursor);
	before = 8 * (cursor & 7); /* bits */
	FORGET(s->hash) = mixed(EBG_HASH_SEED, word_of(s, cursor >> 3) >> before << before);
	FORGET(s->position) = (cursor >> 3) + 1;
	for (i = 0; i < EBG_MESSAGE / 8; i++)
		if (hash_step(slot))
			break;
	return mixed(FORGET(s->hash), EBG_MESSAGE - cursor);
}

static __always_inline __u64 inode_ruling(const struct dentry *dentry)
{
	const struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct ebg_inode key = { BPF_CORE_READ(inode, i_ino), BPF_CORE_READ(inode, i_sb, s_dev),
				 BPF_CORE_READ(inode, i_generation) };

	return judge_file_rule(bpf_map_lookup_elem(MAP(ebg_inodes), &key));
}

/* The mount around its vfsmount. A number, because the verifier lets no pointer go in front of its structure. */
static __always_inline __u64 mount_around(__u64 vfsmount)
{
	return vfsmount - __builtin_preserve_field_info(((struct mount *)0)->mnt, EBG_BYTE_OFFSET);
}

/* Makes the spelled path the slot's name; only its end, where it is too long. */
static __always_inline void keep_path(struct scratch *s)
{
	__u32 cursor = FORGET(s->cursor), length = EBG_MESSAGE - cursor, front = 0;

	__builtin_memset(s->name, 0, sizeof(s->name));
	if (length > EBG_NAME - 1) {
		s->name[0] = s->name[1] = s->name[2] = '.';
		front = 3;
		length = EBG_NAME - 1 - front;
		cursor = EBG_MESSAGE - length;
	}
	bpf_probe_read_kernel(s->name + front, BELOW(EBG_NAME, length), s->message + BELOW(EBG_MESSAGE, cursor));
}

#endif
