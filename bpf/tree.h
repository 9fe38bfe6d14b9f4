/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Files, and the rules for them.
 *
 * A walk goes from a file up to the root, and looks at each step twice. The inode is the same through bind mounts,
 * hard links, other roots and namespaces. The path meets a file that is made later, or replaces another. The step that
 * is nearest to the file decides.
 *
 * The rules name hardly any step, and a filter says so at once. On the file's own mount, the steps are loads whose
 * types the verifier knows. Global functions, which take numbers alone, read paths and whatever lies beyond the mount.
 */
#ifndef EBG_TREE_H
#define EBG_TREE_H

#include "path.h"

/* Rules, as those in path.h. */
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
	__type(key, struct ebg_filesystem);
	__type(value, struct ebg_file_rule);
} ebg_types SEC(".maps");

/* A ruling that mount_ruling() has found. */
struct remembered {
	__u64 ruling;
	__u64 check; /* a hash of the ruling, the mount, and the version of the tree */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_ABOVE);
	__type(key, __u32);
	__type(value, struct remembered);
} ebg_above SEC(".maps");

static __always_inline const struct ebg_filter *filter(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(MAP(ebg_filter), &zero);
}

/* Is the bit for this hash set in the filter? */
static __always_inline int is_set(const __u64 *words, __u64 hash)
{
	__u32 bit = hash >> 32;

	return words[BELOW(EBG_FILTER, bit >> 6)] >> (bit & 63) & 1;
}

/* May the rules know a file by its inode's number, or is the last part of some path as long as its name? */
static __always_inline int is_suspect(const struct ebg_filter *known, __u64 number, __u32 length)
{
	/* no branch: the verifier would follow both, at each step */
	return is_set(known->inodes, mixed(EBG_HASH_SEED, number)) |
	       (known->lengths[BELOW(EBG_LENGTHS, length >> 6)] >> (length & 63) & 1);
}

/* The same, by the name's first bytes as well. */
static __always_inline int may_be_known(const struct ebg_filter *known, __u64 number, const unsigned char *name,
					__u32 length)
{
	__u64 start = 0;

	if (!is_suspect(known, number, length))
		return 0;
	if (bpf_probe_read_kernel(&start, sizeof(start), name) < 0)
		return 1;
	if (length < sizeof(start)) /* behind a short name, bytes of an earlier one are left */
		start &= (1ULL << 8 * length) - 1;
	return is_set(known->inodes, mixed(EBG_HASH_SEED, number)) | is_set(known->names, mixed(EBG_HASH_SEED, start));
}

static __always_inline __u64 path_ruling(__u64 dentry, __u64 mount)
{
	struct scratch *s = claim();
	__u64 hash, ruling = 0;

	if (!s)
		return RULING_UNREADABLE;
	begin(s);
	if (spell(dentry, mount, FORGET(s->slot)) == 0) {
		hash = spelled_hash(FORGET(s->slot));
		ruling = judge_file_rule(bpf_map_lookup_elem(MAP(ebg_paths), &hash));
	}
	release(s);
	return ruling;
}

/* The ruling over this very file or directory. */
FUNCTION(__u64, entry_ruling, __u64 dentry, __u64 mount)
{
	return stricter(inode_ruling((void *)dentry), path_ruling(dentry, mount));
}

static __always_inline int is_topmost(const struct mount *mount)
{
	return BPF_CORE_READ(mount, mnt_parent) == mount;
}

/* The ruling over s->entry on s->mount. Both move up; at the root of all mounts, s->entry becomes 0. */
FUNCTION(__u64, walk_step, __u32 slot)
{
	const struct ebg_filter *known = filter();
	struct scratch *s = scratch(slot);
	struct dentry *dentry, *parent;
	struct mount *mount;
	int at_root;

	if (!known || !s)
		return RULING_UNREADABLE;
	dentry = (void *)FORGET(s->entry);
	mount = (void *)FORGET(s->mount);
	at_root = dentry == BPF_CORE_READ(mount, mnt.mnt_root);
	parent = BPF_CORE_READ(dentry, d_parent);
	FORGET(s->entry) = 0;
	if (at_root && is_topmost(mount))
		return 0; /* no rule names the root of everything */
	if (at_root) {
		FORGET(s->entry) = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		FORGET(s->mount) = (__u64)BPF_CORE_READ(mount, mnt_parent);
	} else if (parent != dentry) {
		FORGET(s->entry) = (__u64)parent;
	}
	if (!may_be_known(known, BPF_CORE_READ(dentry, d_inode, i_ino), BPF_CORE_READ(dentry, d_name.name),
			  BPF_CORE_READ(dentry, d_name.len)))
		return 0;
	return entry_ruling((__u64)dentry, (__u64)mount);
}

/* The ruling from the directory on which a mount hangs up to the root. */
FUNCTION(__u64, walk_above, __u64 mount_address)
{
	struct mount *mount = (void *)mount_address;
	__u64 ruling = 0;
	struct scratch *s;
	__u32 i;

	if (is_topmost(mount))
		return 0;
	s = claim();
	if (!s)
		return RULING_UNREADABLE;
	FORGET(s->entry) = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
	FORGET(s->mount) = (__u64)BPF_CORE_READ(mount, mnt_parent);
	for (i = 0; i < EBG_DEPTH && !ruling && FORGET(s->entry); i++)
		ruling = walk_step(FORGET(s->slot));
	if (!ruling && FORGET(s->entry))
		ruling = RULING_UNREADABLE; /* too deep */
	release(s);
	return ruling;
}

/* The ruling over the type of a file system. */
FUNCTION(__u64, type_ruling, __u64 super_block)
{
	const struct super_block *sb = (void *)super_block;
	const char *subtype = BPF_CORE_READ(sb, s_subtype);
	const struct ebg_filter *known = filter();
	struct ebg_filesystem key = {};
	const struct ebg_file_rule *rule;

	if (!known || !known->filesystems)
		return 0;
	bpf_probe_read_kernel_str(key.type, sizeof(key.type), BPF_CORE_READ(sb, s_type, name));
	if (subtype)
		bpf_probe_read_kernel_str(key.subtype, sizeof(key.subtype), subtype);
	rule = bpf_map_lookup_elem(MAP(ebg_types), &key);
	if (!rule && subtype) {
		__builtin_memset(key.subtype, 0, sizeof(key.subtype));
		key.subtype[0] = '*';
		rule = bpf_map_lookup_elem(MAP(ebg_types), &key);
	}
	return judge_file_rule(rule);
}

/*
 * Returns how often anything was renamed or mounted on this host, in one word: the kernel counts both for its own
 * walks. Returns 0 while something is being renamed or mounted, and where the counts can't be read.
 */
static __always_inline __u64 tree_version(const struct ebg_filter *known)
{
	__u32 renamed = 1, mounted = 1; /* odd: it happens now */

	bpf_probe_read_kernel(&renamed, sizeof(renamed), (void *)known->rename_lock);
	bpf_probe_read_kernel(&mounted, sizeof(mounted), (void *)known->mount_lock);
	return (renamed | mounted) & 1 ? 0 : (__u64)renamed << 32 | mounted;
}

/*
 * The ruling over everything on this mount: by the directory on which it hangs, or else by its type. A remembered
 * ruling is good as long as nothing was renamed or mounted, because a mount holds its file system, the directory on
 * which it hangs, and all above. Its two words are not written at one stroke, but the check fits one ruling alone.
 */
FUNCTION(__u64, mount_ruling, __u64 mount_address)
{
	const struct mount *mount = (void *)mount_address;
	const struct ebg_filter *known = filter();
	__u64 start = mixed(EBG_HASH_SEED, mount_address), version, ruling, type;
	__u32 index = BELOW(EBG_ABOVE, start >> 32);
	struct remembered *remembered = bpf_map_lookup_elem(MAP(ebg_above), &index);

	if (!known || !remembered)
		return RULING_UNREADABLE;
	version = tree_version(known);
	ruling = FORGET(remembered->ruling);
	if (version && FORGET(remembered->check) == mixed(mixed(start, version), ruling))
		return ruling;
	ruling = walk_above(mount_address);
	if (ruling == RULING_UNREADABLE) /* the next time, a scratch slot may be free */
		return ruling;
	type = type_ruling((__u64)BPF_CORE_READ(mount, mnt.mnt_sb));
	ruling = judge_mount(ruling, type);
	if (version && version == tree_version(known)) {
		FORGET(remembered->ruling) = ruling;
		FORGET(remembered->check) = mixed(mixed(start, version), ruling);
	}
	return ruling;
}

/* A file that a process wants: its entry and its mount, and where each can be read as a number for global functions. */
struct wanted {
	struct dentry *dentry;
	struct vfsmount *mnt;
	const void *entry_at;
	const void *mount_at;
};

static __always_inline __u64 entry_of(const struct wanted *wanted)
{
	__u64 entry = 0;

	bpf_probe_read_kernel(&entry, sizeof(entry), wanted->entry_at);
	return entry;
}

static __always_inline __u64 mount_of(const struct wanted *wanted)
{
	__u64 vfsmount = 0;

	bpf_probe_read_kernel(&vfsmount, sizeof(vfsmount), wanted->mount_at);
	return mount_around(vfsmount);
}

static __always_inline int may_be_known_entry(const struct ebg_filter *known, const struct dentry *dentry)
{
	const struct inode *inode = dentry->d_inode; /* NULL: nothing has this name yet */

	return may_be_known(known, inode ? inode->i_ino : 0, dentry->d_name.name, dentry->d_name.len);
}

/* The ruling over a file: by itself, by the directories above it, and by its file system. */
static __always_inline __u64 file_ruling(const struct ebg_filter *known, const struct wanted *wanted)
{
	struct dentry *file = wanted->dentry, *dentry = file, *root = wanted->mnt->mnt_root, *below;
	__u64 ruling = 0, mounted = 0;
	__u32 at_root = 0, i;

	if (may_be_known_entry(known, file))
		ruling = entry_ruling(entry_of(wanted), mount_of(wanted));
	for (i = 0; !ruling; i++) {
		if (dentry == root) {
			at_root = some(1);
			mounted = mount_ruling(mount_of(wanted));
		}
		below = dentry;
		dentry = dentry->d_parent;
		if (dentry == below)
			break;
		if (i == EBG_DEPTH)
			return RULING_UNREADABLE;
		/* where only a part of a tree is mounted, directories beyond its root have inodes, but no paths */
		if (may_be_known_entry(known, dentry))
			ruling = entry_ruling((__u64)BPF_CORE_READ(below, d_parent), mount_of(wanted));
	}
	if (!ruling && !at_root && dentry->d_flags & EBG_DISCONNECTED)
		return RULING_UNREADABLE; /* opened by its handle: the kernel does not know in which directory it is */
	if (!at_root)
		return judge_type(ruling, type_ruling((__u64)BPF_CORE_READ(file, d_sb)));
	return judge_file(ruling, mounted);
}

#endif
