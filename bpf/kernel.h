/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The kernel's own structures, with no fields but those that are read. CO-RE finds their offsets on the kernel that
 * runs. Where BCC compiles the sources on the target, the structures come from that kernel's headers.
 */
#ifndef EBG_KERNEL_H
#define EBG_KERNEL_H

#ifdef BCC_SEC
#include "bcc.h"
#else
#include "libbpf.h"

#define EBG_CORE __attribute__((preserve_access_index))

struct kernfs_node {
	__u64 id;
} EBG_CORE;

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
} EBG_CORE;

struct cgroup {
	struct cgroup_subsys_state self; /* the place in the hierarchy */
	struct kernfs_node *kn;
} EBG_CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
} EBG_CORE;

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
} EBG_CORE;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
} EBG_CORE;

struct fs_struct;

struct task_struct {
	int tgid;
	char comm[16];
	__u64 start_boottime;
	__u64 self_exec_id;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct css_set *cgroups;
	const struct cred *cred;
	struct fs_struct *fs;
} EBG_CORE;

/* Files. */
struct qstr {
	__u32 len;
	const unsigned char *name;
} EBG_CORE;

struct file_system_type {
	const char *name;
} EBG_CORE;

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
	struct file_system_type *s_type;
	char *s_subtype; /* behind the dot: sshfs in fuse.sshfs */
} EBG_CORE;

struct inode {
	unsigned long i_ino;
	__u32 i_generation;
	struct super_block *i_sb;
} EBG_CORE;

struct dentry {
	unsigned int d_flags;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode; /* NULL: nothing has this name yet */
	struct super_block *d_sb;
} EBG_CORE;

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
} EBG_CORE;

struct mnt_namespace;

struct mount {
	struct mount *mnt_parent; /* of the topmost: itself */
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
} EBG_CORE;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} EBG_CORE;

struct file {
	struct path f_path;
	unsigned int f_flags;
} EBG_CORE;

/* The current directory of a process. */
struct fs_struct {
	struct path pwd;
} EBG_CORE;

struct linux_binprm {
	struct file *file;
} EBG_CORE;

/* The context of an iterator over open files. */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} EBG_CORE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} EBG_CORE;

struct sockaddr;

/* Unix sockets, with the path that a server has given its own. */
struct sockaddr_un {
	char sun_path[108];
} EBG_CORE;

struct unix_address {
	int len; /* of what follows, with the family in front */
	struct sockaddr_un name[0];
} EBG_CORE;

struct unix_sock {
	struct unix_address *addr; /* NULL: it has none */
	struct path path;          /* the file that it is; none where it has a name without one */
} EBG_CORE;

struct socket;

struct sock {
	struct socket *sk_socket;
} EBG_CORE;

struct socket {
	struct file *file;
	struct sock *sk;
} EBG_CORE;

/* The real context of a program on addresses of sockets. */
struct bpf_sock_addr_kern {
	struct sockaddr *uaddr;
	int uaddrlen;
} EBG_CORE;
#endif

#define EBG_EACCES 13
#define EBG_AF_INET 2
#define EBG_DNS_PORT 53
#define EBG_IPV4 0x0800
#define EBG_IPV6 0x86dd
#define EBG_TCP 6
#define EBG_UDP 17
#define EBG_DCCP 33
#define EBG_SCTP 132
#define EBG_UDPLITE 136
#define EBG_SOCK_STREAM 1
#define EBG_TCP_USER_TIMEOUT 18
#define EBG_FIN 1 /* in the flags of a TCP header */
#define EBG_SYN 2
#define EBG_RST 4
#define EBG_ACK 16
#define EBG_SOCK_DGRAM 2
#define EBG_SOCK_RAW 3
#define EBG_CONNECTED 1 /* state of a socket: TCP_ESTABLISHED, also of UDP */

/*
 * Reads a variable back from memory, so that the verifier forgets its value. Then the verifier merges the turns of a
 * loop instead of following each by itself.
 */
#define FORGET(variable) (*(volatile typeof(variable) *)&(variable))
/* An index below a power of two. The limit is set in the register that the access uses. */
#define BELOW(size, index)                  \
	({                                  \
		__u32 _index = (index);     \
		barrier_var(_index);        \
		_index & ((size) - 1);      \
	})

/*
 * Returns the same number, of which the verifier then knows nothing. A loop that sums up needs this. Else the verifier
 * follows each turn once for every sum that the earlier turns may have left, and the programs take far longer to load.
 */
FUNCTION(__u64, some, __u64 number)
{
	barrier_var(number);
	return number;
}

#define EBG_LAST_ERROR (-4095) /* an address from here on is an errno, and none that is negative is in user space */
#define EBG_BYTE_OFFSET 0 /* of __builtin_preserve_field_info: where the field is */
#define EBG_DISCONNECTED 0x20 /* in d_flags: of no tree, because it was found by its handle */
#define EBG_FOR_EXEC 0x20 /* in f_flags: opened to be executed */
#define EBG_FOR_WRITING 0x3 /* in f_flags: O_WRONLY | O_RDWR */
#define EBG_CGROUP2 0x63677270 /* in s_magic */
#define EBG_INTO_CGROUP 0x200000000ULL /* of clone3(2): the child begins in another cgroup */

#define EBG_PASS 1
#define EBG_REFUSE 0

/* Refuses with this errno where the kernel can (5.18 and later); else the kernel says EPERM. */
static __always_inline int refuse_with(int error)
{
	if (HAS_SET_RETVAL)
		bpf_set_retval(-error);
	return EBG_REFUSE;
}

#endif
