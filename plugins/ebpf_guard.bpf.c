/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Written by bpf/gen_source.py from bpf/guard.bpf.c and what it includes: do not edit, run `make bpf`. */
#line 1 "bpf/guard.bpf.c"
// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * The network's hooks. Each finds out where an access goes, or which name it asks for or presents. It asks verdict.h
 * for the judgement, and obeys.
 *
 * connect4, connect6   connect(2), and MSG_FASTOPEN
 * sendmsg4, sendmsg6   unconnected UDP: sendto(2), sendmsg(2), sendmmsg(2)
 * egress               what a connection presents, and DNS questions over UDP; packets that these hooks do not see: raw
 *                      sockets, ICMP, other protocols; and connections that were opened under earlier rules
 * setsockopt           an option that would tell of swallowed questions
 * ingress              DNS answers: keeps which names lead to an address. In a drill, what a denied connection still gets
 * sockops              ends a denied connection where no agent does; MPTCP's connections below the one that connect saw
 * fork, image          no access: they note which process descends from which, for the records of the others
 * entry                no access: it counts who comes in, and notes who leaves
 */
#line 1 "bpf/arrival.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * A drill in which what is denied is silent, or resets its connections: what the other side has sent before, or still
 * sends, must not arrive. Else a stream that was open before would go on for a while.
 */
#ifndef EBG_ARRIVAL_H
#define EBG_ARRIVAL_H

#line 1 "bpf/egress.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Packets that leave: of connections that were opened inside the guard, DNS questions in datagrams, and all others. The
 * host's NAT has come before. So two destinations count: the one that the process asked for, and the one in the packet.
 */
#ifndef EBG_EGRESS_H
#define EBG_EGRESS_H

#line 1 "bpf/heads.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The first bytes of a connection that is not DNS, and what can present another name later on it: requests to a proxy,
 * what comes in a tunnel, and TLS behind STARTTLS.
 */
#ifndef EBG_HEADS_H
#define EBG_HEADS_H

#line 1 "bpf/stream.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * What a TCP connection presents, read from the packets that carry it. A segment that is not the end of a message
 * passes: no server can act before the rest is there. The segment that completes a denied name is dropped, and nothing
 * of the connection leaves after that. So sockets stay as they are, and no data waits.
 *
 * One exception: where an allowed and a denied name share the address, who presents none is denied. There the first
 * bytes wait for the name. To drop them is enough: TCP tries them again with those that are written next.
 */
#ifndef EBG_STREAM_H
#define EBG_STREAM_H

#line 1 "bpf/message.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The first bytes that a connection sends, and the name that they present to a server of TLS or HTTP, or to a proxy. */
#ifndef EBG_MESSAGE_H
#define EBG_MESSAGE_H

#line 1 "bpf/address.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Addresses: the networks and the names that the rules know one by, and the verdict over it. */
#ifndef EBG_ADDRESS_H
#define EBG_ADDRESS_H

#line 1 "bpf/recent.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The latest verdicts over addresses, because a deployment asks for the same few again and again. The rules of a
 * program never change, and these maps live as long as the program. So a verdict holds until the leads of its address
 * change, or until the first of them runs out or has to be renewed.
 */
#ifndef EBG_RECENT_H
#define EBG_RECENT_H

#line 1 "bpf/cell.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * A cell: memory per CPU that several programs write and read. One program can preempt another in the middle of it, on
 * the same CPU. So a reader compares the version before and after, and only the first writer writes.
 */
#ifndef EBG_CELL_H
#define EBG_CELL_H

#line 1 "bpf/kernel.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The kernel's own structures, with no fields but those that are read. CO-RE finds their offsets on the kernel that
 * runs. Where BCC compiles the sources on the target, the structures come from that kernel's headers.
 */
#ifndef EBG_KERNEL_H
#define EBG_KERNEL_H

#ifdef BCC_SEC
#line 1 "bpf/bcc.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The differences in the sources where BCC compiles them, on the target. BCC has no linker, and makes no maps that an
 * included file declares. So _kernel/bcc_compiler.py does both. Each function is a section of its own, a call goes to a
 * number that no helper has, and the maps are made before.
 */
#ifndef EBG_BCC_H
#define EBG_BCC_H

#include <linux/sched.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/mm_types.h>
#include <linux/net.h>
#include <linux/tcp.h>

#undef current /* the sources have variables of that name */

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) value *name

#define EBG_SECTION(name) __attribute__((section(".bpf.fn." #name))) name
#define PROGRAM(section, name) int EBG_SECTION(name)
#define TRACEPOINT(tracepoint, name) PROGRAM(, name)

/* call_NUMBER_ARGUMENTS is the function's body; packet_NUMBER_ARGUMENTS where the first argument is the packet. */
#define EBG_CALL 0x1000000
#define EBG_COUNT(...) EBG_COUNT_(__VA_ARGS__, 5, 4, 3, 2, 1)
#define EBG_COUNT_(a, b, c, d, e, count, ...) count
#define FUNCTION(type, name, ...) EBG_FUNCTION(call, __COUNTER__, EBG_COUNT(__VA_ARGS__), type, name, __VA_ARGS__)
#define PACKET_FUNCTION(type, name, ...) EBG_FUNCTION(packet, __COUNTER__, EBG_COUNT(__VA_ARGS__), type, name, __VA_ARGS__)
#define EBG_FUNCTION(...) EBG_FUNCTION_(__VA_ARGS__)
#define EBG_FUNCTION_(what, number, count, type, name, ...)        \
	static type (*name)(__VA_ARGS__) = (void *)(EBG_CALL + number); \
	type EBG_SECTION(what##_##number##_##count)(__VA_ARGS__)

/* The loader defines a macro for each map: its file descriptor. */
#define MAP(name) ((void *)bpf_pseudo_fd(1, EBG_FD_##name))

#define HAS_SET_RETVAL (LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0))
#define HAS_COARSE_CLOCK (LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0))

/* Follows pointers through the kernel's structures, as the kernel's own headers have them. */
#define EBG_READ(from, field)                                            \
	({                                                               \
		typeof((from)->field) _read;                             \
		bpf_probe_read_kernel(&_read, sizeof(_read), &(from)->field); \
		_read;                                                   \
	})
#define EBG_READ_1(from, a) EBG_READ(from, a)
#define EBG_READ_2(from, a, b) EBG_READ(EBG_READ(from, a), b)
#define EBG_READ_3(from, a, b, c) EBG_READ(EBG_READ_2(from, a, b), c)
#define EBG_READ_4(from, a, b, c, d) EBG_READ(EBG_READ_3(from, a, b, c), d)
#define EBG_PASTE(a, b) EBG_PASTE_(a, b)
#define EBG_PASTE_(a, b) a##b
#define BPF_CORE_READ(from, ...) EBG_PASTE(EBG_READ_, EBG_COUNT(__VA_ARGS__))(from, __VA_ARGS__)
#define BPF_CORE_READ_INTO(to, from, a, b) bpf_probe_read_kernel(to, sizeof(*(to)), &EBG_READ(from, a)->b)
/* A function that takes pointers is part of its caller: only numbers go through a call. */
#define __noinline inline
#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#define barrier_var(variable) asm volatile("" : "+r"(variable))
#define bpf_be64_to_cpu __builtin_bswap64

#endif
#line 11 "bpf/kernel.h"
#else
#line 1 "bpf/libbpf.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The differences in the sources where clang compiles the object that libbpf loads. bcc.h has the same for BCC. */
#ifndef EBG_LIBBPF_H
#define EBG_LIBBPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

/* A program; a tracepoint's gets the tracepoint's arguments, one word each. */
#define PROGRAM(section, name) SEC(section) int name
#define TRACEPOINT(tracepoint, name) PROGRAM("tp_btf/" tracepoint, name)

/* A global function: the verifier checks it once, and so only numbers go in and out. */
#define FUNCTION(type, name, ...) __noinline type name(__VA_ARGS__)
#define PACKET_FUNCTION FUNCTION /* its first argument is the packet, as the program has it */

/* A map, for a helper. */
#define MAP(name) (&name)

#define HAS_SET_RETVAL bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_set_retval)
#define HAS_COARSE_CLOCK bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns)

#endif
#line 13 "bpf/kernel.h"

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
#line 10 "bpf/cell.h"

struct cell {
	__u32 writers;
	__u32 version; /* 0: nothing was written yet */
};

/* Returns the version that a reader will find; 0: none, or somebody writes. */
static __always_inline __u32 begin_read(struct cell *cell)
{
	__u32 version = FORGET(cell->version);

	return FORGET(cell->writers) ? 0 : version;
}

/* 1: what was read since begin_read() belongs together. */
static __always_inline int was_whole(struct cell *cell, __u32 version)
{
	barrier();
	return FORGET(cell->version) == version;
}

/* 1: this program may write. end_write() follows in any case. */
static __always_inline int begin_write(struct cell *cell)
{
	__sync_fetch_and_add(&cell->writers, 1);
	if (FORGET(cell->writers) != 1)
		return 0;
	FORGET(cell->version) = cell->version + 1;
	barrier();
	return 1;
}

static __always_inline void end_write(struct cell *cell)
{
	__sync_fetch_and_add(&cell->writers, -1);
}

#endif
#line 11 "bpf/recent.h"
#line 1 "bpf/hash.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The hash of names and paths, eight bytes at a time. module_utils/_names.py and _kernel/paths.py make the same. */
#ifndef EBG_HASH_H
#define EBG_HASH_H

#line 1 "bpf/abi.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The language between the kernel and Python: every map key, every map value, every number with a meaning. It is
 * written once, here. `make bpf` reads these types back from the object's BTF and writes module_utils/_abi.py from
 * them, so Python cannot have another opinion.
 *
 * Addresses are always 16 bytes in network order; IPv4 is ::ffff:a.b.c.d. So one table serves both families, and an
 * IPv4-mapped address can't get another verdict than the IPv4 address that it means.
 */
#ifndef EBG_ABI_H
#define EBG_ABI_H

#include <linux/types.h>

enum ebg_limit {
	EBG_ABI_VERSION = 8,      /* of the maps that outlive a loader; a guard of another version is not touched */
	EBG_SLICE = 64,           /* port matchers that can apply to one network or name, wider ones' included */
	EBG_MAX_DENIED = 16384,   /* details of denials: endpoint, name and process */
	EBG_MAX_OBSERVED = 16384, /* details of observations: endpoint and name */
	EBG_MAX_IMAGES = 8192,    /* program images that are remembered, the latest ones */
	EBG_MAX_ANCESTORS = 16384, /* images that details of denials and observations lead to */
	EBG_MAX_LEADS = 16384,    /* sets of leads to addresses */
	EBG_MAX_HEARD = 16384,    /* pairs of address and name that reports know */
	EBG_MAX_ASKED = 16384,    /* questions that are remembered, the latest ones */
	EBG_MAX_PENDING = 2048,   /* sets of questions that wait for an answer */
	EBG_PENDING = 4,          /* questions in a set */
	EBG_TICK_BITS = 30,       /* of ns: a tick is about a second. Programs divide slowly, so it is a shift */
	EBG_MAX_PORTS = 8388608,  /* port matchers of a policy, because a lead has 23 bits for the first one */
	EBG_REFUSALS = 65536,     /* bytes of the ring that the agent reads */
	EBG_QUESTIONS = 262144,   /* the same of the questions that it answers */
	EBG_LENGTHS = 4,          /* words of 64 bits, one for each length of a file's name */
	EBG_FILTER = 512,         /* words of 64 bits in each part of the filter of file rules */
	EBG_ABOVE = 256,          /* mounts for which it is remembered what the rules say above them */
	EBG_RESOLVERS = 3,        /* DNS servers that the resolver library asks */
	EBG_NAME = 256,           /* bytes of a name; DNS allows 255 */
	EBG_ARGS = 256,           /* bytes of a command line that are kept */
	EBG_COMM = 16,            /* the kernel's TASK_COMM_LEN */
	EBG_ANCESTORS = 32,       /* images above one that are followed, nearest first */
	EBG_PARENTS = 8,          /* processes whose start nobody has seen that are followed */
	EBG_MAX_MEMBERS = 16384,  /* processes inside that are remembered, the latest ones */
	EBG_MAX_ENTRIES = 65536,  /* moments of entries that are kept, the latest ones */
	EBG_ENTRY_GAP = 2000000, /* ns; of entries that are closer together, the first one's moment is kept */
	EBG_MAX_LEAVINGS = 256,   /* details of processes that left */
	EBG_CGROUPS = 64,         /* cgroups above one that are followed */
	EBG_CGROUP_PATH = 256,    /* bytes of a cgroup's path that are kept */
	EBG_SIGN = 0xeb9f,        /* of the agent's TCP segments: where the urgent pointer stands, which means nothing there */
};

enum ebg_mode {
	EBG_MODE_MONITOR,
	EBG_MODE_ENFORCE,
	EBG_MODE_DRILL,
};

enum ebg_kind {
	EBG_KIND_CONNECT, /* connect(2), also by sendto(2) with MSG_FASTOPEN */
	EBG_KIND_SEND,    /* an unconnected datagram, or a packet that no socket hook sees */
	EBG_KIND_DNS,     /* a question for a name, over UDP or TCP port 53 */
	EBG_KIND_TLS,     /* a name presented as TLS SNI */
	EBG_KIND_HTTP,    /* a name presented as HTTP Host, request target, or CONNECT */
	EBG_KIND_UNIX,    /* a way out: a unix socket, a file that cron or at reads, another cgroup */
	EBG_KIND_FILE,    /* a file opened, made, removed, renamed, linked or truncated */
	EBG_KIND_EXEC,    /* a file executed */
	EBG_KINDS,
};

enum ebg_verdict {
	EBG_VERDICT_ALLOWED,
	EBG_VERDICT_DENIED,
	EBG_VERDICT_WOULD_DENY, /* monitor mode: denied by the rules, let through by the mode */
	EBG_VERDICTS,
};

enum ebg_hook {
	EBG_HOOK_CONNECT4,
	EBG_HOOK_CONNECT6,
	EBG_HOOK_SENDMSG4,
	EBG_HOOK_SENDMSG6,
	EBG_HOOK_EGRESS,
	EBG_HOOK_QUESTION, /* DNS over UDP: a part of egress, proved by itself */
	EBG_HOOK_INGRESS,
	EBG_HOOK_PRESENTED, /* what a connection presents: a part of egress as well */
	EBG_HOOK_UNIX, /* this one and the next three: the object of the ways out */
	EBG_HOOK_UNIX_SEND,
	EBG_HOOK_WAY_OPEN,
	EBG_HOOK_WAY_CLONE,
	EBG_HOOK_OPEN, /* this one and the next: the object of the file rules */
	EBG_HOOK_TRUNCATE,
	EBG_HOOK_MKNOD,
	EBG_HOOK_MKDIR,
	EBG_HOOK_RMDIR,
	EBG_HOOK_UNLINK,
	EBG_HOOK_SYMLINK,
	EBG_HOOK_LINK,
	EBG_HOOK_RENAME,
	EBG_HOOK_EXEC,
	EBG_HOOK_FORK, /* this one and the next: who descends from whom */
	EBG_HOOK_IMAGE,
	EBG_HOOK_ENTRY, /* who comes in, and who leaves */
	EBG_HOOKS,
};

/* Slots of ebg_counters. The totals per kind and verdict come first: kind * EBG_VERDICTS + verdict. */
enum ebg_counter {
	EBG_COUNTER_LOST = EBG_KINDS * EBG_VERDICTS, /* accesses whose details did not fit */
	EBG_COUNTER_FORGOTTEN,                       /* addresses of names with rules that had to give way, or had no room */
	EBG_COUNTER_SERVICE,                         /* refused: name service daemons, by their sockets */
	EBG_COUNTER_ENTERED,                         /* processes that came in */
	EBG_COUNTER_LEFT,                            /* processes that went to another cgroup */
	EBG_COUNTER_BACK,                            /* of these: from which something came in again */
	EBG_COUNTER_CANARY,                          /* one slot a hook: how often the canary was met */
	EBG_COUNTERS = EBG_COUNTER_CANARY + EBG_HOOKS,
};

/* How what is denied is down in a drill. */
enum ebg_outage {
	EBG_OUTAGE_DENIED,   /* as in enforce mode: an error that says so */
	EBG_OUTAGE_REFUSED,  /* names are found, and nobody listens there */
	EBG_OUTAGE_TIMEOUT,  /* nothing is answered */
	EBG_OUTAGE_NXDOMAIN, /* there is no such name, and who knows the address is refused */
	EBG_OUTAGE_SERVFAIL, /* the same, but the DNS server fails to tell */
	EBG_OUTAGES,
};

/* Rule numbers that no rule of a policy has. */
enum ebg_rule {
	EBG_RULE_DEFAULT, /* no rule matched: the policy's default spoke */
	EBG_RULE_CANARY,  /* the address with which a guard proves itself; behind it one for each other outage */
	EBG_RULE_UNREADABLE = EBG_RULE_CANARY + EBG_OUTAGES, /* a packet, or a DNS or TLS message, that can't be read safely */
	EBG_RULE_LOCK,    /* the policy says that nothing leaves the guard */
	EBG_RULE_OUTWARD, /* no rule matched, but who acts then stands outside: recorded in every mode */
	EBG_RULE_SERVICE, /* the socket of a name service daemon: refused and counted, never recorded */
	EBG_RULE_OWN,     /* the host's own name: in a sealed room it may be asked for */
	EBG_RULE_INSIDE,  /* the deploy cgroup's own directory: what is below it leads nowhere else */
	EBG_RULE_FIRST,
};

/* The constants of the hash, see hash.h. They come in halves, because an enum in BTF has no larger numbers. */
enum ebg_hash {
	EBG_HASH_SEED_HIGH = 0xcbf29ce4,
	EBG_HASH_SEED_LOW = 0x84222325,
	EBG_HASH_PRIME_HIGH = 0x9e3779b9,
	EBG_HASH_PRIME_LOW = 0x7f4a7c15,
};

/* Flags of clone(2) that contradict each other, so that a guard alone asks for both: its canary. */
enum ebg_clone {
	EBG_CLONE_CANARY = 0x00802000, /* CLONE_PTRACE | CLONE_UNTRACED */
};

/* A flag of what ebg_current holds. */
enum ebg_both {
	EBG_BOTH = 0x40000000,
};

/* Who says where a name is. The first stands in packets; the last two come with what Python teaches. */
enum ebg_source {
	EBG_SOURCE_PACKET,
	EBG_SOURCE_TAUGHT,
	EBG_SOURCE_TAUGHT_DOUBTED, /* as an answer that is not believed */
};

enum ebg_protocol {
	EBG_PROTOCOL_ANY = 0,
};

struct ebg_config {
	__u32 mode;         /* enum ebg_mode */
	__u32 default_deny; /* 1: what no rule matches is denied */
	__u32 observe;      /* 1: record what is allowed, too */
	__u32 judges_names; /* 1: some names are denied, so what could carry a name must be readable */
	__u32 generation;   /* of the rules, never 0; a socket that was judged under another one is judged again */
	__u32 lock;         /* 1: no process leaves the cgroup */
	__u32 outages;      /* of a drill: a bit for each outage in use, denied left out; 0 in the other modes */
	__u32 padding;
	__u64 resolvers[EBG_RESOLVERS][2]; /* addresses of the host's DNS servers, as they stand in packets; 0: none */
};

/* The matchers that apply to a network or a name: ebg_ports[first .. first + count - 1], the first hit decides. */
struct ebg_slice {
	__u32 first;
	__u32 count; /* 0: no rule */
};

struct ebg_net_key {
	__u32 prefix_length; /* of the 16 bytes, in bits */
	__u8 address[16];
};

/* Rules for a name. When it is asked for, the port is not known yet: what then holds is decided beforehand. */
struct ebg_name_rules {
	struct ebg_slice slice;
	__u32 asked_rule;
	__u16 asked_deny;
	__u16 denies; /* 1: some matcher of the slice denies */
};

/*
 * The key is the hash of a name, from its last label to the first; the longest known end of a name decides. The name
 * itself stands in ebg_text, in the form of DNS messages: whoever can choose names can find two with one hash.
 */
struct ebg_name {
	struct ebg_name_rules itself;
	struct ebg_name_rules below; /* every name that ends with it */
	__u32 text;                  /* its first word in ebg_text */
	__u32 length;                /* in bytes, with the 0 at its end */
};

struct ebg_port {
	__u32 rule;
	__u16 low; /* 0 only when every port is meant: then the matcher fits protocols that have none, too */
	__u16 high;
	__u8 protocol; /* IPPROTO_*, or EBG_PROTOCOL_ANY */
	__u8 deny;
	__u8 padding[2];
};

struct ebg_endpoint {
	__u8 address[16];
	__u16 port; /* host order; 0 where the protocol has none */
	__u8 protocol;
	__u8 kind; /* enum ebg_kind */
};

/* One run of a program: a process between two calls of exec. All 0: none. */
struct ebg_run {
	__u64 started; /* the process; ns since boot, so that the name is good when pids come round */
	__u32 pid;
	__u32 exec; /* the process's exec count */
};

/* A program that ran, and the one it descends from: the earlier program of this process, or the parent's program. */
struct ebg_image {
	struct ebg_run above; /* all 0: it came from outside the guard */
	__u32 forked;         /* 1: the same program as above, in a process of its own */
	__u32 args_length;
	char comm[EBG_COMM];
	__u8 args[EBG_ARGS]; /* as in /proc/PID/cmdline when it began: separated by NUL, cut */
};

/* Where a process is that came in, or was born inside. */
enum ebg_whereabouts {
	EBG_WHERE_INSIDE,
	EBG_WHERE_LEFT, /* in another cgroup, and told in ebg_leavings */
	EBG_WHERE_AWAY, /* in another cgroup, and not to be told */
};

struct ebg_member {
	__u64 started; /* ns since boot, so that the pid is good when pids come round */
	__u32 where;   /* enum ebg_whereabouts */
	__u32 padding;
};

/* Slots of ebg_places: cgroups by their ids. */
enum ebg_place {
	EBG_PLACE_GUARD,
	EBG_PLACE_DESK, /* the agent's */
	EBG_PLACES,
};

/* How far ebg_entries is filled. */
struct ebg_entered {
	__u64 kept; /* moments, those included whose slots were taken again */
	__u64 last; /* CLOCK_MONOTONIC, ns */
};

/* A process that left, as it was when it last became another program. The key is its run, without the exec count. */
struct ebg_leaving {
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u64 cgroup;
	__u32 args_length;
	__u32 padding;
	char comm[EBG_COMM];
	__u8 args[EBG_ARGS];
	__u8 path[EBG_CGROUP_PATH]; /* of the cgroup that it went to; empty: the kernel did not say */
};

/* One denial's identity: who, to where, under which rule and mode. */
struct ebg_denial {
	struct ebg_run run;
	__u32 rule;
	__u32 mode; /* enum ebg_mode */
	struct ebg_endpoint endpoint;
	__u8 padding[4];
	__u64 name; /* hash of the name that was asked for or presented; 0: none was */
};

struct ebg_observation {
	struct ebg_endpoint endpoint;
	__u8 padding[4];
	__u64 name;
};

/* A denial or an observation. The process is the first that was seen. */
struct ebg_record {
	__u64 count;
	__u64 first_seen; /* CLOCK_MONOTONIC, ns */
	__u64 last_seen;
	struct ebg_run run; /* pid 0: sent by the kernel on nobody's behalf */
	struct ebg_run above;
	__u32 uid;
	__u32 rule; /* of an observation: the allow rule, or EBG_RULE_DEFAULT */
	__u32 args_length;
	__u32 padding;
	char comm[EBG_COMM];
	__u8 args[EBG_ARGS]; /* as in /proc/PID/cmdline at that moment */
	__u8 name[EBG_NAME]; /* in the form of DNS messages: each label behind its length; all 0: none */
};

/* A name that led to an address: by a DNS answer, or as the agent resolved it. */
struct ebg_heard_key {
	__u8 address[16];
	__u64 name;
};

struct ebg_heard {
	__u64 until;           /* CLOCK_MONOTONIC, ns */
	__u32 doubted;         /* 1: the host's resolvers did not say so */
	__u32 padding;
	__u8 name[EBG_NAME];   /* in the form of DNS messages */
	__u8 target[EBG_NAME]; /* the name that decided, where the answer led on to others; all 0: the same */
};

/* A name without rules that an answer led on to a name with rules. Its hash finds it. */
struct ebg_alias {
	__u64 lead; /* to the rules, see maps.h: in the upper half, until when, in ticks */
	__u8 name[EBG_NAME]; /* in the form of DNS messages */
};

/* A socket whose data was refused. The agent ends it, because some programs ignore the error. */
struct ebg_refusal {
	__u64 cookie; /* of the socket */
	__u8 source[16];
	__u8 destination[16];
	__u16 source_port; /* host order, as the other */
	__u16 destination_port;
	__u8 protocol;
	__u8 padding[3];
};

/* What the agent says in the place of the one who was to be reached. */
enum ebg_reply {
	EBG_REPLY_DNS,         /* the answer to a question over UDP */
	EBG_REPLY_RESET,       /* the TCP connection is over */
	EBG_REPLY_UNREACHABLE, /* nobody listens on this UDP port */
	EBG_REPLY_ANSWER,      /* the answer to questions over TCP */
};

/* A denied DNS question, or another packet, that was dropped. The agent answers it, as far as the endpoints go in its place. */
struct ebg_question {
	struct ebg_refusal asker; /* its destination is the one who was to be reached */
	__u32 rule;
	__u32 sequence;     /* of TCP: of the packet */
	__u32 acknowledged; /* of TCP: what the packet says of the other direction */
	__u8 reply;         /* enum ebg_reply */
	__u8 outage;        /* of a DNS question, as all that follows */
	__u16 id; /* host order, as all that follows */
	__u16 flags;
	__u16 type;
	__u16 of_class;
	__u16 size;      /* bytes that the client takes, as its OPT record says; over TCP, the bytes in `name` */
	__u16 opt_flags; /* of that record */
	__u8 opt;        /* 1: it sent one */
	__u8 padding[5];
	__u8 name[EBG_NAME]; /* in the form of DNS messages, upper case kept; what is behind its end means nothing. Over TCP, all */
};

/* Slots of ebg_answering: whether denied questions can be answered. 0: they can't. */
enum ebg_answering {
	EBG_ANSWERING_BEAT, /* when the agent said last that it is at work: CLOCK_MONOTONIC, ns */
	EBG_ANSWERING_PORT, /* of its socket on 127.0.0.1, which nobody can speak to, in host order */
	EBG_ANSWERING_IPV4, /* 1: a trial showed that answers arrive */
	EBG_ANSWERING_IPV6,
	EBG_ANSWERING_SLOTS,
};

/* A file or a directory, as the kernel knows it: the same through every mount, hard link and name. */
struct ebg_inode {
	__u64 number;
	__u32 device; /* of the file system, as the kernel writes it */
	__u32 generation;
};

/* A file that is open in the process that asks, see the identify program. */
struct ebg_open_file {
	struct ebg_inode inode;
	__u32 fd;
	__u8 padding[4];
};

/* A type of file systems. The subtype stands behind the dot of its name; * is for all without a rule of their own. */
struct ebg_filesystem {
	__u8 type[32];
	__u8 subtype[32];
};

/* The rule for a file, for all files below a directory, for a type of file systems, or for a unix socket. */
struct ebg_file_rule {
	__u32 rule;
	__u16 deny;
	__u16 remote; /* of a type: its files come over a network */
};

/* Says of most files at once that no rule names them. A set bit only means that the file is worth a look. */
struct ebg_filter {
	__u64 lengths[EBG_LENGTHS]; /* of the last parts of paths */
	__u64 names[EBG_FILTER];
	__u64 inodes[EBG_FILTER];
	__u64 rename_lock; /* the addresses of these two in the kernel; 0: not known */
	__u64 mount_lock;
	__u32 filesystems; /* 1: types of file systems matter */
	__u32 traced;      /* 1: the tracepoint alone sees executions */
};

/* A question that a process asked, whatever came of it. */
struct ebg_asked {
	__u64 name;
	__u32 pid;
	__u8 padding[4];
};

/* Questions that left a moment ago: 40 bits of a hash of name and number, and 24 bits of the time in ticks. */
struct ebg_pending {
	__u64 question[EBG_PENDING];
};

#endif
#line 7 "bpf/hash.h"


#define EBG_HASH_SEED ((__u64)EBG_HASH_SEED_HIGH << 32 | EBG_HASH_SEED_LOW)
#define EBG_HASH_PRIME ((__u64)EBG_HASH_PRIME_HIGH << 32 | EBG_HASH_PRIME_LOW)

static __always_inline __u64 mixed(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * EBG_HASH_PRIME;
	return hash ^ hash >> 32;
}

#endif
#line 12 "bpf/recent.h"
#line 1 "bpf/maps.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The maps of the network's programs. The first four hold rules, as ebg_config does: they are filled before a
 * program attaches, and never change after. A new policy comes with programs and maps of rules of its own. It also
 * comes with new maps of addresses and aliases, because their leads point to rules: they are filled again from what
 * the ledger has heard. The ledger stays when the rules change, so that counts go on.
 */
#ifndef EBG_MAPS_H
#define EBG_MAPS_H

#line 1 "bpf/config.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The configuration, which holds for all programs of a guard. */
#ifndef EBG_CONFIG_H
#define EBG_CONFIG_H




struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_config);
} ebg_config SEC(".maps");

/*
 * The generation of the rules that are in force. Some programs can't be exchanged at one stroke: for a while, those of
 * the earlier rules and those of the new rules are both attached. With EBG_BOTH both judge, for a moment.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebg_current SEC(".maps");

static __always_inline const struct ebg_config *configuration(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(MAP(ebg_config), &zero);
}

#endif
#line 12 "bpf/maps.h"
#line 1 "bpf/scratch.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Memory for names and messages, which do not fit the stack. A program can be preempted by another one on the same CPU,
 * and then both would use the CPU's memory. So each run claims a slot of its own. Where no slot is free, it can't read
 * anything.
 */
#ifndef EBG_SCRATCH_H
#define EBG_SCRATCH_H



#line 1 "bpf/verdict.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * All decisions. The hooks find out what an access is and what the rules say of it; then they ask here, and obey. The
 * functions are pure: they look nothing up and change nothing. So every object can include them, and a reader
 * understands each by itself.
 *
 * A ruling is one number, because a global function returns nothing else. A judgement is the same in two fields.
 */
#ifndef EBG_VERDICT_H
#define EBG_VERDICT_H




/* A ruling: these flags, and the rule's number above them. 0: no rule speaks. */
enum ruling {
	RULING = 1,
	RULING_DENY = 2,
	RULING_UNDECIDED = 4, /* of an address: some of its names are denied, and some are not, or were not */
	RULING_REMOTE = 8,    /* of a file: it comes over a network */
	RULING_OF_TYPE = 16,  /* of a file: no path has a rule, but the type of the file system has */
	RULING_PAST = 32,     /* of a name of an address: its time to live is over */
	RULING_RULE_SHIFT = 6,
};

struct judgement {
	__u32 rule;
	__u32 deny;
};

static __always_inline __u64 ruled(__u32 rule, __u32 deny)
{
	return (__u64)rule << RULING_RULE_SHIFT | (deny ? RULING_DENY : 0) | RULING;
}

static __always_inline __u32 rule_of(__u64 ruling)
{
	return ruling >> RULING_RULE_SHIFT;
}

static __always_inline struct judgement judgement_of(__u64 ruling)
{
	return (struct judgement){ rule_of(ruling), !!(ruling & RULING_DENY) };
}

/* A table is damaged. What can't be right must not open the door. */
#define RULING_DAMAGED ruled(EBG_RULE_DEFAULT, 1)
#define RULING_UNREADABLE ruled(EBG_RULE_UNREADABLE, 1)

/* --- the mode --- */

/* Monitor mode lets everything through, and records what the other modes would refuse. */
static __always_inline int enforces(const struct ebg_config *config)
{
	return config->mode != EBG_MODE_MONITOR;
}

static __always_inline int refuses(const struct ebg_config *config, const struct judgement *it)
{
	return it->deny && enforces(config);
}

/* Must this be refused if it could carry a name past the programs? */
static __always_inline int strict(const struct ebg_config *config)
{
	return config->judges_names && enforces(config);
}

/* Returns the total under which an access counts. */
static __always_inline enum ebg_verdict verdict_of(const struct judgement *it, int refused)
{
	return refused ? EBG_VERDICT_DENIED : it->deny ? EBG_VERDICT_WOULD_DENY : EBG_VERDICT_ALLOWED;
}

/* The guard's own attempts are counted, and not recorded. */
static __always_inline int is_canary(__u32 rule)
{
	return rule - EBG_RULE_CANARY < EBG_OUTAGES;
}

/* In a drill where what is denied refuses connections, its name is found as ever. */
static __always_inline struct judgement judge_found_name(void)
{
	return (struct judgement){ EBG_RULE_DEFAULT, 0 };
}

/* --- what can't be read --- */

/* A packet, a path, or a socket's address. */
static __always_inline struct judgement judge_unreadable(void)
{
	return (struct judgement){ EBG_RULE_UNREADABLE, 1 };
}

/* A name. It could be any name, and that matters only where some are denied. */
static __always_inline struct judgement judge_unreadable_name(const struct ebg_config *config)
{
	return (struct judgement){ EBG_RULE_UNREADABLE, config->judges_names };
}

/* --- addresses --- */

/* A judgement by this ruling, or by the policy's default where no rule speaks. */
static __always_inline struct judgement judge_by(const struct ebg_config *config, __u64 ruling)
{
	return ruling ? judgement_of(ruling) : (struct judgement){ EBG_RULE_DEFAULT, config->default_deny };
}

/* One matcher, and a protocol and port (protocol << 16 | port). */
static __always_inline __u64 judge_port(const struct ebg_port *matcher, __u32 protocol_port)
{
	__u32 protocol = protocol_port >> 16, port = protocol_port & 0xffff;

	if (!matcher)
		return RULING_DAMAGED;
	if ((matcher->protocol != EBG_PROTOCOL_ANY && matcher->protocol != protocol) || port < matcher->low ||
	    port > matcher->high)
		return 0;
	return ruled(matcher->rule, matcher->deny);
}

/* An answer says where a name is. `asked`: somebody inside asked for it a moment ago. */
static __always_inline int is_believed(enum ebg_source source, int from_resolver, int asked)
{
	return source == EBG_SOURCE_TAUGHT || (source == EBG_SOURCE_PACKET && from_resolver && asked);
}

/* The ruling of a lead. An answer that is not believed may only make more denied. */
static __always_inline __u64 judge_lead(__u64 ruling, int doubted)
{
	return doubted && !(ruling & RULING_DENY) ? 0 : ruling;
}

/* A lead to an address whose time to live is over. What it denied is over, too. */
static __always_inline __u64 judge_past_lead(__u64 ruling)
{
	return ruling && !(ruling & RULING_DENY) ? ruling | RULING_PAST : 0;
}

/* The names that lead to an address, by their rulings: one that denies, and one that does not. */
struct names_weighed {
	__u64 denied;
	__u64 allowed;
	__u64 past; /* one that did not deny, and whose time to live is over */
};

/*
 * Returns the ruling to keep of those with this flag; 0: of those that allow. The report names a rule rather than the
 * default, so a ruling by a rule is kept. A global function: the verifier need not follow each name for all that the
 * earlier ones were.
 */
FUNCTION(__u64, weigh_ruling, __u64 kept, __u64 ruling, __u32 flag)
{
	if (!ruling || (ruling & RULING_PAST ?: ruling & RULING_DENY) != flag)
		return kept;
	return !flag && kept && rule_of(ruling) == EBG_RULE_DEFAULT ? kept : ruling;
}

/* Adds a name's ruling, if it has one. */
static __always_inline void weigh_name(struct names_weighed *names, __u64 ruling)
{
	names->past = weigh_ruling(names->past, ruling, RULING_PAST);
	names->denied = weigh_ruling(names->denied, ruling, RULING_DENY);
	names->allowed = weigh_ruling(names->allowed, ruling, 0);
}

/*
 * All names that lead to an address. Where there was no room for all, those that deny were kept. `networks`: what holds
 * without a name. Some programs use an address for longer than its time to live, and what they present can tell.
 */
static __always_inline __u64 judge_names(const struct names_weighed *names, __u64 networks)
{
	__u64 denied = names->denied;

	if (!denied && !names->allowed && names->past && networks & RULING_DENY)
		denied = networks;
	if (!denied)
		return names->allowed;
	return denied | (names->allowed || names->past ? RULING_UNDECIDED : 0);
}

/* The verdict over an address. */
struct address_judgement {
	struct judgement it;
	struct judgement other; /* over a name on it that no rule speaks of */
	__u32 undecided;        /* 1: some of its names are denied, some not; `it` holds where none is presented */
};

/* The verdict over an address in one number. Rules have less than 2^27 numbers, see enum ruling. */
static __always_inline __u64 packed(const struct address_judgement *judged)
{
	return (__u64)(judged->it.rule << 1 | judged->it.deny) << 32 | (__u64)judged->undecided << 63 |
	       (judged->other.rule << 1 | judged->other.deny);
}

static __always_inline struct address_judgement unpacked(__u64 judged)
{
	__u32 it = judged >> 32 & 0x7fffffff, other = judged;

	return (struct address_judgement){ { it >> 1, it & 1 }, { other >> 1, other & 1 }, judged >> 63 };
}

/* The names that lead to an address go before its networks. `names`: as judge_names() returns it. */
static __always_inline struct address_judgement judge_address(struct judgement networks, __u64 names)
{
	struct address_judgement judged = { .it = networks, .other = networks };

	if (names & RULING)
		judged.it = judgement_of(names);
	judged.undecided = !!(names & RULING_UNDECIDED);
	return judged;
}

/*
 * The address of a connect(2) or a datagram. An undecided address gets no verdict at connect(2) yet. The name that a
 * TCP connection presents will decide. A datagram socket has only asked for a route so far, and its packets are judged.
 */
static __always_inline struct judgement judge_on_socket(const struct address_judgement *address, int connects)
{
	return address->undecided && connects ? (struct judgement){} : address->it;
}

/*
 * A connection that was opened under earlier rules. `presented`: its first bytes have passed, and the name in them is
 * not known any more. Then it counts as a name that no rule speaks of. Before that, they will decide.
 */
static __always_inline struct judgement judge_again(const struct address_judgement *address, int presented)
{
	if (address->undecided)
		return presented ? address->other : (struct judgement){};
	return address->it;
}

/*
 * Where the host's NAT leads a connection whose own address may be reached. Only a rule that speaks of that other
 * address denies it: by default it counts as the address that the process asked for.
 */
static __always_inline struct judgement judge_behind_nat(const struct address_judgement *there)
{
	return there->it.rule == EBG_RULE_DEFAULT || there->undecided ? (struct judgement){} : there->it;
}

/* --- names --- */

/* A DNS question that could be read. `found`: what the rules say of its name. */
static __always_inline struct judgement judge_question(const struct ebg_config *config,
						       const struct ebg_name_rules *found)
{
	if (found->asked_rule)
		return (struct judgement){ found->asked_rule, found->asked_deny };
	return judge_by(config, 0);
}

/* The first bytes of a connection present one of these. */
enum presented {
	PRESENTED_NOTHING,
	PRESENTED_NAME,
	PRESENTED_UNREADABLE, /* it may hide any name */
};

/*
 * The first bytes of a connection. `name`: the ruling over the name that they present; 0 where no rule speaks of it.
 * `address`: the verdict over the address at connect(2). Where no name is presented and the address was undecided, its
 * rule denies now. Any other verdict over the address has been carried out at connect(2).
 */
static __always_inline struct judgement judge_presented(const struct ebg_config *config, enum presented presented,
							__u64 name, const struct address_judgement *address)
{
	if (presented == PRESENTED_UNREADABLE)
		return judge_unreadable_name(config);
	if (presented == PRESENTED_NAME)
		return name ? judgement_of(name) : address->other;
	return (struct judgement){ address->it.rule, address->undecided };
}

/* Two names for one request, by their rulings: is the first one worse? No rule is worse than one that allows. */
static __always_inline int is_worse(__u64 one, __u64 other)
{
	return one & RULING_DENY ? !(other & RULING_DENY) : !one && other && !(other & RULING_DENY);
}

/* --- paths --- */

static __always_inline __u64 judge_file_rule(const struct ebg_file_rule *rule)
{
	return rule ? ruled(rule->rule, rule->deny) | (rule->remote ? RULING_REMOTE : 0) : 0;
}

/* Two rulings over the same thing, by its inode and by its path, say. On a tie, deny. */
static __always_inline __u64 stricter(__u64 one, __u64 other)
{
	return one & RULING_DENY || !other ? one : other;
}

/* A rule for a path goes before one for the type. Under both, the file comes over a network. */
static __always_inline __u64 judge_type(__u64 path, __u64 type)
{
	return path ? path | (type & RULING_REMOTE) : type;
}

/* All files on a mount. `above`: from where it hangs up to the root. `type`: of its file system. */
static __always_inline __u64 judge_mount(__u64 above, __u64 type)
{
	return judge_type(above, type ? type | RULING_OF_TYPE : 0);
}

/* A file. `on_mount`: from itself up to the root of its mount. `mount`: as judge_mount() returns it. */
static __always_inline __u64 judge_file(__u64 on_mount, __u64 mount)
{
	return judge_type(mount & RULING_OF_TYPE ? on_mount : stricter(on_mount, mount), mount);
}

/* --- ways out --- */

/* A process, or a child that it begins, goes to a cgroup outside. */
static __always_inline __u64 judge_leaving(const struct ebg_config *config)
{
	return config && !config->lock ? ruled(EBG_RULE_OUTWARD, 0) : ruled(EBG_RULE_LOCK, 1);
}

/* The child of a clone3(2) with these flags. The guard's canary is a pair of flags that nobody else asks for. */
static __always_inline __u64 judge_clone(const struct ebg_config *config, __u64 flags)
{
	return (flags & EBG_CLONE_CANARY) == EBG_CLONE_CANARY ? ruled(EBG_RULE_CANARY, 1) : judge_leaving(config);
}

/* A file that is opened for writing. The rules for sockets don't count: open(2) leads to no socket. */
static __always_inline __u64 judge_writing(__u64 inode)
{
	return rule_of(inode) < EBG_RULE_FIRST ? inode : 0;
}

#endif
#line 13 "bpf/scratch.h"

#define EBG_SLOTS 16
#define EBG_MESSAGE 4096 /* bytes of a message that are looked at */
#define EBG_LABELS 128   /* a name has at most 127 */

enum opened_flag {
	OPENED_STARTED = 1, /* `next` is known */
	OPENED_JUDGED = 2,  /* what it presents has passed: its packets are looked at no more */
	OPENED_DENIED = 4,  /* nothing of it leaves any more */
	OPENED_AGAIN = 8,   /* its data can present another name later: through a proxy, or once it becomes TLS */
	OPENED_SILENT = 128, /* of one that is denied: nobody is told, in either direction */
	OPENED_ANSWERED = 256, /* the same: the agent has answered its question */
	OPENED_TUNNEL = 64, /* its data goes to the server that CONNECT named, from the next byte on */
	/* of UDP */
	OPENED_SENDS = 16,    /* the next datagram goes to `to`, wherever the socket is connected to */
	OPENED_RECORDED = 32, /* that `to` is denied stands in the ledger */
};

/*
 * A TCP connection that was opened inside the guard: who opened it, the verdict over its address, and its data. Of a UDP
 * socket, `to` is where it was told to send, under the rules of `generation`.
 */
struct opened {
	struct ebg_run run;
	struct ebg_endpoint to; /* as connect(2) has it: the host's NAT may lead elsewhere */
	struct address_judgement address;
	__u32 generation; /* of the rules that judged the address */
	__u32 flags;
	__u32 uid;
	__u32 port; /* for the name that comes next: of the server behind a proxy, else the connection's */
	__u32 next; /* the sequence number of the first byte that was not looked at */
	__u32 kept; /* bytes in ebg_head */
	__u32 sent; /* bytes that have left of the message */
	__u32 skip; /* bytes behind `next` that belong to a question that was read */
	__u32 held; /* since when the first bytes are held back, in steps of 2^20 ns; 0: they are not */
	__u32 waiting; /* how many they are */
};

struct scratch {
	__u8 message[EBG_MESSAGE] __attribute__((aligned(8)));
	__u8 name[EBG_NAME]; /* the last name that was read, in the form of DNS messages */
	__u8 overhang[EBG_NAME]; /* the verifier believes that a copied part of the name may reach in here */
	__u8 compared[2][EBG_NAME];   /* two names, or parts of them */
	struct ebg_heard heard;       /* of an answer: the question's name, and the name to which it led */
	__u32 introduced;             /* 1: the question's name is in `heard` already */
	struct ebg_name_rules decided; /* of an answer: the rules that decide */
	__u64 question;               /* of an answer: the hash of the question's name */
	__u32 source;                 /* of an answer: enum ebg_source */
	__u32 from_resolver;          /* 1: it comes from the address of one of the host's resolvers */
	__u32 question_size, target_size; /* bytes of the names in `heard`, with the 0 at their ends */
	struct ebg_name_rules found; /* the rules for `name` */
	__u64 hash;                  /* of `name` */
	__u32 kept_in, kept_at;      /* where `name` is among recent names, if the mark there is its own */
	__u64 labels[EBG_LABELS];    /* the hashes of the labels of `name` */
	__u8 starts[EBG_LABELS];     /* where they begin in `name` */
	struct ebg_alias alias;          /* of an answer: what the question's name is an alias of */
	__u32 first;                 /* of the labels of the name that counts: the service in front does not */
	__u64 label;                 /* the hash of the label that is being read */
	__u64 ruling;                /* over a name that is presented */
	__u32 kind, presented, wait; /* what the first bytes of a connection are, see look() */
	__u32 strict;                /* 1: a name in text ends with its length, and at no character */
	__u32 proxied;               /* 1: the name is of the server behind a proxy */
	__u32 tunnel;                /* 1: what comes behind the head goes to that server */
	__u32 head;                  /* where the head of a request ends, or 0 */
	__u32 base;                  /* where the message itself begins: behind a header of the PROXY protocol */
	__u32 host, target;          /* positions of names in a message, or 0 */
	__u32 span;                  /* bytes that the name can have at most */
	__u32 port;                  /* that a target names, or means */
	__u32 odd;                   /* 1: servers would not agree what this head presents */
	__u32 bare, binary;          /* 1: the line has a CR without an LF, or a byte below 9 */
	__u32 user, line, behind_host, versioned; /* of the head that is read */
	__u64 among[4];              /* the characters of a run, a bit for each */
	__u32 whole, huffman;        /* of HTTP/2: the frame has all headers; the host is in a code */
	__u32 slot;                  /* its own number */
	__u32 size;                  /* bytes in message */
	__u32 position, left, length, count, written, piece, copied, after, jumps, follow, digits, cut;
	__u32 cursor, end;           /* positions of a walk through a message, which reads names on its way */
	struct opened connection;    /* the one whose data is read */
	struct ebg_endpoint to;      /* where its packet goes */
	__u32 start;                 /* where the DNS message that is read begins */
	__u32 from;                  /* where in the packet the data begins that is read next */
	__u32 outage, refused;       /* what was refused last: how it is down, and by which rule */
	__u64 entry, mount;          /* the step of a walk up a tree: addresses in the kernel */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} ebg_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_claims SEC(".maps");

static __always_inline struct scratch *scratch(__u32 slot)
{
	return bpf_map_lookup_elem(MAP(ebg_scratch), &slot);
}

/*
 * Returns the memory of a free slot, or NULL. It works without atomics that return something, because kernels before
 * 5.12 lack them. The slot's number is in its memory, so that the verifier need not follow each number by itself.
 */
static __always_inline struct scratch *claim(void)
{
	__u32 slot;

	for (slot = 0; slot < EBG_SLOTS; slot++) {
		__u32 key = slot;
		__u64 *claims = bpf_map_lookup_elem(MAP(ebg_claims), &key);
		struct scratch *s = scratch(key);

		if (!claims || !s)
			break;
		__sync_fetch_and_add(claims, 1);
		if (FORGET(*claims) == 1) {
			FORGET(s->slot) = slot;
			return s;
		}
		__sync_fetch_and_add(claims, -1);
	}
	return NULL;
}

static __always_inline void release(struct scratch *s)
{
	__u32 slot = FORGET(s->slot);
	__u64 *claims = bpf_map_lookup_elem(MAP(ebg_claims), &slot);

	if (claims)
		__sync_fetch_and_add(claims, -1);
}

static __always_inline __u32 byte_at(struct scratch *s, __u32 position)
{
	return s->message[BELOW(EBG_MESSAGE, position)];
}

static __always_inline __u32 word_at(struct scratch *s, __u32 position)
{
	return byte_at(s, position) << 8 | byte_at(s, position + 1);
}

/* Is [position, position + length) inside the message that was loaded? */
static __always_inline int holds(struct scratch *s, __u32 position, __u32 length)
{
	__u32 size = FORGET(s->size);

	return position < EBG_MESSAGE && position + length <= size && size <= EBG_MESSAGE;
}

#endif
#line 13 "bpf/maps.h"


/* max_entries of these four: set by the loader to what the policy needs */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_net_key);
	__type(value, struct ebg_slice);
} ebg_nets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct ebg_name);
} ebg_names SEC(".maps");

/*
 * The names of the rules, in the form of DNS messages. Each begins with a word of its own; its last one ends with 0. The
 * loader writes them as memory: word by word it would take a while.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} ebg_text SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_port);
} ebg_ports SEC(".maps");

/*
 * A lead: a name with rules leads to this address, or to this name. It has the slice of the name's rules, and until
 * when it holds, in one word so that it is read whole: ticks since boot, 23 bits of the slice's start, the two flags, 7
 * bits of its length. 0: no lead.
 */
typedef __u64 lead_t;

#define EBG_LEAD_FIRST_SHIFT 9
#define EBG_LEAD_DOUBTED 0x100 /* it may deny, and never allow */
#define EBG_LEAD_DENIES 0x80   /* some matcher of the slice denies */
#define EBG_LEAD_COUNT 0x7f

#define EBG_FOR_EVER 0xffffffffULL

/* CLOCK_MONOTONIC, some milliseconds late where the kernel can tell that faster (5.11 and later): as the last timer found it. */
static __always_inline __u64 about_now(void)
{
	return HAS_COARSE_CLOCK ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

static __always_inline __u32 ticks(void)
{
	return about_now() >> EBG_TICK_BITS;
}

/* One lead for each slice, not for each name: names under the same rules share a lead. */
struct known_lead {
	__u64 address[2];
	lead_t lead;
};

#define EBG_WAYS 16 /* leads in a set */

struct leads {
	struct bpf_spin_lock lock; /* for readers, too: a lead gives way to one of another address */
	__u32 padding;
	__u64 chosen; /* of the writer that has the lock; here, because the verifier forgets what is in memory */
	struct known_lead way[EBG_WAYS];
};

/*
 * The leads of all addresses, in sets, by the first bits of the addresses' hashes. A set is made when it is first needed
 * and stays, so nobody can read a piece of memory that has just become another address's.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_LEADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct leads);
} ebg_addresses SEC(".maps");

/* By the hash of the alias's name. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_HEARD);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct ebg_alias);
} ebg_aliases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_HEARD);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_heard_key);
	__type(value, struct ebg_heard);
} ebg_heard SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EBG_MAX_ASKED);
	__type(key, struct ebg_asked);
	__type(value, __u8);
} ebg_asked SEC(".maps");

/* By a hash. An answer is believed if it answers one of these. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_MAX_PENDING);
	__type(key, __u32);
	__type(value, struct ebg_pending);
} ebg_pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EBG_REFUSALS);
} ebg_refused SEC(".maps");

/* The TCP sockets that opened a connection from inside the guard. A socket that is not here has accepted its own. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct opened);
} ebg_opened SEC(".maps");

#define EBG_PART 1024 /* bytes that are added to a message at once */

/* What has left of a message that is not whole yet. To the verifier, a part may begin at the last byte of a message. */
struct head {
	__u8 bytes[EBG_MESSAGE + EBG_PART]; /* Linux 7.2 has no memory for more than 8 KiB here */
};

/* Only connections that send the message in pieces have one, and only until it is whole. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct head);
} ebg_head SEC(".maps");

#endif
#line 13 "bpf/recent.h"


#define EBG_RECENT_BITS 8

struct recent {
	struct cell cell;
	__u64 address[2];
	__u64 changes; /* of the address's leads, before the verdict */
	__u32 protocol_port;
	__u32 until; /* ticks */
	struct address_judgement judged;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_BITS);
	__type(key, __u32);
	__type(value, struct recent);
} ebg_recent SEC(".maps");

/* How often leads changed, of all addresses whose hashes begin alike. */
struct changes {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_BITS);
	__type(key, __u32);
	__type(value, struct changes);
} ebg_changes SEC(".maps");

static __always_inline __u64 hash_of(const __u64 *address)
{
	return mixed(address[0], address[1]) * EBG_HASH_PRIME;
}

static __always_inline struct changes *changes_of(__u64 hash)
{
	__u32 index = hash >> (64 - EBG_RECENT_BITS);

	return bpf_map_lookup_elem(MAP(ebg_changes), &index);
}

static __always_inline struct recent *recent_of(__u64 hash, __u32 protocol_port)
{
	__u32 index = (hash ^ protocol_port * EBG_HASH_PRIME) >> (64 - EBG_RECENT_BITS);

	return bpf_map_lookup_elem(MAP(ebg_recent), &index);
}

/*
 * Makes all earlier verdicts over the address void, once its leads have changed. With a lock and not with an atomic: no
 * CPU may see the new count before it sees the new leads.
 */
static __always_inline void count_change(const __u64 *address)
{
	struct changes *changes = changes_of(hash_of(address));

	if (!changes)
		return;
	bpf_spin_lock(&changes->lock);
	changes->count++;
	bpf_spin_unlock(&changes->lock);
}

/*
 * Returns `value`, and makes it depend on `earlier`. A CPU that reads ahead can't read what follows from `value` before
 * it has read `earlier`.
 */
static __always_inline __u64 after(__u64 earlier, __u64 value)
{
	value ^= earlier;
	barrier_var(value);
	return value ^ earlier;
}

/* Returns 1 where a verdict is kept that still holds. */
static __always_inline int recall(struct recent *recent, const __u64 *address, __u32 protocol_port, __u64 changes,
				  struct address_judgement *judged)
{
	__u32 version = begin_read(&recent->cell), until;

	if (!version || recent->address[0] != address[0] || recent->address[1] != address[1] ||
	    recent->protocol_port != protocol_port || recent->changes != changes)
		return 0;
	until = recent->until;
	*judged = recent->judged;
	return was_whole(&recent->cell, version) && (until == EBG_FOR_EVER || ticks() <= until);
}

static __always_inline void keep(struct recent *recent, const __u64 *address, __u32 protocol_port, __u64 changes,
				 const struct address_judgement *judged, __u32 until)
{
	if (begin_write(&recent->cell)) {
		recent->address[0] = address[0];
		recent->address[1] = address[1];
		recent->protocol_port = protocol_port;
		recent->changes = changes;
		recent->until = until;
		recent->judged = *judged;
	}
	end_write(&recent->cell);
}

#endif
#line 7 "bpf/address.h"
#line 1 "bpf/rules.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The rules for a network or a name, asked about a protocol and port. */
#ifndef EBG_RULES_H
#define EBG_RULES_H




/* One matcher. A function of its own, like the steps in name.h: the verifier checks it once, and not in each turn. */
FUNCTION(__u64, match_step, __u32 index, __u32 protocol_port)
{
	return judge_port(bpf_map_lookup_elem(MAP(ebg_ports), &index), protocol_port);
}

/*
 * The ruling of a slice over a protocol and port (protocol << 16 | port). Port 0 with protocol 0 asks for what holds
 * for all of them.
 */
FUNCTION(__u64, match, __u32 first, __u32 count, __u32 protocol_port)
{
	__u64 ruling = 0;
	__u32 i;

	for (i = 0; i < EBG_SLICE && i < count && !ruling; i++)
		ruling = match_step(first + i, protocol_port);
	return ruling ?: count > EBG_SLICE ? RULING_DAMAGED : 0;
}

static __always_inline __u32 protocol_port(const struct ebg_endpoint *to)
{
	return (__u32)to->protocol << 16 | to->port;
}

/* `until`: CLOCK_MONOTONIC, ns. Rounded up, so that it holds for a tick more: the same answer may come again meanwhile. */
static __always_inline lead_t lead_of(const struct ebg_name_rules *rules, __u64 until, __u32 doubted)
{
	__u32 flags = (rules->denies ? EBG_LEAD_DENIES : 0) | (doubted ? EBG_LEAD_DOUBTED : 0);

	until = (until + (1ULL << EBG_TICK_BITS) - 1) >> EBG_TICK_BITS;
	if (until > EBG_FOR_EVER / 4) /* some thirty years */
		until = EBG_FOR_EVER;
	if (rules->slice.count)
		flags |= rules->slice.first << EBG_LEAD_FIRST_SHIFT | (rules->slice.count & EBG_LEAD_COUNT);
	return until << 32 | flags;
}

/* The ruling of the slice that a lead leads to. */
static __always_inline __u64 follow(lead_t lead, __u32 protocol_port)
{
	__u64 ruling = match((__u32)lead >> EBG_LEAD_FIRST_SHIFT, lead & EBG_LEAD_COUNT, protocol_port);

	return judge_lead(ruling, lead & EBG_LEAD_DOUBTED);
}

#endif
#line 8 "bpf/address.h"

#define EBG_LEADS_BITS 14
_Static_assert(1 << EBG_LEADS_BITS == EBG_MAX_LEADS, "each set has a number");

/* The ruling of the networks that an address is in. */
static __always_inline __u64 network_ruling(const __u64 *address, __u32 protocol_port)
{
	struct ebg_net_key key = { .prefix_length = 128 };
	const struct ebg_slice *slice;

	__builtin_memcpy(key.address, address, sizeof(key.address));
	/* The compiler of the rules has put the matchers of wider networks behind those of this one. */
	slice = bpf_map_lookup_elem(MAP(ebg_nets), &key);
	return slice ? match(slice->first, slice->count, protocol_port) : 0;
}

static __always_inline struct leads *leads_of(const __u64 *address)
{
	__u32 index = hash_of(address) >> (64 - EBG_LEADS_BITS);

	return bpf_map_lookup_elem(MAP(ebg_addresses), &index);
}

/* Returns a bit for each way of the set that has a lead to the address. The stack has no room for the leads. */
FUNCTION(__u32, find_leads, __u64 high, __u64 low)
{
	__u64 words[2] = { high, low };
	struct leads *leads = leads_of(words);
	__u32 found = 0;
	int i;

	if (!leads)
		return 0;
	bpf_spin_lock(&leads->lock);
#pragma nounroll
	for (i = 0; i < EBG_WAYS; i++) {
		const struct known_lead *way = &leads->way[i];
		__u64 differs = (way->address[0] ^ high) | (way->address[1] ^ low);

		/* without a branch: the verifier would follow each way for all that came before it */
		differs |= -differs;
		barrier_var(differs);
		found |= (__u32)(differs >> 63 ^ 1) << i;
	}
	bpf_spin_unlock(&leads->lock);
	return found;
}

/* How long an allowed name's address stays open once it was told or used, and when a use counts; in ticks. */
#define EBG_HOLD 560  /* some ten minutes */
#define EBG_RENEW 280 /* left */

/* Does this lead only allow, and not for ever? Then each use of the address has it hold longer. */
static __always_inline int is_renewed(lead_t lead)
{
	return lead & EBG_LEAD_COUNT && !(lead & (EBG_LEAD_DENIES | EBG_LEAD_DOUBTED)) && lead >> 32 < EBG_FOR_EVER;
}

/* The lead of a way, renewed if it is time for that; or 0 where it has become another address's. */
FUNCTION(__u64, use_lead, __u64 high, __u64 low, __u32 index, __u32 now)
{
	__u64 words[2] = { high, low }, lead = 0;
	struct leads *leads = leads_of(words);
	struct known_lead *way;

	if (!leads)
		return 0;
	way = &leads->way[BELOW(EBG_WAYS, index)];
	bpf_spin_lock(&leads->lock);
	if (way->address[0] == high && way->address[1] == low) {
		lead = way->lead;
		if (is_renewed(lead) && lead >> 32 >= now && lead >> 32 < now + EBG_RENEW) {
			lead = (__u64)(now + EBG_HOLD) << 32 | (__u32)lead;
			way->lead = lead;
		}
	}
	bpf_spin_unlock(&leads->lock);
	return lead;
}

/* Until when the ruling of a lead may be kept, in ticks: until it ends, or has to be renewed. What is over stays over. */
static __always_inline __u64 until_of_lead(lead_t lead, __u32 now)
{
	__u64 until = lead >> 32;

	if (until < now)
		return EBG_FOR_EVER;
	return is_renewed(lead) ? until - EBG_RENEW : until;
}

/* The ruling of a lead to an address. `networks`: what holds for a name that no rule speaks of. */
static __always_inline __u64 rule_lead(lead_t lead, __u32 protocol_port, __u64 networks, __u32 now)
{
	__u64 ruling = follow(lead, protocol_port);

	if (lead >> 32 < now)
		return judge_past_lead(ruling);
	return ruling ?: lead & EBG_LEAD_DOUBTED ? 0 : networks;
}

#define EBG_UNTIL_SHIFT 32 /* of what weigh() and its step return: until when, in ticks, above the ruling */

/* The lead of one way. A step of weigh() as a function of its own, as those in name.h. */
FUNCTION(__u64, weigh_lead, __u64 high, __u64 low, __u32 index, __u32 protocol_port, __u64 networks)
{
	__u32 now = ticks();
	lead_t lead = use_lead(high, low, index, now);

	if (!lead)
		return EBG_FOR_EVER << EBG_UNTIL_SHIFT;
	return until_of_lead(lead, now) << EBG_UNTIL_SHIFT | rule_lead(lead, protocol_port, networks, now);
}

/* The earlier of two moments. As weigh_ruling(). */
FUNCTION(__u64, sooner, __u64 one, __u64 other)
{
	return one < other ? one : other;
}

/*
 * The ruling of the names that lead to an address: 0 where none does. In the upper half, in ticks, until when it holds.
 * `networks`: what holds for a name that no rule speaks of. A global function, which the verifier checks once. It takes
 * numbers alone: the address comes as two words, as they stand in memory.
 */
FUNCTION(__u64, weigh, __u64 high, __u64 low, __u32 protocol_port, __u64 networks)
{
	__u32 i, found = find_leads(high, low);
	struct names_weighed names = {};
	__u64 until = EBG_FOR_EVER;

	for (i = 0; i < EBG_WAYS; i++) {
		__u64 weighed;

		if (!(found >> i & 1))
			continue;
		weighed = weigh_lead(high, low, i, protocol_port, networks);
		weigh_name(&names, (__u32)weighed);
		until = sooner(until, weighed >> EBG_UNTIL_SHIFT);
	}
	return until << EBG_UNTIL_SHIFT | judge_names(&names, networks);
}

/* The host's own resolver. Its questions are judged by name, whatever else has its address. */
static __always_inline int is_resolver(const struct ebg_config *config, const __u64 *words, __u32 port)
{
	int i;

	if (port != EBG_DNS_PORT)
		return 0;
	for (i = 0; i < EBG_RESOLVERS; i++)
		if (words[0] == config->resolvers[i][0] && words[1] == config->resolvers[i][1])
			return 1;
	return 0;
}

/* The verdict over an address, whose bytes are these words: the one that was kept, or a new one. */
static __always_inline struct address_judgement find_verdict(const struct ebg_config *config, const __u64 *words,
							     __u32 protocol_port)
{
	__u64 hash = hash_of(words), known, weighed = (__u64)EBG_FOR_EVER << EBG_UNTIL_SHIFT;
	struct recent *recent = recent_of(hash, protocol_port);
	const struct changes *changes = changes_of(hash);
	struct address_judgement judged = {};
	struct judgement networks;

	if (!recent || !changes) /* never: both are arrays */
		return judge_address(judgement_of(RULING_DAMAGED), 0);
	known = FORGET(changes->count);
	if (recall(recent, words, protocol_port, known, &judged))
		return judged;
	networks = judge_by(config, network_ruling(words, protocol_port));
	if (!is_resolver(config, words, (__u16)protocol_port))
		weighed = weigh(words[0], after(known, words[1]), protocol_port, ruled(networks.rule, networks.deny));
	judged = judge_address(networks, (__u32)weighed);
	keep(recent, words, protocol_port, known, &judged, weighed >> EBG_UNTIL_SHIFT);
	return judged;
}

/* A function of its own, which the verifier checks once. */
FUNCTION(__u64, packed_verdict, __u64 high, __u64 low, __u32 protocol_port)
{
	const struct ebg_config *config = configuration();
	__u64 words[2] = { high, low };
	struct address_judgement judged;

	if (!config)
		return packed(&(struct address_judgement){ .it = { EBG_RULE_DEFAULT, 1 }, .other = { EBG_RULE_DEFAULT, 1 } });
	judged = find_verdict(config, words, protocol_port);
	return packed(&judged);
}

static __always_inline struct address_judgement verdict_over(const struct ebg_endpoint *to)
{
	__u64 words[2];

	__builtin_memcpy(words, to->address, sizeof(words));
	return unpacked(packed_verdict(words[0], words[1], protocol_port(to)));
}

#endif
#line 7 "bpf/message.h"
#line 1 "bpf/http.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The names in the head of an HTTP request: in its target, and in its Host header. Servers differ in what they take for
 * a head. What any of them would take is read here. Where they would not agree on the name, it is unreadable.
 */
#ifndef EBG_HTTP_H
#define EBG_HTTP_H

#line 1 "bpf/http2.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The name in the first request of HTTP/2 without TLS, as gRPC and etcd speak it. Its headers are packed (HPACK, RFC
 * 7541): fields with numbers for known names, and text in a Huffman code.
 */
#ifndef EBG_HTTP2_H
#define EBG_HTTP2_H

#line 1 "bpf/sight.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* What TLS and HTTP have in common where a name is looked for: results, and the search for the end of a line. */
#ifndef EBG_SIGHT_H
#define EBG_SIGHT_H

#line 1 "bpf/bytes.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Eight bytes of a text at a time. In a result, the highest bit of a byte stands for that byte. */
#ifndef EBG_BYTES_H
#define EBG_BYTES_H




#define EBG_EIGHT(c) ((__u64)(c) * 0x0101010101010101ULL) /* eight times this byte */
#define EBG_HIGHEST EBG_EIGHT(0x80)

/* The bytes that are 0. Behind such a byte, a byte of 1 may count as 0, too. */
static __always_inline __u64 zero_bytes(__u64 word)
{
	return (word - EBG_EIGHT(1)) & ~word & EBG_HIGHEST;
}

/* The bytes that are `c`. Behind such a byte, others may count, too. */
static __always_inline __u64 bytes_like(__u64 word, __u8 c)
{
	return zero_bytes(word ^ EBG_EIGHT(c));
}

/* The bytes from `c` on, of those below 128. `c`: 128 at most. */
static __always_inline __u64 bytes_from(__u64 word, __u8 c)
{
	return ((word | EBG_HIGHEST) - EBG_EIGHT(c)) & ~word & EBG_HIGHEST;
}

static __always_inline __u64 bytes_below(__u64 word, __u8 c)
{
	return ~((word | EBG_HIGHEST) - EBG_EIGHT(c)) & ~word & EBG_HIGHEST;
}

/* All bits in front of the first byte of a result; all that there are, where it has none. */
static __always_inline __u64 bits_before(__u64 found)
{
	return (found & -found) - 1;
}

/* The place of the first byte of a result, which has one. */
static __always_inline __u32 first_place(__u64 found)
{
	return ((found & -found) >> 7) * 0x0001020304050607ULL >> 56;
}

/* In lower case. */
static __always_inline __u64 lower(__u64 word)
{
	return word | (bytes_from(word, 'A') & ~bytes_from(word, 'Z' + 1)) >> 2;
}

#endif
#line 7 "bpf/sight.h"


/* The functions that look for a name return its position, or one of these. */
enum sight {
	SIGHT_NOTHING = 0,
	SIGHT_UNREADABLE = -1,
	SIGHT_PARTIAL = -2, /* the message needs more bytes: s->wait has their number */
	SIGHT_FURTHER = -3, /* the name may stand in the next part */
};

/* Asks for more bytes: `size` in all. A message that fills the memory gets no more, and is read as it is. */
static __always_inline int want(struct scratch *s, __u32 size)
{
	if (FORGET(s->size) >= EBG_MESSAGE)
		return SIGHT_UNREADABLE;
	s->wait = size < EBG_MESSAGE ? size : EBG_MESSAGE;
	return SIGHT_PARTIAL;
}

/*
 * Looks for the end of a line in the eight bytes at `position`, of which `left` are in the message. Returns how many
 * bytes the line has here, with its end, or 0. It notes a CR that no LF follows, and a byte that no text has.
 */
static __always_inline __u32 line_end(struct scratch *s, const __u8 *position, __u32 left)
{
	__u64 word = *(__u64 *)position, found, before;

	if (left < 8)
		word |= ~0ULL << (left * 8 & 63);
	found = bytes_like(word, '\n');
	before = bits_before(found);
	s->bare |= !!(bytes_like(word, '\r') & before & ~bytes_like(*(__u64 *)(position + 1), '\n'));
	s->binary |= !!(bytes_below(word, '\t') & before);
	return found ? first_place(found) + 1 : 0;
}

#define EBG_LINE_STEP 64

/* Looks at the next bytes of a line. Returns where the next line begins, or 0, or -1 at the end of the message. */
FUNCTION(int, line_step, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	__u32 i, length, left;

	if (!s || position >= FORGET(s->size))
		return -1;
	left = FORGET(s->size) - position;
#pragma unroll
	for (i = 0; i < EBG_LINE_STEP; i += 8) {
		if (i >= left)
			return -1;
		length = line_end(s, s->message + BELOW(EBG_MESSAGE, position) + i, left - i);
		if (length)
			return position + i + length;
	}
	return 0;
}

/* Returns where the next line starts, or 0. */
FUNCTION(int, next_line, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	int next = 0;
	__u32 i;

	if (!s)
		return 0;
	s->bare = s->binary = 0;
	for (i = 0; i < EBG_MESSAGE / EBG_LINE_STEP && !next; i++)
		next = line_step(slot, start + i * EBG_LINE_STEP);
	return next > 0 ? next : 0;
}

#endif
#line 10 "bpf/http2.h"

#define EBG_H2_PREFACE 24
#define EBG_H2_FRAME 9 /* bytes of a frame's header */
#define EBG_H2_FRAMES 32 /* up to the first request's, that are looked at */
#define EBG_H2_LONGEST 16384 /* bytes of a frame, as long as the server has not allowed more */
#define EBG_H2_FIELDS 64 /* of the request, that are looked at */
#define EBG_H2_HEADERS 1
#define EBG_H2_END_HEADERS 4
#define EBG_H2_PADDED 8
#define EBG_H2_PRIORITY 0x20
#define EBG_H2_AUTHORITY 1 /* numbers of known names */
#define EBG_H2_HOST 38

/* Does the preface of HTTP/2 begin at `position`? It looks like a request: `PRI * HTTP/2.0`. */
static __always_inline int is_http2(struct scratch *s, __u32 position)
{
	return word_at(s, position) == 0x5052 && word_at(s, position + 2) == 0x4920 &&
	       word_at(s, position + 4) == 0x2a20 && byte_at(s, position + 11) == '2';
}

/* Goes over the frame at s->cursor. Returns 1 where it has the headers of a request: from s->cursor to s->end. */
FUNCTION(int, frame_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 cursor, length, flags;

	if (!s)
		return SIGHT_UNREADABLE;
	cursor = FORGET(s->cursor);
	if (!holds(s, cursor, EBG_H2_FRAME))
		return want(s, cursor + EBG_H2_FRAME);
	length = byte_at(s, cursor) << 16 | word_at(s, cursor + 1);
	flags = byte_at(s, cursor + 4);
	if (length > EBG_H2_LONGEST)
		return SIGHT_UNREADABLE;
	FORGET(s->end) = cursor + EBG_H2_FRAME + length;
	if (byte_at(s, cursor + 3) != EBG_H2_HEADERS) {
		FORGET(s->cursor) = FORGET(s->end);
		return SIGHT_FURTHER;
	}
	if (FORGET(s->end) > FORGET(s->size) && FORGET(s->size) < EBG_MESSAGE)
		return want(s, FORGET(s->end));
	cursor += EBG_H2_FRAME;
	if (flags & EBG_H2_PADDED)
		FORGET(s->end) = FORGET(s->end) - byte_at(s, cursor++);
	FORGET(s->cursor) = cursor + (flags & EBG_H2_PRIORITY ? 5 : 0);
	FORGET(s->whole) = flags & EBG_H2_END_HEADERS;
	return 1;
}

/* Reads the number at s->cursor, of which the first byte has the bits of `mask`, and goes behind it. */
FUNCTION(__u32, read_number, __u32 slot, __u32 mask)
{
	struct scratch *s = scratch(slot);
	__u32 cursor, number, i, byte;

	if (!s)
		return 0;
	cursor = FORGET(s->cursor);
	number = byte_at(s, cursor++) & mask;
	for (i = 0; i < 28 && number >= mask; i += 7) {
		byte = byte_at(s, cursor++);
		number += (byte & 0x7f) << i;
		if (!(byte & 0x80))
			break;
	}
	FORGET(s->cursor) = cursor;
	return number;
}

/* Is the name of a field that stands at `start` as text one that says where the request goes? */
static __always_inline int names_host(struct scratch *s, __u32 start, __u32 length, int huffman)
{
	if (huffman) /* the same in the code: `:` and `host` */
		return byte_at(s, start) >> 1 == 0x5c ||
		       (length == 3 && word_at(s, start) == 0x9ce8 && byte_at(s, start + 2) == 0x4f);
	return byte_at(s, start) == ':' ||
	       (length == 4 && word_at(s, start) == 0x686f && word_at(s, start + 2) == 0x7374);
}

/* Looks at the field at s->cursor. The position of the host goes to s->host, and its length to s->span. */
FUNCTION(int, field_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 first, number, length, known = 1, huffman;

	if (!s)
		return SIGHT_UNREADABLE;
	if (FORGET(s->cursor) >= FORGET(s->end) || FORGET(s->cursor) >= FORGET(s->size))
		return SIGHT_NOTHING;
	first = byte_at(s, FORGET(s->cursor));
	if (first & 0x80 || first >> 5 == 1) { /* a known field, or the size of a table */
		read_number(slot, first & 0x80 ? 0x7f : 0x1f);
		return SIGHT_FURTHER;
	}
	number = read_number(slot, first & 0x40 ? 0x3f : 0x0f);
	if (!number) {
		huffman = byte_at(s, FORGET(s->cursor)) >> 7;
		length = read_number(slot, 0x7f);
		known = !names_host(s, FORGET(s->cursor), length, huffman);
		FORGET(s->cursor) = FORGET(s->cursor) + length;
	}
	huffman = byte_at(s, FORGET(s->cursor)) >> 7;
	length = read_number(slot, 0x7f);
	if (number == EBG_H2_AUTHORITY || number == EBG_H2_HOST) {
		known = !FORGET(s->host) && length < EBG_NAME && holds(s, FORGET(s->cursor), length);
		FORGET(s->host) = FORGET(s->cursor);
		FORGET(s->span) = length;
		FORGET(s->huffman) = huffman;
	}
	FORGET(s->cursor) = FORGET(s->cursor) + length;
	return known ? SIGHT_FURTHER : SIGHT_UNREADABLE;
}

#define EBG_CHARACTERS(a, b, c, d, e, f, g, h)                                                             \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 | \
	 (__u64)(g) << 48 | (__u64)(h) << 56)
/* The next eight characters of the code, from `index` on. It is no table: BCC has no memory for one. */
#define EBG_FROM(index, from, word, ...)                            \
	do {                                                        \
		if (index >= (from))                                \
			word = EBG_CHARACTERS(__VA_ARGS__);         \
		barrier_var(word);                                  \
	} while (0)

/* The characters whose codes have up to eight bits, in the order of their codes. A host's are all among them. */
static __always_inline __u32 character(__u32 index)
{
	__u64 word = EBG_CHARACTERS('0', '1', '2', 'a', 'c', 'e', 'i', 'o');

	EBG_FROM(index, 8, word, 's', 't', ' ', '%', '-', '.', '/', '3');
	EBG_FROM(index, 16, word, '4', '5', '6', '7', '8', '9', '=', 'A');
	EBG_FROM(index, 24, word, '_', 'b', 'd', 'f', 'g', 'h', 'l', 'm');
	EBG_FROM(index, 32, word, 'n', 'p', 'r', 'u', ':', 'B', 'C', 'D');
	EBG_FROM(index, 40, word, 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L');
	EBG_FROM(index, 48, word, 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T');
	EBG_FROM(index, 56, word, 'U', 'V', 'W', 'Y', 'j', 'k', 'q', 'v');
	EBG_FROM(index, 64, word, 'w', 'x', 'y', 'z', '&', '*', ',', ';');
	EBG_FROM(index, 72, word, 'X', 'Z', 0, 0, 0, 0, 0, 0);
	return word >> (index % 8 * 8) & 0xff;
}

/*
 * Decodes a character of s->name at bit s->position, to the message. The codes of each length are numbers in a row.
 * Returns 1 at the end, and -1 for a code of more bits.
 */
FUNCTION(int, huffman_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position, code, index, bits, left;

	if (!s)
		return -1;
	position = FORGET(s->position);
	left = FORGET(s->left) - position;
	index = BELOW(EBG_NAME, position / 8);
	code = ((__u32)s->name[index] << 8 | s->name[index + 1]) >> (8 - position % 8) & 0xff;
	if (left < 8)
		code |= 0xff >> left; /* bits of 1 fill the last byte */
	if (code == 0xff)
		return left < 8 ? 1 : -1;
	bits = code < 0x50 ? 5 : code < 0xb8 ? 6 : code < 0xf8 ? 7 : 8;
	index = (code >> (8 - bits)) - (bits == 5 ? 0 : bits == 6 ? 0x14 - 10 : bits == 7 ? 0x5c - 36 : 0xf8 - 68);
	if (bits > left || code == 0xfe)
		return -1;
	position += bits;
	FORGET(s->position) = position;
	s->message[BELOW(EBG_MESSAGE, FORGET(s->host) + FORGET(s->written))] = character(index);
	FORGET(s->written) = FORGET(s->written) + 1;
	return 0;
}

/* Decodes the host that was found, to the front of the message. */
FUNCTION(int, decode_host, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int end = 0;
	__u32 i, length;

	if (!s)
		return SIGHT_UNREADABLE;
	length = BELOW(EBG_NAME, FORGET(s->span));
	bpf_probe_read_kernel(s->name, length, s->message + BELOW(EBG_MESSAGE, FORGET(s->host)));
	if (s->name[0] == 0xff && s->name[1] >> 3 == 0x1b)
		return SIGHT_NOTHING; /* it begins with `[`: an IPv6 address */
	FORGET(s->left) = length * 8;
	FORGET(s->position) = 0;
	FORGET(s->written) = 0;
	FORGET(s->host) = 1;
	for (i = 0; i < EBG_NAME && !end; i++)
		end = huffman_step(slot);
	FORGET(s->span) = FORGET(s->written);
	if (FORGET(s->size) < EBG_NAME + 1)
		FORGET(s->size) = EBG_NAME + 1;
	return end == 1 ? (int)FORGET(s->host) : SIGHT_UNREADABLE;
}

/* Finds the host in the fields from s->cursor on. */
FUNCTION(int, find_authority, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	for (i = 0; i < EBG_H2_FIELDS && sight == SIGHT_FURTHER; i++)
		sight = field_step(slot);
	if (sight == SIGHT_UNREADABLE)
		return sight;
	if (!FORGET(s->host)) /* it may come in a frame behind this one, or behind what was read */
		return sight == SIGHT_NOTHING && FORGET(s->whole) && FORGET(s->end) <= FORGET(s->size) ? SIGHT_NOTHING :
											       SIGHT_UNREADABLE;
	return FORGET(s->huffman) ? decode_host(slot) : FORGET(s->host);
}

/* Looks for the first request behind the preface at s->base, and for the host in it. */
FUNCTION(int, look_at_http2, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->cursor) = FORGET(s->base) + EBG_H2_PREFACE;
	for (i = 0; i < EBG_H2_FRAMES && sight == SIGHT_FURTHER; i++)
		sight = frame_step(slot);
	if (sight != 1)
		return sight == SIGHT_FURTHER ? SIGHT_UNREADABLE : sight;
	return find_authority(slot);
}

#endif
#line 10 "bpf/http.h"
#line 1 "bpf/text.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Names as text with dots, as they stand in HTTP and TLS: they take the form of DNS messages, and are read as such. */
#ifndef EBG_TEXT_H
#define EBG_TEXT_H

#line 1 "bpf/name.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Names: read from a message, and the rules for them.
 *
 * A name comes as labels behind lengths, or as text with dots. In both forms it becomes a hash of each label. These
 * hashes, joined from the last label to the first, are the hashes of the name's ends. The longest end that has rules
 * decides. So `.example.org` meets whole labels only.
 *
 * A hash only finds a name. Then the bytes are compared, because another name with the same hash is found in less than a
 * second. What differs counts as unknown, and the next shorter end is tried.
 *
 * The functions here are global, so that the verifier checks each once and not at each call. They take numbers alone.
 */
#ifndef EBG_NAME_H
#define EBG_NAME_H






#define EBG_READ_STEPS 160 /* labels of a name, eight bytes at a time, and jumps to a part that stands elsewhere */
#define EBG_JUMPS 16

static __always_inline void begin_name(struct scratch *s)
{
	FORGET(s->left) = 0;
	FORGET(s->count) = 0;
	FORGET(s->written) = 0;
	FORGET(s->copied) = 0;
	FORGET(s->jumps) = 0;
	s->name[0] = 0;
}

/* Takes up to eight bytes of a label; -1 where the message ends before. */
FUNCTION(int, take_word, __u32 slot, __u32 position, __u32 left)
{
	struct scratch *s = scratch(slot);
	__u32 taken = left < 8 ? left : 8, count;
	__u64 word;

	if (!s || position + taken > FORGET(s->size))
		return -1;
	word = bpf_be64_to_cpu(*(__u64 *)(s->message + BELOW(EBG_MESSAGE, position)));
	FORGET(s->label) = mixed(FORGET(s->label), lower(word >> (-8 * taken & 63)));
	FORGET(s->position) = position + taken;
	FORGET(s->left) = left - taken;
	if (left > taken)
		return 0;
	count = FORGET(s->count);
	s->labels[BELOW(EBG_LABELS, count)] = mixed(FORGET(s->label), FORGET(s->length));
	FORGET(s->count) = count + 1;
	return 0;
}

/* Copies the piece of the name that ends at `position` behind the earlier pieces. */
static __always_inline void copy_piece(struct scratch *s, __u32 position)
{
	__u32 copied = BELOW(EBG_NAME, FORGET(s->copied)), piece = FORGET(s->piece);

	position = BELOW(EBG_NAME, position - piece);
	bpf_probe_read_kernel(s->name + copied, position, s->message + BELOW(EBG_MESSAGE, piece));
	FORGET(s->copied) = copied + position;
}

/* Jumps to another part of the message, where the name goes on. Returns 0, or -1 where the message is wrong. */
static __always_inline int jump(struct scratch *s, __u32 position)
{
	__u32 jumps = FORGET(s->jumps) + 1;

	if (jumps > EBG_JUMPS || position + 1 >= FORGET(s->size))
		return -1;
	if (jumps == 1)
		FORGET(s->after) = position + 2;
	FORGET(s->jumps) = jumps;
	copy_piece(s, position);
	position = word_at(s, position) & 0x3fff;
	FORGET(s->position) = position;
	FORGET(s->piece) = position;
	return 0;
}

/*
 * A step of read_wire_name(). Returns 0 where more steps follow, and at the end the position behind the name, or -1. It
 * is a function of its own, as the other steps here: the verifier checks it once, and not in each turn of the loop.
 */
FUNCTION(int, read_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position, left, written;

	if (!s)
		return -1;
	position = FORGET(s->position);
	left = FORGET(s->left);
	if (position >= FORGET(s->size))
		return -1;
	if (!left) {
		left = byte_at(s, position);
		if (left >= 0xc0 && FORGET(s->follow))
			return jump(s, position);
		written = FORGET(s->written);
		if (left > 63 || written + 1 + left >= EBG_NAME)
			return -1;
		position++;
		if (!left) {
			copy_piece(s, position);
			/* so that a name's last word has zeros behind the name */
			*(__u64 *)(s->name + BELOW(EBG_NAME, FORGET(s->copied))) = 0;
			return FORGET(s->jumps) ? FORGET(s->after) : position;
		}
		s->starts[BELOW(EBG_LABELS, FORGET(s->count))] = written;
		FORGET(s->written) = written + 1 + left;
		FORGET(s->length) = left;
		FORGET(s->label) = EBG_HASH_SEED;
	}
	return take_word(slot, position, left);
}

/*
 * Reads the name at `start` of the message, in the form of DNS. Returns the position behind the name, or -1 where it
 * can't be read. `follow`: 0 where the name must not point to another part of the message.
 */
FUNCTION(int, read_wire_name, __u32 slot, __u32 start, __u32 follow)
{
	struct scratch *s = scratch(slot);
	int end = 0;
	__u32 i;

	if (!s)
		return -1;
	begin_name(s);
	FORGET(s->position) = start;
	FORGET(s->piece) = start;
	FORGET(s->follow) = follow;
	for (i = 0; i < EBG_READ_STEPS && !end; i++)
		end = read_step(slot);
	return end ?: -1;
}

/* The word at `position` of a name that was copied. Behind the name's end it has zeros. */
static __always_inline __u64 name_word(const __u8 *name, __u32 position)
{
	return lower(*(const __u64 *)(name + BELOW(EBG_NAME, position)));
}

/* Are the two names in s->compared the same? */
FUNCTION(int, compare, __u32 slot, __u32 size)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return 0;
	for (i = 0; i < EBG_NAME / 8 && 8 * i < size; i++)
		if (name_word(s->compared[0], 8 * i) != name_word(s->compared[1], 8 * i))
			return 0;
	return 1;
}

/* Are these the same names? `size`: in bytes, with the 0 at the end. */
static __always_inline int same_name(struct scratch *s, const __u8 *one, const __u8 *other, __u32 size)
{
	return bpf_probe_read_kernel(s->compared[0], EBG_NAME, one) == 0 &&
	       bpf_probe_read_kernel(s->compared[1], EBG_NAME, other) == 0 && compare(FORGET(s->slot), size);
}

/* Is the end of the name from the label at `index` on what stands in ebg_text, from the word `text` on? */
FUNCTION(int, same_text, __u32 slot, __u32 index, __u32 text, __u32 length)
{
	struct scratch *s = scratch(slot);
	__u32 start, i;

	if (!s)
		return 0;
	start = s->starts[BELOW(EBG_LABELS, index)];
	if (start + length != FORGET(s->written) + 1)
		return 0;
	for (i = 0; i < EBG_NAME / 8 && 8 * i < length; i++) {
		__u32 place = text + i;
		const __u64 *word = bpf_map_lookup_elem(MAP(ebg_text), &place);

		if (!word || *word != name_word(s->name, start + 8 * i))
			return 0;
	}
	return 1;
}

/* The lead of the name that was read last, if it is an alias; else 0. */
FUNCTION(__u64, lead_of_alias, __u32 slot)
{
	struct scratch *s = scratch(slot);
	const struct ebg_alias *alias;

	if (!s)
		return 0;
	alias = bpf_map_lookup_elem(MAP(ebg_aliases), &s->hash);
	return alias && same_name(s, alias->name, s->name, FORGET(s->written) + 1) ? alias->lead : 0;
}

/* Does the label at `index` begin with an underscore, as those of a service do? */
static __always_inline int is_of_service(struct scratch *s, __u32 index)
{
	return s->name[BELOW(EBG_NAME, s->starts[BELOW(EBG_LABELS, index)] + 1)] == '_';
}

/* Adds the label at `index` to the end of the name whose hash is s->hash, and finds the rules for the longer end. */
FUNCTION(int, find_step, __u32 slot, __u32 index)
{
	struct scratch *s = scratch(slot);
	const struct ebg_name *name;
	__u64 hash;

	if (!s)
		return -1;
	FORGET(s->hash) = mixed(FORGET(s->hash), s->labels[BELOW(EBG_LABELS, index)]);
	hash = FORGET(s->hash);
	name = bpf_map_lookup_elem(MAP(ebg_names), &hash);
	if (name && same_text(slot, index, name->text, name->length))
		s->found = !index || (index == FORGET(s->first) && name->itself.slice.count) ? name->itself : name->below;
	return 0;
}

/*
 * Finds the rules for the name that was read last; where there are none, its slice is empty. `_service._proto.NAME` asks
 * where a service of NAME is (RFC 2782). So what the rules say of NAME holds, if they say something of it.
 */
FUNCTION(int, find_rules, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return -1;
	__builtin_memset(&s->found, 0, sizeof(s->found));
	FORGET(s->hash) = EBG_HASH_SEED;
	FORGET(s->first) = FORGET(s->count) > 2 && is_of_service(s, 0) && is_of_service(s, 1) ? 2 : 0;
	for (i = 0; i < EBG_LABELS && i < FORGET(s->count); i++)
		find_step(slot, FORGET(s->count) - 1 - i);
	return 0;
}

#endif
#line 7 "bpf/text.h"

/*
 * The bytes at which a name in text does not simply go on: a dot; what ends a host in HTTP, up to a blank or one of :/?#,
 * and what no name has, `[` and `@`.
 */
static __always_inline __u64 stops_of_text(__u64 word)
{
	return bytes_below(word, ' ' + 1) | bytes_like(word | EBG_EIGHT(1), '.' | 1 /* or a slash */) | bytes_like(word, ':') |
	       bytes_like(word, '?') | bytes_like(word, '#') | bytes_like(word, ',') | bytes_like(word, '[') |
	       bytes_like(word, '@');
}

/* The bytes that are no digits. */
static __always_inline __u64 no_digits(__u64 word)
{
	return ~(bytes_from(word, '0') & ~bytes_from(word, '9' + 1)) & EBG_HIGHEST;
}

/* The eight bytes at `position`. Behind the first `left` of them stand zeros. */
static __always_inline __u64 text_word(struct scratch *s, __u32 position, __u32 left)
{
	__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, position));

	return left < 8 ? word & ((1ULL << (left * 8 & 63)) - 1) : word;
}

#define EBG_MORE 2
#define EBG_ENDS 3

/* Ends the name in text at s->cut. Returns what read_text_name() does. */
static __always_inline int end_text_name(struct scratch *s, __u32 slot, __u32 start)
{
	__u32 position = FORGET(s->cut), length = position - FORGET(s->position) - 1;

	if (length && FORGET(s->digits))
		return 0; /* a last label of digits: an IPv4 address */
	s->message[BELOW(EBG_MESSAGE, FORGET(s->position))] = length;
	s->message[BELOW(EBG_MESSAGE, position)] = 0;
	if (position >= FORGET(s->size))
		FORGET(s->size) = position + 1;
	if (byte_at(s, start) == '[')
		return 0; /* an IPv6 address */
	if (read_wire_name(slot, start - 1, 0) < 0)
		return -1;
	return FORGET(s->count) ? 1 : 0;
}

/* A label of a name in text ends at `position`, with `c`. Returns EBG_MORE, EBG_ENDS, or -1. */
static __always_inline int end_label(struct scratch *s, __u32 position, __u8 c)
{
	__u32 taken = position - FORGET(s->position) - 1;

	if (taken > 63 || (c == '.' && !taken))
		return -1;
	if (c == '.') {
		s->message[BELOW(EBG_MESSAGE, FORGET(s->position))] = taken;
		FORGET(s->position) = position;
		FORGET(s->digits) = 1;
		return EBG_MORE;
	}
	FORGET(s->end) = c == ':' ? position + 1 : 0;
	FORGET(s->cut) = position;
	return EBG_ENDS;
}

/* The next bytes of a name in text that begins at `start`: up to eight, or to a stop. Returns what end_label() does. */
FUNCTION(int, text_step, __u32 slot, __u32 start, __u32 length)
{
	struct scratch *s = scratch(slot);
	__u32 position, left, place;
	__u64 word, stops;
	__u8 c;

	if (!s)
		return -1;
	position = FORGET(s->cursor);
	left = start + length - position;
	if (position >= FORGET(s->size))
		left = 0;
	else if (left > FORGET(s->size) - position)
		left = FORGET(s->size) - position;
	word = text_word(s, position, left);
	stops = stops_of_text(word);
	if (no_digits(word) & bits_before(stops))
		FORGET(s->digits) = 0;
	FORGET(s->cursor) = position + 8;
	if (!stops)
		return EBG_MORE;
	place = first_place(stops);
	position += place;
	c = word >> (place * 8);
	FORGET(s->cursor) = position + 1;
	if (position - start >= EBG_NAME || position >= EBG_MESSAGE || (place < left && FORGET(s->strict) && c != '.'))
		return -1;
	if (c != '[' && c != '@')
		return end_label(s, position, c);
	FORGET(s->digits) = 0;
	return EBG_MORE;
}

/*
 * Reads the name at `start` as text, up to `length` bytes or to the end of a host in HTTP. Returns 1; or 0 where an
 * address stands there, or nothing; or -1 where the name can't be read. s->end is the position of a port behind the
 * name, or 0. The name takes the form of DNS in the message: the byte in front of a label becomes the label's length. A
 * name that DNS has room for takes fewer steps than there can be labels.
 */
FUNCTION(int, read_text_name, __u32 slot, __u32 start, __u32 length)
{
	struct scratch *s = scratch(slot);
	int read = EBG_MORE;
	__u32 i;

	if (!s || !start)
		return -1;
	FORGET(s->position) = start - 1;
	FORGET(s->cursor) = start;
	FORGET(s->digits) = 1;
	for (i = 0; i < EBG_LABELS && read == EBG_MORE; i++)
		read = text_step(slot, start, length);
	return read == EBG_ENDS ? end_text_name(s, slot, start) : -1;
}

#endif
#line 11 "bpf/http.h"

#define EBG_HTTP_LINES 128 /* of a head, that are looked at */
#define EBG_HTTP_RUN 256   /* characters: of a method, blanks in a row */
#define EBG_HOST_STEPS 64  /* to the end of a host: eight bytes each, or up to an `@` */

/* A set of characters: a bit for each. */
struct characters {
	__u64 from_0, from_64, from_128, from_192;
};

/* What HTTP takes for blanks. Python does so with some characters that others refuse. */
#define EBG_BLANKS ((struct characters){ 0x1f0003e00ULL, 0, 0x100000020ULL, 0 })
/* The characters of a method, or of a header's name: digits, letters and !#$%&'*+-.^_`|~ */
#define EBG_TOKEN ((struct characters){ 0x03ff6cfa00000000ULL, 0x57ffffffc7fffffeULL, 0, 0 })

static __always_inline int is_among(struct characters set, __u32 c)
{
	__u64 word = set.from_0;

	if (c >= 64)
		word = set.from_64;
	if (c >= 128)
		word = set.from_128;
	if (c >= 192)
		word = set.from_192;
	return word >> (c & 63) & 1;
}

static __always_inline int is_blank(__u32 c)
{
	return is_among(EBG_BLANKS, c);
}

static __always_inline int is_token(__u32 c)
{
	return is_among(EBG_TOKEN, c);
}

static __always_inline struct characters all_but(struct characters set)
{
	return (struct characters){ ~set.from_0, ~set.from_64, ~set.from_128, ~set.from_192 };
}

enum run {
	RUN_TOKEN,
	RUN_BLANKS,
	RUN_VALUE, /* blanks in a line */
	RUN_JUNK,  /* all but tokens */
	RUN_WORD,  /* all but blanks */
	RUN_VERSION, /* digits and dots */
};

static __always_inline struct characters characters_of(enum run run)
{
	struct characters set = EBG_BLANKS;

	switch (run) {
	case RUN_TOKEN:
		return EBG_TOKEN;
	case RUN_BLANKS:
		return set;
	case RUN_VALUE:
		set.from_0 &= ~(1ULL << '\r' | 1ULL << '\n');
		return set;
	case RUN_JUNK:
		return all_but(EBG_TOKEN);
	case RUN_WORD:
		return all_but(set);
	default: /* RUN_VERSION */
		return (struct characters){ 0x03ff400000000000ULL, 0, 0, 0 };
	}
}

#define EBG_RUN_STEP 8

/*
 * Goes over the next characters of a run, which are those in s->among. Returns 1 at the end of the run or of the message;
 * s->cursor is there.
 */
FUNCTION(int, run_step, __u32 slot, __u32 back)
{
	struct scratch *s = scratch(slot);
	__u32 i, cursor, c;

	if (!s)
		return 1;
	cursor = FORGET(s->cursor);
	for (i = 0; i < EBG_RUN_STEP; i++) {
		c = byte_at(s, cursor - back);
		if (cursor - back >= FORGET(s->size) || !(s->among[c >> 6 & 3] >> (c & 63) & 1))
			break;
		cursor += back ? -1 : 1;
	}
	FORGET(s->cursor) = cursor;
	return i < EBG_RUN_STEP;
}

/* Returns where a run that begins at `start` ends; `back`: 1 where it is the run that ends there. */
FUNCTION(__u32, run_end, __u32 slot, __u32 start, __u32 run, __u32 back)
{
	struct characters set = characters_of(run);
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return start;
	s->among[0] = set.from_0;
	s->among[1] = set.from_64;
	s->among[2] = set.from_128;
	s->among[3] = set.from_192;
	FORGET(s->cursor) = start;
	for (i = 0; i < EBG_HTTP_RUN / EBG_RUN_STEP && !run_step(slot, back); i++)
		;
	return FORGET(s->cursor);
}

/* The next bytes of a host: up to eight, or behind an `@`. Returns 1 at its end, which is a blank or one of /?#, */
FUNCTION(int, authority_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position, place;
	__u64 word, stops;

	if (!s)
		return 1;
	position = FORGET(s->cursor);
	if (position >= FORGET(s->size))
		return 1;
	word = text_word(s, position, FORGET(s->size) - position);
	stops = bytes_below(word, ' ' + 1) | bytes_like(word, '#') | bytes_like(word, ',') | bytes_like(word, '/') |
		bytes_like(word, '?') | bytes_like(word, '@');
	FORGET(s->cursor) = position + 8;
	if (!stops)
		return 0;
	place = first_place(stops);
	FORGET(s->cursor) = position + place;
	if ((word >> (place * 8) & 0xff) != '@')
		return 1;
	FORGET(s->cursor) = FORGET(s->user) = position + place + 1;
	return 0;
}

/* Returns where a host ends, with its port. It may begin with a user: s->user is behind the last `@`. */
FUNCTION(__u32, authority_end, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return start;
	FORGET(s->cursor) = FORGET(s->user) = start;
	for (i = 0; i < EBG_HOST_STEPS && !authority_step(slot); i++)
		;
	return FORGET(s->cursor);
}

/* Returns where HTTP/x.y begins at the end of the line in front of `next`, or 0. */
FUNCTION(__u32, find_version, __u32 slot, __u32 next)
{
	struct scratch *s = scratch(slot);
	__u32 start, end;

	if (!s)
		return 0;
	end = run_end(slot, next - 1, RUN_BLANKS, 1);
	if (is_blank(byte_at(s, end - 1)))
		s->odd = 1; /* it may stand in front of so many blanks */
	start = run_end(slot, end, RUN_VERSION, 1) - 5;
	if (end < FORGET(s->base) + 6 || start + 5 == end || byte_at(s, start + 4) != '/')
		return 0;
	return ((word_at(s, start) << 16 | word_at(s, start + 2)) | 0x20202020) == 0x68747470 ? start : 0;
}

/* The host begins at `start`, behind a user and a password. */
static __always_inline void take_target(struct scratch *s, __u32 slot, __u32 start, __u32 port)
{
	authority_end(slot, start);
	FORGET(s->target) = FORGET(s->user);
	FORGET(s->port) = port;
}

/*
 * Looks for a host in a request's target: `CONNECT host:port`, or `GET http://host/`, as clients ask proxies. It goes
 * to s->target. Returns 1 where this can be a target at all, of whichever version of HTTP.
 */
FUNCTION(int, find_target, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	__u32 base, first, end;

	if (!s)
		return 0;
	base = FORGET(s->base);
	first = byte_at(s, start);
	if (word_at(s, base) == 0x434f && word_at(s, base + 2) == 0x4e4e && word_at(s, base + 4) == 0x4543 &&
	    byte_at(s, base + 6) == 'T' && is_blank(byte_at(s, base + 7))) {
		if (!is_token(first) && first != '[')
			return 0; /* NATS has such a command, and an object of JSON behind it */
		s->proxied = s->tunnel = 1;
		take_target(s, slot, start, 443);
		return 0;
	}
	if (first == '/' || first == '*')
		return first == '/';
	end = run_end(slot, start, RUN_TOKEN, 0);
	if (byte_at(s, end) != ':' || word_at(s, end + 1) != 0x2f2f)
		return 0;
	/* other schemes are spoken to the server itself, at its own port, as RTSP is */
	s->proxied = (first | 0x20) == 'h' || (first | 0x20) == 'f';
	take_target(s, slot, end + 3, (byte_at(s, end - 1) | 0x20) == 's' ? 443 : 80);
	return 1;
}

static __always_inline int is_capital(__u32 c)
{
	return c - 'A' < 26 || c == '-';
}

/* Three capital letters begin nearly every method; the second may be the hyphen of M-SEARCH. */
static __always_inline int has_capitals(struct scratch *s, __u32 position)
{
	return is_capital(byte_at(s, position)) && is_capital(byte_at(s, position + 1)) &&
	       is_capital(byte_at(s, position + 2));
}

/* Does the version come right behind the target? It is no request, but a line of a log, where more words come first. */
static __always_inline int is_third_word(struct scratch *s, __u32 slot, __u32 target, __u32 version)
{
	__u32 end = run_end(slot, target, RUN_WORD, 0);

	return !is_blank(byte_at(s, end)) || run_end(slot, end, RUN_BLANKS, 0) == version;
}

/* A first line that has no end yet. `words`: it has a blank in it, and something behind that. */
static __always_inline int unfinished_line(struct scratch *s, __u32 slot, __u32 target, int words)
{
	int sight;

	if (FORGET(s->binary) && !has_capitals(s, FORGET(s->base)))
		return SIGHT_NOTHING; /* git has 0 there; Python takes such bytes in a path */
	sight = want(s, FORGET(s->size) + 1);
	if (sight == SIGHT_PARTIAL)
		return sight;
	return words && (find_target(slot, target) || FORGET(s->target)) ? SIGHT_UNREADABLE : SIGHT_NOTHING;
}

/* Looks for the first line of a request at s->base. Returns where the next line begins, if there is one. */
FUNCTION(int, find_request, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, next, end, target, version;
	int usual;

	if (!s)
		return SIGHT_UNREADABLE;
	start = run_end(slot, FORGET(s->base), RUN_BLANKS, 0); /* servers skip empty lines */
	if (start >= FORGET(s->size))
		return want(s, start + 1);
	if (!is_token(byte_at(s, start)))
		return is_blank(byte_at(s, start)) ? SIGHT_UNREADABLE : SIGHT_NOTHING;
	FORGET(s->base) = start;
	next = next_line(slot, start);
	end = run_end(slot, start, RUN_TOKEN, 0);
	target = run_end(slot, end, RUN_BLANKS, 0);
	if (end == target && end < FORGET(s->size) && !is_token(byte_at(s, end)))
		return SIGHT_NOTHING; /* no blank ends the first word */
	if (!next)
		return unfinished_line(s, slot, target, target != end);
	if (target >= next)
		return SIGHT_NOTHING; /* a single word */
	version = find_version(slot, next);
	if (target == end || is_blank(byte_at(s, target)))
		return version ? SIGHT_UNREADABLE : SIGHT_NOTHING;
	usual = has_capitals(s, start);
	FORGET(s->versioned) = version && (usual || is_third_word(s, slot, target, version));
	return (find_target(slot, target) && usual) || FORGET(s->versioned) ? (int)next : SIGHT_NOTHING;
}

/* Is the header in the line at `line` the Host header, or would a server take it for that? */
static __always_inline void look_at_header(struct scratch *s, __u32 slot, __u32 line, __u32 next)
{
	__u32 start = line, c;

	if (!is_token(byte_at(s, line))) {
		if (line == FORGET(s->behind_host))
			s->odd = 1; /* the value of Host goes on */
		start = run_end(slot, line, RUN_JUNK, 0);
	}
	if (((word_at(s, start) << 16 | word_at(s, start + 2)) | 0x20202020) != 0x686f7374)
		return;
	c = byte_at(s, start + 4);
	if (is_token(c))
		return;
	if (c != ':' || start != line || FORGET(s->host))
		s->odd = 1;
	FORGET(s->host) = start + 5;
	FORGET(s->behind_host) = next;
}

/* Looks at the line at s->cursor, and moves the cursor to the next line. */
FUNCTION(int, host_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 line, next;

	if (!s)
		return SIGHT_UNREADABLE;
	line = FORGET(s->line);
	next = next_line(slot, line);
	if (!next)
		return SIGHT_PARTIAL;
	FORGET(s->line) = next;
	if (next - line == 1 || (next - line == 2 && byte_at(s, line) == '\r')) {
		FORGET(s->head) = next;
		return SIGHT_NOTHING;
	}
	if (FORGET(s->bare))
		s->odd = 1; /* a line for some servers, and not for others */
	look_at_header(s, slot, line, next);
	return SIGHT_FURTHER;
}

/* Finds the host in the value of the Host header. */
static __always_inline void find_host_value(struct scratch *s, __u32 slot)
{
	__u32 start = run_end(slot, FORGET(s->host), RUN_VALUE, 0), end, c;

	end = authority_end(slot, start);
	FORGET(s->host) = FORGET(s->user);
	c = byte_at(s, run_end(slot, end, RUN_VALUE, 0));
	if (c != '\r' && c != '\n')
		s->odd = 1; /* something stands behind the host */
}

/* Finds the Host header in the lines from `start` on. Returns the position of the name that counts first. */
FUNCTION(int, find_host, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->line) = start;
	FORGET(s->behind_host) = 0;
	for (i = 0; i < EBG_HTTP_LINES && sight == SIGHT_FURTHER; i++)
		sight = host_step(slot);
	if (FORGET(s->odd)) /* and some server may not wait for the rest */
		return SIGHT_UNREADABLE;
	if (sight == SIGHT_PARTIAL && !FORGET(s->versioned) && FORGET(s->target)) {
		FORGET(s->host) = 0; /* HTTP/0.9 has no headers, so a server answers now */
		return FORGET(s->target);
	}
	if (sight == SIGHT_PARTIAL)
		sight = want(s, FORGET(s->size) + 1);
	if (sight == SIGHT_PARTIAL)
		return sight;
	if (FORGET(s->host))
		find_host_value(s, slot);
	/* of a head that does not fit the memory, the name is what was found */
	else if (sight != SIGHT_NOTHING && !FORGET(s->tunnel) && FORGET(s->versioned))
		return SIGHT_UNREADABLE;
	return FORGET(s->odd) ? SIGHT_UNREADABLE : (int)(FORGET(s->target) ?: FORGET(s->host));
}

/* Looks for a request, and for the names in it: s->target, and s->host. */
static __always_inline int look_at_http(struct scratch *s, __u32 slot)
{
	int next = find_request(slot);

	if (next == SIGHT_NOTHING || next == SIGHT_PARTIAL) {
		s->proxied = s->tunnel = 0;
		return next;
	}
	s->kind = EBG_KIND_HTTP;
	s->strict = 0;
	if (next == SIGHT_UNREADABLE)
		return next;
	if (is_http2(s, FORGET(s->base)))
		return look_at_http2(slot);
	return find_host(slot, next);
}

#endif
#line 8 "bpf/message.h"

#line 1 "bpf/tls.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The server's name in a ClientHello of TLS. OpenSSL, GnuTLS, Go and Java take a hello that comes in several records,
 * with alerts and empty records around it. So the records are joined where one does not hold the hello.
 */
#ifndef EBG_TLS_H
#define EBG_TLS_H



#define EBG_TLS_CHANGE_CIPHER_SPEC 0x14
#define EBG_TLS_HANDSHAKE 0x16 /* between the two: an alert */
#define EBG_TLS_RECORD 5       /* bytes of a record's header */
#define EBG_TLS_RECORDS 128    /* of a hello, that are looked at */
#define EBG_TLS_CLIENT_HELLO 1
#define EBG_TLS_LONGEST 0x20000 /* bytes of a hello: no server takes a longer one */
#define EBG_TLS_EXTENSIONS 64   /* of a ClientHello, that are looked at */

/* Does a record begin at `position` that may come in front of a ClientHello, or have it? */
static __always_inline int is_tls(struct scratch *s, __u32 position)
{
	__u32 type = byte_at(s, position);

	return type >= EBG_TLS_CHANGE_CIPHER_SPEC && type <= EBG_TLS_HANDSHAKE && byte_at(s, position + 1) == 3;
}

/* The length of the handshake's message at `position`, with its header. */
static __always_inline __u32 handshake_size(struct scratch *s, __u32 position)
{
	return (byte_at(s, position + 1) << 16 | word_at(s, position + 2)) + 4;
}

/*
 * Goes over the record at s->cursor. s->written counts the bytes of handshakes so far, and s->piece has the first four.
 * Returns 1 where the hello is whole, and its size is then in s->length.
 */
FUNCTION(int, record_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, length, needed, i;

	if (!s)
		return SIGHT_UNREADABLE;
	start = FORGET(s->cursor);
	if (!holds(s, start, EBG_TLS_RECORD))
		return want(s, start + EBG_TLS_RECORD);
	if (!is_tls(s, start))
		return SIGHT_UNREADABLE;
	length = word_at(s, start + 3);
	FORGET(s->cursor) = start + EBG_TLS_RECORD + length;
	if (byte_at(s, start) != EBG_TLS_HANDSHAKE)
		return SIGHT_FURTHER;
	start += EBG_TLS_RECORD;
	FORGET(s->left) = length; /* else the compiler counts to the lesser of both limits, and the verifier sees no end */
	for (i = 0; i < 4 && i < FORGET(s->left) && FORGET(s->written) < 4; i++) {
		if (!holds(s, start + i, 1))
			return want(s, start + i + 1);
		FORGET(s->piece) = FORGET(s->piece) << 8 | byte_at(s, start + i);
		FORGET(s->written) = FORGET(s->written) + 1;
	}
	length -= i;
	FORGET(s->written) = FORGET(s->written) + length;
	if (FORGET(s->written) < 4)
		return SIGHT_FURTHER;
	needed = (FORGET(s->piece) & 0xffffff) + 4;
	if (FORGET(s->piece) >> 24 != EBG_TLS_CLIENT_HELLO || needed > EBG_TLS_LONGEST)
		return SIGHT_UNREADABLE;
	FORGET(s->length) = needed;
	if (FORGET(s->written) < needed)
		return SIGHT_FURTHER;
	needed = FORGET(s->cursor) - (FORGET(s->written) - needed); /* where the hello ends */
	return needed > FORGET(s->size) ? want(s, needed) : 1;
}

/*
 * Copies a piece of the record at s->cursor, of which s->left bytes are left, behind what was copied. The copy never
 * overtakes the original, because each record had a header. Returns 1 at the hello's end.
 */
FUNCTION(int, join_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 cursor, left, copied;

	if (!s)
		return SIGHT_UNREADABLE;
	cursor = FORGET(s->cursor);
	left = FORGET(s->left);
	copied = FORGET(s->copied);
	if (!left) {
		left = word_at(s, cursor + 3);
		FORGET(s->cursor) = cursor + EBG_TLS_RECORD + left;
		if (byte_at(s, cursor) != EBG_TLS_HANDSHAKE)
			return 0;
		cursor += EBG_TLS_RECORD;
	}
	FORGET(s->piece) = left < EBG_NAME ? left : EBG_NAME - 1;
	FORGET(s->left) = left - FORGET(s->piece);
	FORGET(s->cursor) = cursor + FORGET(s->piece);
	left = BELOW(EBG_NAME, FORGET(s->piece));
	bpf_probe_read_kernel(s->message + BELOW(EBG_MESSAGE, FORGET(s->base) + copied), left,
			      s->message + BELOW(EBG_MESSAGE, cursor));
	FORGET(s->copied) = copied + left;
	return copied + left >= FORGET(s->length);
}

/* Finds a hello that is not the whole of the first record, and joins its records. The message changes only for that. */
FUNCTION(int, join_records, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->cursor) = FORGET(s->base);
	FORGET(s->written) = 0;
	FORGET(s->piece) = 0;
	for (i = 0; i < EBG_TLS_RECORDS && sight == SIGHT_FURTHER; i++)
		sight = record_step(slot);
	if (sight != 1)
		return sight == SIGHT_FURTHER ? SIGHT_UNREADABLE : sight;
	FORGET(s->cursor) = FORGET(s->base);
	FORGET(s->left) = 0;
	FORGET(s->copied) = 0;
	sight = 0;
	for (i = 0; i < EBG_TLS_RECORDS + EBG_MESSAGE / EBG_NAME + 1 && !sight; i++)
		sight = join_step(slot);
	FORGET(s->size) = FORGET(s->base) + FORGET(s->length);
	return sight == 1 ? SIGHT_FURTHER : SIGHT_UNREADABLE;
}

/* Finds the extensions in the ClientHello at `position`. They end at s->end. */
static __always_inline int find_extensions(struct scratch *s, __u32 position)
{
	__u32 end = position + handshake_size(s, position);

	position += 4 + 2 + 32; /* behind the header, the version and the random bytes */
	if (!holds(s, position, 1))
		return SIGHT_UNREADABLE;
	position += 1 + byte_at(s, position); /* session */
	if (!holds(s, position, 2))
		return SIGHT_UNREADABLE;
	position += 2 + word_at(s, position); /* ciphers */
	if (!holds(s, position, 1))
		return SIGHT_UNREADABLE;
	position += 1 + byte_at(s, position); /* compression */
	if (position >= end)
		return SIGHT_NOTHING;
	if (!holds(s, position, 2))
		return SIGHT_UNREADABLE;
	FORGET(s->end) = position + 2 + word_at(s, position);
	return position + 2;
}

/* Looks at the extension at s->cursor. A server's name goes to s->host and s->span: its position and its length. */
static __always_inline int look_at_extension(struct scratch *s)
{
	__u32 cursor = FORGET(s->cursor), size;

	if (cursor >= FORGET(s->end))
		return cursor == FORGET(s->end) ? SIGHT_NOTHING : SIGHT_UNREADABLE;
	if (!holds(s, cursor, 4)) /* a hello that does not fit the memory: what was found must do */
		return FORGET(s->host) && FORGET(s->size) == EBG_MESSAGE ? SIGHT_NOTHING : SIGHT_UNREADABLE;
	size = word_at(s, cursor + 2);
	FORGET(s->cursor) = cursor + 4 + size;
	if (word_at(s, cursor))
		return SIGHT_FURTHER;
	/* A list of names. No type of names but 0 was ever made, and nobody sends two: servers would not agree on one. */
	if (FORGET(s->host) || !holds(s, cursor, 9) || byte_at(s, cursor + 6))
		return SIGHT_UNREADABLE;
	FORGET(s->host) = cursor + 9;
	FORGET(s->span) = word_at(s, cursor + 7);
	if (size != FORGET(s->span) + 5 || word_at(s, cursor + 4) != FORGET(s->span) + 3)
		return SIGHT_UNREADABLE;
	return holds(s, cursor + 9, FORGET(s->span)) ? SIGHT_FURTHER : SIGHT_UNREADABLE;
}

#define EBG_EXTENSION_STEP 4

/* Looks at the next extensions: several, because a call takes longer than a look. */
FUNCTION(int, extension_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	for (i = 0; i < EBG_EXTENSION_STEP && sight == SIGHT_FURTHER; i++)
		sight = look_at_extension(s);
	return sight;
}

/* Finds the server's name in the ClientHello at `position`. */
FUNCTION(int, find_sni, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->host) = 0;
	sight = find_extensions(s, position);
	if (sight <= 0)
		return sight;
	FORGET(s->cursor) = sight;
	sight = SIGHT_FURTHER;
	for (i = 0; i < EBG_TLS_EXTENSIONS / EBG_EXTENSION_STEP && sight == SIGHT_FURTHER; i++)
		sight = extension_step(slot);
	if (sight == SIGHT_NOTHING)
		return FORGET(s->host);
	return SIGHT_UNREADABLE;
}

/* Looks for a ClientHello in the records at s->base, and for the server's name in it. */
static __always_inline int look_at_tls(struct scratch *s, __u32 slot)
{
	__u32 base = FORGET(s->base), hello = base + EBG_TLS_RECORD;
	int sight;

	s->kind = EBG_KIND_TLS;
	s->strict = 1;
	if (holds(s, hello, 4) && byte_at(s, base) == EBG_TLS_HANDSHAKE && byte_at(s, hello) == EBG_TLS_CLIENT_HELLO &&
	    handshake_size(s, hello) <= word_at(s, base + 3)) {
		if (!holds(s, hello, handshake_size(s, hello)) && FORGET(s->size) < EBG_MESSAGE)
			return want(s, hello + handshake_size(s, hello));
		return find_sni(slot, hello);
	}
	sight = join_records(slot);
	return sight == SIGHT_FURTHER ? find_sni(slot, base) : sight;
}

#endif
#line 10 "bpf/message.h"

#define EBG_PROXY_LINE 107  /* the longest header of the PROXY protocol as text */
#define EBG_PROXY_BINARY 16 /* the shortest one in bytes */

/*
 * Goes over the header of the PROXY protocol: who is behind a load balancer. Servers that expect it read on behind it.
 * Its other form begins with two empty lines, a byte of 0, and `QUIT`. s->base is then behind it.
 */
static __always_inline int skip_proxy_header(struct scratch *s, __u32 slot)
{
	__u32 next;

	if (word_at(s, 0) == 0x5052 && word_at(s, 2) == 0x4f58 && word_at(s, 4) == 0x5920) { /* `PROXY ` */
		next = next_line(slot, 0);
		if (!next && FORGET(s->size) < EBG_PROXY_LINE)
			return want(s, FORGET(s->size) + 1);
		FORGET(s->base) = next;
	} else if (word_at(s, 0) == 0x0d0a && word_at(s, 2) == 0x0d0a && byte_at(s, 4) == 0) {
		if (FORGET(s->size) < EBG_PROXY_BINARY)
			return want(s, EBG_PROXY_BINARY);
		if (word_at(s, 5) == 0x0d0a && word_at(s, 7) == 0x5155 && word_at(s, 9) == 0x4954)
			FORGET(s->base) = EBG_PROXY_BINARY + word_at(s, 14);
	}
	return FORGET(s->base) < FORGET(s->size) ? SIGHT_FURTHER : want(s, FORGET(s->base) + 1);
}

/* Looks for the position of a name in the message. */
static __always_inline int find_name(struct scratch *s, __u32 slot)
{
	__u32 base;
	int sight = skip_proxy_header(s, slot);

	if (sight != SIGHT_FURTHER)
		return sight;
	base = FORGET(s->base);
	if (FORGET(s->size) == base + 1 && byte_at(s, base) - EBG_TLS_CHANGE_CIPHER_SPEC < 3)
		return want(s, base + 2);
	return is_tls(s, base) ? look_at_tls(s, slot) : look_at_http(s, slot);
}

/* Returns the port that a target names or means. The proxy will connect to it, whatever the proxy's own port is. */
static __always_inline __u32 target_port(struct scratch *s)
{
	__u32 i, port = 0, position = FORGET(s->end);

	for (i = 0; i < 5; i++) {
		__u32 digit = byte_at(s, position + i) - '0';

		if (digit > 9 || position + i >= FORGET(s->size))
			break;
		port = port * 10 + digit;
	}
	return position && port && port <= 0xffff ? port : FORGET(s->port);
}

/* Finds the ruling over the name that was read. */
static __always_inline void find_ruling(struct scratch *s, __u32 slot, __u32 protocol_port)
{
	find_rules(slot);
	s->ruling = match(s->found.slice.first, s->found.slice.count, protocol_port);
	if (!s->ruling) {
		lead_t alias = lead_of_alias(slot);

		if (alias >> 32 >= ticks())
			s->ruling = follow(alias, protocol_port);
	}
}

/* Reads the name at `position`, up to `length` bytes. Returns what is presented there. */
static __always_inline enum presented read_presented(struct scratch *s, __u32 slot, __u32 position, __u32 length)
{
	int read = read_text_name(slot, position, length);

	if (read < 0)
		return PRESENTED_UNREADABLE;
	return read ? PRESENTED_NAME : PRESENTED_NOTHING;
}

/* Reads a second name, in the Host header of a request to a proxy. The worse one counts: servers take either. */
static __always_inline void read_host_too(struct scratch *s, __u32 slot, __u32 protocol_port)
{
	__u64 ruling = s->ruling, hash = s->hash;
	enum presented first = s->presented;

	s->presented = read_presented(s, slot, FORGET(s->host), EBG_NAME);
	if (s->presented == PRESENTED_NAME) {
		find_ruling(s, slot, protocol_port);
		if (first == PRESENTED_NOTHING || s->hash == hash || is_worse(s->ruling, ruling))
			return;
	}
	if (first != PRESENTED_NAME || s->presented == PRESENTED_UNREADABLE)
		return;
	read_wire_name(slot, FORGET(s->target) - 1, 0); /* the first one again, which has this form by now */
	find_rules(slot);
	s->ruling = ruling;
	s->presented = first;
}

/* Reads the names that were found, and finds the ruling over the one that counts. */
static __always_inline void read_names(struct scratch *s, __u32 slot, __u32 position, __u32 protocol_port)
{
	s->presented = read_presented(s, slot, position, FORGET(s->span));
	if (FORGET(s->proxied)) {
		FORGET(s->port) = target_port(s);
		protocol_port = (protocol_port & ~0xffff) | FORGET(s->port);
	}
	if (s->presented == PRESENTED_NAME)
		find_ruling(s, slot, protocol_port);
	if (FORGET(s->target) && FORGET(s->host) && s->presented != PRESENTED_UNREADABLE)
		read_host_too(s, slot, protocol_port);
}

/*
 * Finds out what the first `size` bytes of a connection present; as many as there is room for are in the slot. It
 * leaves that in s->kind, s->presented and s->ruling. Where more bytes are needed, s->wait is their number, with those
 * that are there, and the message is as it was. Else a name has another form in the message.
 *
 * s->proxied: the name is of a server behind a proxy. s->tunnel: what follows the head goes to that server (CONNECT).
 * s->head: where the head of a request ends and what follows begins, or 0 where that is not known.
 */
FUNCTION(int, look, __u32 slot, __u32 size, __u32 protocol_port)
{
	struct scratch *s = scratch(slot);
	int sight;

	if (!s || !size)
		return -1;
	s->kind = EBG_KIND_SEND;
	s->presented = PRESENTED_NOTHING;
	s->wait = s->ruling = s->odd = s->proxied = s->tunnel = 0;
	s->span = EBG_NAME;
	s->base = s->head = s->target = s->host = 0;
	sight = find_name(s, slot);
	if (sight == SIGHT_UNREADABLE)
		s->presented = PRESENTED_UNREADABLE;
	else if (sight > 0)
		read_names(s, slot, sight, protocol_port);
	return 0;
}

#endif
#line 14 "bpf/stream.h"
#line 1 "bpf/outage.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Drills: how what is denied is down. It is looked up where something is about to be refused, and only in a drill that
 * asks for it. So what is allowed, and the other modes, take no notice.
 */
#ifndef EBG_OUTAGE_H
#define EBG_OUTAGE_H




#define EBG_ECONNREFUSED 111

/* By the rule's number: enum ebg_outage. One of the rules' maps, sized and filled by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebg_outages SEC(".maps");

static __always_inline int uses_outage(const struct ebg_config *config, enum ebg_outage outage)
{
	return config->outages >> outage & 1;
}

/* How is down what this denies? */
static __always_inline __u32 outage_of(const struct ebg_config *config, const struct judgement *it)
{
	__u32 rule = it->rule;
	const __u32 *outage;

	if (!config->outages)
		return EBG_OUTAGE_DENIED;
	outage = bpf_map_lookup_elem(MAP(ebg_outages), &rule);
	return outage ? *outage : EBG_OUTAGE_DENIED;
}

static __always_inline int is_silent(const struct ebg_config *config, const struct judgement *it)
{
	return outage_of(config, it) == EBG_OUTAGE_TIMEOUT;
}

/* The errno of a socket's call, where it has one. */
static __always_inline int error_of(__u32 outage)
{
	return outage == EBG_OUTAGE_DENIED ? EBG_EACCES : EBG_ECONNREFUSED;
}

#endif
#line 15 "bpf/stream.h"
#line 1 "bpf/packet.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Packets: their headers say where they go. */
#ifndef EBG_PACKET_H
#define EBG_PACKET_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#line 1 "bpf/endpoint.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The one form of an address. */
#ifndef EBG_ENDPOINT_H
#define EBG_ENDPOINT_H




/*
 * Sets of protocols are bits and not comparisons. After `== EBG_TCP` the verifier would follow everything that comes
 * twice, for this protocol and for the others.
 */
#define EBG_BIT(protocol) (1ULL << ((protocol) & 63))

static __always_inline int has_ports(__u8 protocol)
{
	__u64 low = EBG_BIT(EBG_TCP) | EBG_BIT(EBG_UDP) | EBG_BIT(EBG_DCCP);
	__u64 high = EBG_BIT(EBG_SCTP) | EBG_BIT(EBG_UDPLITE); /* 128 and more */

	return !(protocol & 64) && (protocol & 128 ? high : low) & EBG_BIT(protocol);
}

static __always_inline int same_endpoint(const struct ebg_endpoint *one, const struct ebg_endpoint *other)
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, one->address, sizeof(a));
	__builtin_memcpy(b, other->address, sizeof(b));
	return a[0] == b[0] && a[1] == b[1] && one->port == other->port;
}

static __always_inline void set_ipv4(__u8 *to, __u32 address)
{
	/* 0.0.0.0 as a destination means this host */
	__u32 words[4] = { 0, 0, bpf_htonl(0xffff), address ?: bpf_htonl(0x7f000001) };

	__builtin_memcpy(to, words, sizeof(words));
}

static __always_inline void set_ipv6(__u8 *to, __u32 a, __u32 b, __u32 c, __u32 d)
{
	/* :: as a destination means this host; so does ::ffff:0.0.0.0 */
	if (!(a | b | d)) {
		if (!c)
			d = bpf_htonl(1);
		else if (c == bpf_htonl(0xffff))
			d = bpf_htonl(0x7f000001);
	}
	__u32 words[4] = { a, b, c, d };

	__builtin_memcpy(to, words, sizeof(words));
}

#endif
#line 10 "bpf/packet.h"



#define EBG_EXTENSION_HEADERS 6

struct packet {
	struct ebg_endpoint to;
	__u8 from[16];
	__u32 source;    /* port, in host order */
	__u32 transport; /* offset of the header that holds the ports */
};

struct port_pair {
	__be16 source;
	__be16 destination;
};

static __always_inline int unpack_ipv4(struct __sk_buff *skb, struct packet *packet)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0)
		return -1;
	if (ip.frag_off & bpf_htons(0x1fff))
		return -1; /* a later fragment has no ports; the kernel cuts packets after this program */
	set_ipv4(packet->to.address, ip.daddr);
	set_ipv4(packet->from, ip.saddr);
	packet->to.protocol = ip.protocol;
	packet->transport = ip.ihl * 4;
	return 0;
}

static __always_inline int is_extension(__u8 header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS ||
	       header == IPPROTO_FRAGMENT;
}

static __always_inline int unpack_ipv6(struct __sk_buff *skb, struct packet *packet)
{
	struct ipv6hdr ip;
	__u32 offset = sizeof(ip);
	__u8 next;
	int i;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) < 0)
		return -1;
	__builtin_memcpy(packet->to.address, &ip.daddr, 16);
	__builtin_memcpy(packet->from, &ip.saddr, 16);
	next = ip.nexthdr;
	for (i = 0; i < EBG_EXTENSION_HEADERS; i++) {
		__u8 header[4]; /* next header, length; of a fragment, its offset */

		if (!is_extension(next))
			break;
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)) < 0)
			return -1;
		if (next == IPPROTO_FRAGMENT && (header[2] | (header[3] & 0xf8)))
			return -1;
		offset += next == IPPROTO_FRAGMENT ? 8 : (header[1] + 1) * 8;
		next = header[0];
	}
	if (is_extension(next))
		return -1;
	packet->to.protocol = next;
	packet->transport = offset;
	return 0;
}

/* Returns -1 where the packet's headers can't be read. */
static __always_inline int unpack(struct __sk_buff *skb, struct packet *packet)
{
	struct port_pair ports;
	int result = skb->protocol == bpf_htons(EBG_IPV4) ? unpack_ipv4(skb, packet) : unpack_ipv6(skb, packet);

	packet->to.kind = EBG_KIND_SEND;
	packet->transport = some(packet->transport); /* or what follows is verified for each number of headers */
	if (result < 0 || !has_ports(packet->to.protocol))
		return result;
	if (bpf_skb_load_bytes(skb, packet->transport, &ports, sizeof(ports)) < 0)
		return -1;
	packet->to.port = bpf_ntohs(ports.destination);
	packet->source = bpf_ntohs(ports.source);
	return 0;
}

/* Where the process wants to go, and where the host's NAT leads: is it to a DNS server? */
static __always_inline int is_dns(const struct ebg_endpoint *asked, const struct ebg_endpoint *there)
{
	return asked->port == EBG_DNS_PORT || there->port == EBG_DNS_PORT;
}

/* The cgroup in which the packet's socket was made; no process is in ~0. */
static __always_inline __u64 socket_cgroup(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk ? bpf_sk_cgroup_id(sk) : ~0ULL;
}

/* The TCP socket that sends this packet; the listening one while the connection is being accepted. */
static __always_inline struct bpf_sock *tcp_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->type == EBG_SOCK_STREAM && sk->protocol == EBG_TCP ? sk : NULL;
}

/* Returns where the data of a TCP packet begins, or the packet's end where the header can't be read. */
static __always_inline __u32 tcp_payload(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 offset;

	if (bpf_skb_load_bytes(skb, packet->transport + 12, &offset, sizeof(offset)) < 0)
		return skb->len;
	return packet->transport + (offset >> 4) * 4;
}

/* Have connect and sendmsg seen what this packet carries? They see TCP and UDP, but not where a raw socket sends it. */
static __always_inline int seen_by_socket_hooks(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = skb->sk;

	if (packet->to.protocol != EBG_TCP && packet->to.protocol != EBG_UDP)
		return 0;
	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return !sk || sk->type != EBG_SOCK_RAW;
}

/* The socket's own address and port, which the host's NAT may have changed in the packet. */
static __always_inline void set_sender(struct __sk_buff *skb, struct packet *packet)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || !sk->src_port)
		return;
	packet->source = sk->src_port;
	if (skb->protocol == bpf_htons(EBG_IPV4) && sk->src_ip4)
		set_ipv4(packet->from, sk->src_ip4);
	else if (skb->protocol == bpf_htons(EBG_IPV6) && (sk->src_ip6[0] | sk->src_ip6[3]))
		set_ipv6(packet->from, sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]);
}

/* Loads the bytes behind the headers. Returns -1 where there are none. */
static __always_inline int load_payload(struct __sk_buff *skb, struct scratch *s, __u32 start)
{
	__u32 size;

	FORGET(s->cursor) = start;
	start = FORGET(s->cursor);
	if (start >= skb->len)
		return -1;
	FORGET(s->size) = skb->len - start - 1;
	size = FORGET(s->size);
	if (size > EBG_MESSAGE - 1)
		size = EBG_MESSAGE - 1;
	size = BELOW(EBG_MESSAGE, size) + 1;
	if (bpf_skb_load_bytes(skb, start, s->message, size) < 0)
		return -1;
	FORGET(s->size) = size;
	return 0;
}

#endif
#line 16 "bpf/stream.h"
#line 1 "bpf/record.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The ledger: exact totals, and details in bounded number. A detail says which process went where, when, how often. */
#ifndef EBG_RECORD_H
#define EBG_RECORD_H


#line 1 "bpf/counters.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The totals, which never lose. */
#ifndef EBG_COUNTERS_H
#define EBG_COUNTERS_H




struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_counters SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *total = bpf_map_lookup_elem(MAP(ebg_counters), &counter);

	/* Atomic although per CPU: a program can be preempted between load and store. */
	if (total)
		__sync_fetch_and_add(total, 1);
}

#endif
#line 8 "bpf/record.h"
#line 1 "bpf/lineage.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Lineage: which process descends from which. A parent can end, and a process can become another program, long before
 * a child is denied something. So each image inside the guard is remembered when it begins: its command line, and the
 * image above it. When a process is recorded, the images above it are kept for the report.
 */
#ifndef EBG_LINEAGE_H
#define EBG_LINEAGE_H




struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EBG_MAX_IMAGES);
	__type(key, struct ebg_run);
	__type(value, struct ebg_image);
} ebg_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_ANCESTORS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_run);
	__type(value, struct ebg_image);
} ebg_ancestors SEC(".maps");

/* Zeros: what is too large for the stack starts as a copy of these. A record is the largest. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_record);
} ebg_blank SEC(".maps");

static __always_inline const void *blank(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(MAP(ebg_blank), &zero);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline struct ebg_run run_of(struct task_struct *task)
{
	return (struct ebg_run){ .started = BPF_CORE_READ(task, group_leader, start_boottime),
				 .pid = BPF_CORE_READ(task, tgid),
				 .exec = BPF_CORE_READ(task, self_exec_id) };
}

/* Reads the command line of the current process, whose memory is at hand. Returns the length, as far as it is kept. */
static __always_inline __u32 read_args(__u8 *args, struct task_struct *task)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long length = BPF_CORE_READ(task, mm, arg_end) - start;

	if (length > EBG_ARGS)
		length = EBG_ARGS;
	return bpf_probe_read_user(args, length, (void *)start) == 0 ? length : 0;
}

/* The process that started this one, if it is in the guard as well. */
static __always_inline struct task_struct *parent_of(struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, group_leader, real_parent, group_leader);

	return parent && cgroup_of(parent) == cgroup_of(task) ? parent : NULL;
}

/*
 * Remembers the image of the current process, unless it is known. The image above is the one before its exec, or the
 * parent's, if that one was a mere copy of the parent. A process that has just come in, or was there before the guard,
 * is not known: then the parent that it has now is above, and is remembered as well, by its name alone, and so on. A
 * global function, which the verifier checks once.
 */
FUNCTION(int, remember_image, __u64 current)
{
	struct task_struct *task = (void *)current;
	const void *zeros = blank();
	int i;

	for (i = 0; i < EBG_PARENTS && zeros && task; i++) {
		struct ebg_run run = run_of(task), before = run;
		const struct ebg_image *earlier;
		struct ebg_image *image;

		if (bpf_map_lookup_elem(MAP(ebg_images), &run))
			return 0;
		bpf_map_update_elem(MAP(ebg_images), &run, zeros, BPF_NOEXIST);
		image = bpf_map_lookup_elem(MAP(ebg_images), &run);
		if (!image)
			return 0;
		BPF_CORE_READ_INTO(&image->comm, task, group_leader, comm);
		if (i == 0)
			image->args_length = read_args(image->args, task);
		before.exec--;
		earlier = bpf_map_lookup_elem(MAP(ebg_images), &before);
		if (earlier) {
			image->above = earlier->forked ? earlier->above : before;
			return 0;
		}
		task = parent_of(task);
		if (task)
			image->above = run_of(task);
	}
	return 0;
}

/*
 * Keeps the images above one, however many images come after. A global function, too, so the run comes in two words:
 * `image_of` has the pid, and above it the exec count.
 */
FUNCTION(int, keep_ancestors, __u64 started, __u64 image_of)
{
	struct ebg_run run = { .started = started, .pid = (__u32)image_of, .exec = image_of >> 32 };
	const struct ebg_image *image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	int i;

	for (i = 0; i < EBG_ANCESTORS && image; i++) {
		run = image->above;
		image = bpf_map_lookup_elem(MAP(ebg_images), &run);
		if (image)
			bpf_map_update_elem(MAP(ebg_ancestors), &run, image, BPF_NOEXIST);
	}
	return 0;
}

#endif
#line 9 "bpf/record.h"



struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_DENIED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_denial);
	__type(value, struct ebg_record);
} ebg_denied SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_OBSERVED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_observation);
	__type(value, struct ebg_record);
} ebg_observed SEC(".maps");

/* One access: where it goes, by which name, and the judgement over it. */
struct access {
	enum ebg_hook hook;
	struct ebg_endpoint to;
	struct judgement it;
	__u32 outward; /* 1: recorded in every mode */
	__u64 socket_cgroup;
	__u64 name_hash;
	const __u8 *name; /* EBG_NAME bytes; NULL: none was asked for or presented */
	const struct opened *opener; /* of a TCP connection; NULL: the current process acts */
};

/*
 * Returns the process on whose behalf this runs, or NULL. A packet can leave while the CPU works for another process (a
 * retransmission, say). So an egress program gives the cgroup of the packet's socket, and the process must be in it.
 */
static __always_inline struct task_struct *sender(__u64 socket_cgroup)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (socket_cgroup && cgroup_of(task) != socket_cgroup)
		return NULL;
	return task;
}

/* Says which program the record's process ran, from what is remembered of it. */
static __always_inline void describe_above(struct ebg_record *record, int with_args)
{
	struct ebg_run run = record->run;
	const struct ebg_image *image = bpf_map_lookup_elem(MAP(ebg_images), &run);

	keep_ancestors(run.started, (__u64)run.exec << 32 | run.pid);
	if (!image)
		return;
	record->above = image->above;
	if (!with_args)
		return;
	__builtin_memcpy(record->comm, image->comm, sizeof(record->comm));
	record->args_length = image->args_length;
	__builtin_memcpy(record->args, image->args, sizeof(record->args));
}

static __noinline void describe(struct ebg_record *record, struct task_struct *task)
{
	record->run = run_of(task);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	record->args_length = read_args(record->args, task);
	remember_image((__u64)task);
	describe_above(record, 0);
}

/* A segment can leave while the CPU works for anybody. So the record is of the process that opened the connection. */
static __noinline void describe_opener(struct ebg_record *record, const struct opened *opener)
{
	record->run = opener->run;
	record->uid = opener->uid;
	describe_above(record, 1);
}

static __always_inline void note(void *map, const void *key, const struct access *access, struct task_struct *task)
{
	struct ebg_record *record = bpf_map_lookup_elem(map, key);
	__u64 now = bpf_ktime_get_ns();

	if (!record) {
		const void *zeros = blank();
		long taken;

		if (!zeros)
			return;
		taken = bpf_map_update_elem(map, key, zeros, BPF_NOEXIST);
		record = bpf_map_lookup_elem(map, key);
		if (!record) {
			count(EBG_COUNTER_LOST);
			return;
		}
		if (taken == 0) { /* else another CPU has made the record in the meantime, and describes it */
			record->first_seen = now;
			record->rule = access->it.rule;
			if (access->name) /* by a helper: to the verifier, 512 loads and stores of a byte are most of a program */
				bpf_probe_read_kernel(record->name, sizeof(record->name), access->name);
			if (access->opener)
				describe_opener(record, access->opener);
			else if (task)
				describe(record, task);
		}
	}
	__sync_fetch_and_add(&record->count, 1);
	if (record->last_seen < now)
		record->last_seen = now;
}

/* Records an access in the table of denials, or of observations. */
static __always_inline void note_access(const struct ebg_config *config, const struct access *access)
{
	struct task_struct *task = access->opener ? NULL : sender(access->socket_cgroup);
	union {
		struct ebg_denial denial;
		struct ebg_observation observation;
	} key = {};

	if (access->it.deny) {
		key.denial.rule = access->it.rule;
		key.denial.mode = config->mode;
		key.denial.endpoint = access->to;
		key.denial.name = access->name_hash;
		if (access->opener)
			key.denial.run = access->opener->run;
		else if (task)
			key.denial.run = run_of(task);
		note(MAP(ebg_denied), &key, access, task);
	} else {
		key.observation.endpoint = access->to;
		key.observation.name = access->name_hash;
		note(MAP(ebg_observed), &key, access, task);
	}
}

/* Counts and records one access; says whether it may go on. */
static __always_inline int settle(const struct ebg_config *config, const struct access *access)
{
	int refused = refuses(config, &access->it);
	enum ebg_verdict verdict = verdict_of(&access->it, refused);

	if (is_canary(access->it.rule)) {
		count(EBG_COUNTER_CANARY + access->hook);
		return refused ? EBG_REFUSE : EBG_PASS;
	}
	count(access->to.kind * EBG_VERDICTS + verdict);
	if (access->it.deny || config->observe || access->outward)
		note_access(config, access);
	return refused ? EBG_REFUSE : EBG_PASS;
}

#endif
#line 17 "bpf/stream.h"

enum stream_result {
	STREAM_REFUSED = EBG_REFUSE,
	STREAM_PASSES = EBG_PASS,
	STREAM_WAITS = 2, /* the message goes on in the next segment */
	STREAM_LATER = 3, /* nothing to judge here, but there will be */
	STREAM_HELD = 4,  /* it does not leave yet */
};

/* An access by the connection in the slot. */
static __always_inline struct access access_of(const struct scratch *s, __u32 kind)
{
	struct access access = { .hook = EBG_HOOK_PRESENTED, .to = s->connection.to, .opener = &s->connection };

	access.to.kind = kind;
	return access;
}

/* As settle(); and keeps what was refused, and how it is down. */
static __always_inline int settle_of(struct scratch *s, const struct ebg_config *config, const struct access *access)
{
	int result = settle(config, access);

	if (result == EBG_REFUSE) {
		s->outage = outage_of(config, &access->it);
		s->refused = access->it.rule;
	}
	return result;
}

/* Denies the connection because of its address, which is in s->to. */
FUNCTION(int, settle_address, __u32 slot, __u32 rule)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = scratch(slot);
	struct access access;

	if (!config || !s)
		return STREAM_REFUSED;
	access = access_of(s, EBG_KIND_SEND);
	access.hook = EBG_HOOK_EGRESS;
	access.to = s->to;
	access.to.kind = EBG_KIND_SEND;
	access.it = (struct judgement){ rule, 1 };
	return settle_of(s, config, &access);
}

/* Judges what the connection presents, as look() has left it, and records it. */
FUNCTION(int, settle_presented, __u32 slot)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = scratch(slot);
	struct access access;

	if (!config || !s)
		return STREAM_REFUSED;
	access = access_of(s, s->kind);
	access.it = judge_presented(config, s->presented, s->ruling, &s->connection.address);
	if (s->presented == PRESENTED_NAME) {
		access.name = s->name;
		access.name_hash = s->hash;
	}
	return s->presented == PRESENTED_NAME || access.it.deny ? settle_of(s, config, &access) : STREAM_PASSES;
}

static __always_inline int settle_as(struct scratch *s, __u32 slot, enum presented presented)
{
	s->kind = EBG_KIND_SEND;
	s->presented = presented;
	return settle_presented(slot);
}

#define EBG_HOLDS 512 /* for so long first bytes are held back at most; then no name comes. In steps of 2^20 ns */

static __always_inline int held_long_enough(__u32 since)
{
	return since && (__u32)(bpf_ktime_get_ns() >> 20 | 1) - since >= EBG_HOLDS;
}

/*
 * Nothing can be said of `size` bytes so far. Returns STREAM_HELD, or the verdict over `presented` once it has been so for
 * too long.
 */
static __always_inline int hold_back(struct scratch *s, __u32 slot, enum presented presented, __u32 size)
{
	const struct ebg_config *config = configuration();
	__u32 since = FORGET(s->connection.held);

	if (!config || !enforces(config) || held_long_enough(since))
		return settle_as(s, slot, presented);
	if (!since)
		s->connection.held = bpf_ktime_get_ns() >> 20 | 1;
	s->connection.waiting = size;
	return STREAM_HELD;
}

/* The data of a TCP packet: where it begins in the packet, and in the stream. */
struct segment {
	__u32 start; /* the packet's end where it has no data, or its header can't be read */
	__u32 sequence, acknowledged;
	__u32 flags; /* of TCP */
};

static __always_inline struct segment segment_of(struct __sk_buff *skb, const struct packet *packet)
{
	struct {
		__be32 sequence, acknowledged;
		__u8 length, flags;
	} header;
	struct segment segment = { .start = skb->len };

	if (bpf_skb_load_bytes(skb, packet->transport + 4, &header, 10) < 0)
		return segment;
	segment.start = packet->transport + (header.length >> 4) * 4;
	segment.flags = header.flags;
	segment.acknowledged = bpf_ntohl(header.acknowledged);
	segment.sequence = bpf_ntohl(header.sequence) + !!(header.flags & EBG_SYN); /* it has a number of its own */
	return segment;
}

/* Adds a part of the data at `start` to what has left of the message, of which there are s->size bytes so far. */
static __always_inline int add_part(struct __sk_buff *skb, struct scratch *s, struct head *head, __u32 start)
{
	__u32 kept = FORGET(s->size), size = skb->len - start;

	if (size > EBG_MESSAGE - kept)
		size = EBG_MESSAGE - kept;
	if (size > EBG_PART)
		size = EBG_PART;
	FORGET(s->piece) = size - 1;
	size = BELOW(EBG_PART, FORGET(s->piece)) + 1;
	FORGET(s->size) = kept + size;
	return bpf_skb_load_bytes(skb, start, head->bytes + BELOW(EBG_MESSAGE, kept), size);
}

/* Adds the new data at `start` to what has left of the message, as much as there is room for. */
static __always_inline int add_data(struct __sk_buff *skb, struct scratch *s, struct head *head, __u32 start)
{
	__u32 kept = FORGET(s->connection.kept), i;

	FORGET(s->size) = kept;
	for (i = 0; i < EBG_MESSAGE / EBG_PART; i++) {
		__u32 at = start + FORGET(s->size) - kept;

		if (at >= skb->len || FORGET(s->size) >= EBG_MESSAGE)
			break;
		if (add_part(skb, s, head, at) < 0)
			return -1;
	}
	return 0;
}

/* Puts what has left of the message, and the new data at `start`, into the slot. Returns -1 where that fails. */
PACKET_FUNCTION(int, load_message, struct __sk_buff *skb, __u32 slot, __u32 start)
{
	struct bpf_sock *sk = tcp_socket(skb);
	struct scratch *s = scratch(slot);
	struct head *head;

	if (!s || !sk)
		return -1;
	FORGET(s->start) = 0;
	if (!FORGET(s->connection.kept))
		return load_payload(skb, s, start);
	head = bpf_sk_storage_get(MAP(ebg_head), sk, NULL, 0);
	if (!head || add_data(skb, s, head, start) < 0)
		return -1;
	return bpf_probe_read_kernel(s->message, EBG_MESSAGE, head->bytes);
}

/* Keeps the message in the slot until more of it leaves. Returns -1 without memory for it. */
PACKET_FUNCTION(int, keep_message, struct __sk_buff *skb, __u32 slot)
{
	struct bpf_sock *sk = tcp_socket(skb);
	struct scratch *s = scratch(slot);
	struct head *head;
	__u32 start;

	if (!s || !sk)
		return -1;
	head = bpf_sk_storage_get(MAP(ebg_head), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!head)
		return -1;
	start = FORGET(s->start);
	s->connection.kept = FORGET(s->size) - start;
	return bpf_probe_read_kernel(head->bytes, EBG_MESSAGE, s->message + BELOW(EBG_MESSAGE, start));
}

#endif
#line 10 "bpf/heads.h"

#define EBG_HEADS 16 /* requests to a proxy, of a packet */

/* Looks at the first `sent` bytes of a message; as many of them as there is room for are in the slot. */
static __always_inline int read_head(struct scratch *s, __u32 slot, __u32 sent)
{
	if (look(slot, sent, (__u32)EBG_TCP << 16 | (s->connection.port & 0xffff)) < 0)
		return STREAM_REFUSED;
	if (FORGET(s->wait))
		return STREAM_WAITS;
	if (s->connection.flags & OPENED_AGAIN && s->presented == PRESENTED_NOTHING)
		return STREAM_PASSES; /* what the connection is for has been said before */
	return settle_presented(slot);
}

/* Does a protocol become TLS on this port, once both sides have said so in plain text? */
static __always_inline int has_starttls(__u32 port)
{
	return port == 25 || port == 587 || port == 143 || port == 110 || port == 5432 || port == 3306 || port == 389;
}

/* Does a request begin with these bytes? A proxy gets other data, too, so only common methods count. */
static __always_inline int is_method(__u32 word, __u32 mask)
{
	return !((word ^ 0x47455420 /* GET */) & mask) || !((word ^ 0x504f5354 /* POST */) & mask) ||
	       !((word ^ 0x48454144 /* HEAD */) & mask) || !((word ^ 0x50555420 /* PUT */) & mask) ||
	       !((word ^ 0x434f4e4e /* CONNECT */) & mask) || !((word ^ 0x4f505449 /* OPTIONS */) & mask) ||
	       !((word ^ 0x50415443 /* PATCH */) & mask) || !((word ^ 0x44454c45 /* DELETE */) & mask) ||
	       !((word ^ 0x54524143 /* TRACE */) & mask);
}

/* Does a ClientHello begin here? Much of it is compared: in what is uploaded through a proxy, two bytes stand by chance. */
static __always_inline int begins_hello(struct scratch *s, __u32 size)
{
	return byte_at(s, 0) == EBG_TLS_HANDSHAKE && (size < 2 || byte_at(s, 1) == 3) &&
	       (size < 4 || byte_at(s, 3) <= 0x40) && (size < 6 || byte_at(s, 5) == 1);
}

/* Can a ClientHello or a request begin here? Only its first bytes may be there so far. */
static __always_inline int may_present(struct scratch *s)
{
	__u32 size = FORGET(s->size), mask = size < 4 ? ~0U << (32 - size * 8) : ~0U;

	return begins_hello(s, size) || is_method(word_at(s, 0) << 16 | word_at(s, 2), mask);
}

/* What comes next on a connection whose message has passed. */
PACKET_FUNCTION(int, go_on, struct __sk_buff *skb, __u32 slot)
{
	struct bpf_sock *sk = tcp_socket(skb);
	struct scratch *s = scratch(slot);
	struct opened *opened;

	if (!s || !sk)
		return -1;
	opened = &s->connection;
	if (FORGET(opened->kept))
		bpf_sk_storage_delete(MAP(ebg_head), sk);
	opened->kept = opened->sent = opened->held = 0;
	opened->flags &= ~OPENED_TUNNEL;
	if (s->proxied || (s->presented == PRESENTED_NOTHING && has_starttls(opened->to.port)))
		opened->flags |= OPENED_AGAIN;
	if (!(opened->flags & OPENED_AGAIN) || s->kind == EBG_KIND_TLS)
		opened->flags |= OPENED_JUDGED;
	if (s->proxied)
		opened->port = FORGET(s->port);
	if (s->tunnel)
		opened->flags |= OPENED_TUNNEL;
	return 0;
}

/* Is this data of a connection that has presented a name before, and no message that could present another one? */
static __always_inline int is_later_data(struct scratch *s)
{
	return (FORGET(s->connection.flags) & (OPENED_AGAIN | OPENED_TUNNEL)) == OPENED_AGAIN &&
	       !FORGET(s->connection.kept) && !may_present(s);
}

/* May nothing leave until a name is presented? */
static __always_inline int waits_for_name(struct scratch *s)
{
	const struct ebg_config *config = configuration();

	return s->connection.address.undecided && !(FORGET(s->connection.flags) & OPENED_AGAIN) && config && enforces(config);
}

/* Judges the first bytes of a connection, or of a request to a proxy, from s->from in the packet on. */
PACKET_FUNCTION(int, on_head, struct __sk_buff *skb, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, sent;
	int result = -1;

	if (!s)
		return STREAM_REFUSED;
	start = FORGET(s->from);
	sent = FORGET(s->connection.sent) + skb->len - start;
	if (load_message(skb, slot, start) == 0) {
		if (is_later_data(s))
			return STREAM_LATER;
		result = read_head(s, slot, sent);
		if (result == STREAM_WAITS && waits_for_name(s))
			return hold_back(s, slot, PRESENTED_NOTHING, sent);
	}
	if (result == STREAM_WAITS && keep_message(skb, slot) < 0)
		return hold_back(s, slot, PRESENTED_UNREADABLE, sent); /* there may be memory the next time */
	s->connection.sent = sent;
	if (result < 0)
		result = settle_as(s, slot, PRESENTED_UNREADABLE);
	if (result == STREAM_PASSES)
		go_on(skb, slot);
	return result;
}

/* Judges what begins at `start` in the packet, and each request to a proxy that begins behind the head of another. */
static __always_inline int on_heads(struct __sk_buff *skb, struct scratch *s, __u32 slot, __u32 start)
{
	int result = STREAM_PASSES;
	__u32 i, kept;

	FORGET(s->from) = start;
	for (i = 0; i < EBG_HEADS; i++) {
		kept = FORGET(s->connection.kept);
		FORGET(s->head) = 0;
		result = on_head(skb, slot);
		FORGET(s->from) += FORGET(s->head) - kept;
		if (result != STREAM_PASSES || !FORGET(s->head) || FORGET(s->from) >= skb->len ||
		    FORGET(s->connection.flags) & OPENED_JUDGED)
			return result;
	}
	return settle_as(s, slot, PRESENTED_UNREADABLE);
}

#endif
#line 10 "bpf/egress.h"
#line 1 "bpf/questions.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* DNS over TCP: several questions can stand in a packet, and one in several. Each is judged. */
#ifndef EBG_QUESTIONS_H
#define EBG_QUESTIONS_H

#line 1 "bpf/dns.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* DNS: the name that a question asks for, who asks for it, and which answers are waited for. */
#ifndef EBG_DNS_H
#define EBG_DNS_H



#line 1 "bpf/recent_names.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The names that were read a moment ago, with their rules. A name comes often: in a question for A and in one for AAAA,
 * and in both answers. The rules of a program never change. Only short names are kept, and most names are short.
 */
#ifndef EBG_RECENT_NAMES_H
#define EBG_RECENT_NAMES_H





#define EBG_RECENT_NAMES_BITS 8
#define EBG_SHORT 8 /* words of 64 bits */
#define EBG_ALIKE 4 /* names whose hashes begin alike: of two that are asked for in turn, none drives the other out */

struct recent_name {
	__u64 words[EBG_SHORT]; /* in the form of DNS messages; 0 behind it */
	__u64 hash;
	__u64 asked; /* in the upper half when, in ticks, and in the lower which process has asked for it: noted in ebg_asked */
	struct ebg_name_rules found;
};

struct recent_names {
	struct cell cell;
	__u32 next; /* the one to be overwritten */
	__u32 padding;
	__u64 marks[EBG_ALIKE]; /* hashes of the words */
	struct recent_name name[EBG_ALIKE];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_NAMES_BITS);
	__type(key, __u32);
	__type(value, struct recent_names);
} ebg_recent_name SEC(".maps");

/*
 * Copies the bytes at `start` up to the first 0, and the 0. Returns their number, or 0 where they do not fit. The name
 * ends there, or at a later 0 if a label has one in it.
 */
static __always_inline __u32 short_name(struct scratch *s, __u32 start, __u64 *words, __u64 *mark)
{
	__u64 hash = EBG_HASH_SEED;
	__u32 i;

#pragma unroll
	for (i = 0; i < EBG_SHORT; i++) {
		__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, start) + 8 * i);
		__u64 zero = zero_bytes(word);

		words[i] = word & bits_before(zero); /* the 0 has none */
		hash = mixed(hash, words[i]);
		if (zero) {
			*mark = hash;
			return 8 * i + first_place(zero) + 1;
		}
	}
	return 0;
}

/* The place among names that are alike of the one with this mark, or any. Without a branch, as in find_leads(). */
static __always_inline __u32 place_of(const struct recent_names *names, __u64 mark)
{
	__u64 differs, found = 0;
	__u32 i;

#pragma unroll
	for (i = 1; i < EBG_ALIKE; i++) {
		differs = names->marks[i] ^ mark;
		differs |= -differs;
		barrier_var(differs);
		found |= ((differs >> 63) - 1) & i;
	}
	return BELOW(EBG_ALIKE, found);
}

/* Keeps the name that was read, and its rules, in the place of the one that was kept longest. */
static __always_inline void keep_name(struct recent_names *names, struct scratch *s, const __u64 *words, __u64 mark)
{
	if (begin_write(&names->cell)) {
		__u32 place = BELOW(EBG_ALIKE, names->next);
		struct recent_name *name = &names->name[place];

		names->next = place + 1;
		names->marks[place] = mark;
		__builtin_memcpy(name->words, words, 8 * EBG_SHORT);
		name->hash = s->hash;
		name->asked = 0;
		name->found = s->found;
		s->kept_at = place;
	}
	end_write(&names->cell);
}

/*
 * Reads the name at `start` and finds its rules. The name has no reason to point elsewhere, so it must not. Returns the
 * position behind it, or -1 where it can't be read.
 */
static __always_inline int read_and_find(__u32 slot, struct scratch *s, __u32 start)
{
	__u64 *words = (__u64 *)s->compared[0], different = 0, mark = 0; /* the stack has no room for them */
	struct recent_names *names = NULL;
	__u32 index, size, version, i;
	int end;

	__builtin_memset(words, 0, 8 * EBG_SHORT);
	size = short_name(s, start, words, &mark);
	index = mark >> (64 - EBG_RECENT_NAMES_BITS);
	s->kept_in = index;
	if (size && start + size <= FORGET(s->size))
		names = bpf_map_lookup_elem(MAP(ebg_recent_name), &index);
	if (names) {
		const struct recent_name *name = &names->name[s->kept_at = place_of(names, mark)];

		version = begin_read(&names->cell);
#pragma unroll
		for (i = 0; i < EBG_SHORT; i++) {
			different |= words[i] ^ name->words[i];
			barrier_var(different); /* else the compiler keeps each word on the stack */
			((__u64 *)s->name)[i] = words[i];
		}
		s->hash = name->hash;
		s->found = name->found;
		if (version && !different && was_whole(&names->cell, version))
			return start + size;
	}
	end = read_wire_name(slot, start, 0);
	if (end < 0)
		return -1;
	find_rules(slot);
	if (names && end == (int)(start + size))
		keep_name(names, s, words, mark);
	return end;
}

#endif
#line 9 "bpf/dns.h"


#define EBG_DNS_HEADER 12

#define EBG_ASKED_TICKS 8 /* for so long a note is not made again: soon enough to stay among the latest */

/* Notes that this process asked for the name. First the quick looks: to find out whether the question is its own takes longer. */
static __always_inline void note_question(struct scratch *s, __u64 socket_cgroup)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct ebg_asked asked = { .name = s->hash, .pid = BPF_CORE_READ(task, tgid) };
	__u32 index = FORGET(s->kept_in), now = ticks();
	struct recent_names *names = bpf_map_lookup_elem(MAP(ebg_recent_name), &index);
	struct recent_name *name;
	__u8 yes = 1;

	if (!names)
		return; /* never: it is an array, and the index is in it */
	name = &names->name[BELOW(EBG_ALIKE, FORGET(s->kept_at))];
	if (name->hash == asked.name && (__u32)name->asked == asked.pid && now - (name->asked >> 32) < EBG_ASKED_TICKS)
		return;
	if (name->hash == asked.name)
		name->asked = (__u64)now << 32 | asked.pid;
	if (bpf_map_lookup_elem(MAP(ebg_asked), &asked))
		return;
	if (!sender(socket_cgroup))
		asked.pid = 0;
	bpf_map_update_elem(MAP(ebg_asked), &asked, &yes, BPF_ANY);
}

/*
 * Reads the question of the DNS message at `start`, and finds the rules for its name. Returns the position behind the
 * name, or -1 where it can't be read. A message must not have more than one question (RFC 9619), and a question's name
 * has no reason to point elsewhere: neither is read.
 */
FUNCTION(int, read_question, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	int end = -1;

	if (!s)
		return -1;
	if (holds(s, start, EBG_DNS_HEADER) && word_at(s, start + 4) == 1)
		end = read_and_find(slot, s, start + EBG_DNS_HEADER);
	if (end < 0) {
		begin_name(s); /* half a name would be another name */
		FORGET(s->hash) = 0;
	}
	return end;
}

/* Of the question that was read at `start`: in the upper 40 bits what it is known by, and all bits find its set. */
static __always_inline __u64 question_hash(struct scratch *s, __u32 start)
{
	return mixed(FORGET(s->hash), word_at(s, start)) * EBG_HASH_PRIME;
}

#define EBG_PENDING_TICKS 32 /* in which an answer can come */
#define EBG_TICK_MASK 0xffffff

static __always_inline struct ebg_pending *pending_set(__u64 hash)
{
	__u32 index = hash & (EBG_MAX_PENDING - 1);

	return bpf_map_lookup_elem(MAP(ebg_pending), &index);
}

/* Remembers that the question at `start` leaves. The latest of a set comes first. */
FUNCTION(int, expect_answer, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	struct ebg_pending *set;
	__u64 hash;
	int i;

	if (!s)
		return 0;
	hash = question_hash(s, start);
	set = pending_set(hash);
	if (!set)
		return 0;
#pragma unroll
	for (i = EBG_PENDING - 1; i > 0; i--)
		set->question[i] = set->question[i - 1];
	set->question[0] = (hash & ~(__u64)EBG_TICK_MASK) | (ticks() & EBG_TICK_MASK);
	return 0;
}

/* Did somebody inside ask for what this answers? */
FUNCTION(int, was_asked, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i, asked = 0, now = ticks();
	struct ebg_pending *set;
	__u64 hash;

	if (!s)
		return 0;
	hash = question_hash(s, 0);
	set = pending_set(hash);
	if (!set)
		return 0;
#pragma unroll
	for (i = 0; i < EBG_PENDING; i++) {
		__u64 question = FORGET(set->question[i]);

		asked |= !((question ^ hash) & ~(__u64)EBG_TICK_MASK) &&
			 ((now - question) & EBG_TICK_MASK) <= EBG_PENDING_TICKS;
	}
	return asked;
}

/*
 * Asks for the verdict over the question that was read, of the DNS message at `start`. `end`: as read_question()
 * returned it.
 */
static __always_inline void take_question(const struct ebg_config *config, struct scratch *s, __u32 start, int end,
					  struct access *access)
{
	if (end < 0) {
		access->it = judge_unreadable_name(config);
		return;
	}
	access->it = judge_question(config, &s->found);
	if (access->it.deny && outage_of(config, &access->it) == EBG_OUTAGE_REFUSED)
		access->it = judge_found_name();
	access->name = s->name;
	access->name_hash = s->hash;
	note_question(s, access->socket_cgroup);
	if (!refuses(config, &access->it))
		expect_answer(FORGET(s->slot), start);
}

#endif
#line 7 "bpf/questions.h"


#define EBG_IN_WINDOW 16 /* DNS questions in a slot */
#define EBG_WINDOWS 5    /* slots full of DNS questions, of a packet */

/*
 * Finds the DNS message that begins at s->start, behind its length. It ends at s->size from now on; s->end keeps where
 * the data ends, and s->left what follows of a message that is longer than the slot. Returns the message's start, or 0
 * where it is not whole.
 */
FUNCTION(int, next_question, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, size, end;

	if (!s)
		return 0;
	start = FORGET(s->start);
	size = FORGET(s->size);
	FORGET(s->end) = size;
	FORGET(s->left) = 0;
	if (start + 2 > size)
		return 0;
	end = start + 2 + word_at(s, start);
	if (end <= size)
		FORGET(s->size) = end;
	else if (start || size < EBG_MESSAGE)
		return 0;
	else
		FORGET(s->left) = end - size; /* its question is in the slot, and nothing else is asked */
	return start + 2;
}

/* Judges the question that was read at `start`, and moves on to the next one. `end`: as read_question() returned it. */
FUNCTION(int, settle_question, __u32 slot, __u32 start, int end)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = scratch(slot);
	struct access access;

	if (!config || !s)
		return STREAM_REFUSED;
	access = access_of(s, EBG_KIND_DNS);
	take_question(config, s, start, end, &access);
	FORGET(s->start) = FORGET(s->size);
	FORGET(s->size) = FORGET(s->end);
	return settle_of(s, config, &access);
}

/* Judges all DNS questions that are whole in the slot; s->start is where the first begins that is not. */
static __always_inline int read_questions(struct scratch *s, __u32 slot)
{
	int result = STREAM_PASSES;
	__u32 i;

	for (i = 0; i < EBG_IN_WINDOW && result == STREAM_PASSES; i++) {
		int start = next_question(slot);

		if (!start)
			return FORGET(s->start) == FORGET(s->size) ? STREAM_PASSES : STREAM_WAITS;
		result = settle_question(slot, start, read_question(slot, start));
		if (FORGET(s->left))
			return result;
	}
	return result == STREAM_PASSES ? STREAM_LATER : result;
}

/* Judges as many DNS questions as a slot holds, from s->from in the packet on. s->from is behind them then. */
PACKET_FUNCTION(int, read_window, struct __sk_buff *skb, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 from, kept;
	int result = -1;

	if (!s)
		return STREAM_REFUSED;
	from = FORGET(s->from);
	kept = FORGET(s->connection.kept);
	if (load_message(skb, slot, from) == 0)
		result = read_questions(s, slot);
	FORGET(s->from) = from + FORGET(s->size) - kept + FORGET(s->left);
	if (result == STREAM_WAITS || result == STREAM_LATER)
		return keep_message(skb, slot) < 0 ? hold_back(s, slot, PRESENTED_UNREADABLE, 0) : result;
	s->connection.kept = 0;
	return result < 0 ? settle_as(s, slot, PRESENTED_UNREADABLE) : result;
}

/* Judges the DNS questions from `start` in the packet on. */
static __always_inline int on_questions(struct __sk_buff *skb, struct scratch *s, __u32 slot, __u32 start)
{
	int result = STREAM_LATER;
	__u32 i;

	FORGET(s->from) = start;
	FORGET(s->left) = 0;
	for (i = 0; i < EBG_WINDOWS; i++) {
		if (result != STREAM_LATER && FORGET(s->from) >= skb->len)
			break;
		result = read_window(skb, slot);
		if (result == STREAM_REFUSED || result == STREAM_HELD)
			return result;
	}
	if (result == STREAM_LATER || FORGET(s->from) < skb->len)
		result = settle_as(s, slot, PRESENTED_UNREADABLE);
	s->connection.skip = FORGET(s->from) - skb->len; /* of a message whose question was read */
	return result;
}

#endif
#line 11 "bpf/egress.h"
#line 1 "bpf/sender.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Who sends a packet, where it was to go for them, and what they hear where it is refused. */
#ifndef EBG_SENDER_H
#define EBG_SENDER_H

#line 1 "bpf/answer.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Denied DNS questions that the agent answers. An error on the send tells a program little: many wait, or try again for
 * a minute. And a socket that carries several questions would have to be ended for one of them. So where the agent is at
 * work, a denied question over UDP is swallowed, and the agent answers it: there is no such name.
 */
#ifndef EBG_ANSWER_H
#define EBG_ANSWER_H




#define EBG_SWALLOW 2 /* what an egress program returns to drop a datagram without an error */
#define EBG_BEATS 2000000000ULL /* ns; an agent that has not said for so long that it works does not */
#define EBG_TYPE_OPT 41
#define EBG_NO_QUERY 0xf800 /* of a message's flags: it is an answer, or asks for something else than records */
#define EBG_LINK_LOCAL 0xfe /* the first byte of these addresses, or a larger one: also of multicast */
#define EBG_MULTICAST 0xe0 /* the same of IPv4, with what lies above */
#define EBG_SOL_IP 0
#define EBG_SOL_IPV6 41
#define EBG_IP_RECVERR 11
#define EBG_IPV6_RECVERR 25
#define EBG_NONBLOCK 0x800 /* in f_flags */
#define EBG_PAGE 4096

/* Each comes with its rules, and with their agent: two that read one ring would take entries for others. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EBG_QUESTIONS);
} ebg_questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_ANSWERING_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_answering SEC(".maps");

static __always_inline __u64 answering(__u32 slot)
{
	const __u64 *value = bpf_map_lookup_elem(MAP(ebg_answering), &slot);

	return value ? FORGET(*value) : 0;
}

static __always_inline int agent_works(void)
{
	__u64 beat = answering(EBG_ANSWERING_BEAT);

	return bpf_ktime_get_ns() - beat < EBG_BEATS;
}

/*
 * Is the agent in the network of this packet? It has a socket there that no packet reaches. The kernel closes it in the
 * moment in which the agent dies, and finds it in no other network, where no answer of the agent's would arrive.
 */
static __always_inline int agent_is_here(struct __sk_buff *skb)
{
	__be16 port = bpf_htons(answering(EBG_ANSWERING_PORT));
	struct bpf_sock_tuple to = { .ipv4 = { .saddr = bpf_htonl(0x7f000001),
					       .daddr = bpf_htonl(0x7f000001),
					       .sport = port,
					       .dport = port } };
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &to, sizeof(to.ipv4), BPF_F_CURRENT_NETNS, 0);

	if (!sk)
		return 0;
	bpf_sk_release(sk);
	return 1;
}

/*
 * Would an answer reach who asks? A raw socket has no port, a socket on one device does not hear what comes from this
 * host, and an answer can't come from a group or name a link.
 */
static __always_inline int is_in_reach(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->type != EBG_SOCK_DGRAM || sk->protocol != EBG_UDP || sk->bound_dev_if)
		return 0;
	if (skb->protocol == bpf_htons(EBG_IPV4))
		return packet->to.address[12] < EBG_MULTICAST;
	return packet->to.address[0] < EBG_LINK_LOCAL && packet->from[0] < EBG_LINK_LOCAL;
}

/* Is the OPT record, by which a client tells what it understands, all that stands behind the question? */
static __always_inline int ends_with_opt(struct scratch *s, __u32 position)
{
	return word_at(s, 10) == 1 && holds(s, position, 11) && !byte_at(s, position) &&
	       word_at(s, position + 1) == EBG_TYPE_OPT;
}

/* Notes whose socket it is that sends the packet, as its process knows it. */
static __always_inline void note_sender(struct ebg_refusal *sender, const struct packet *packet, __u64 cookie)
{
	__builtin_memset(sender, 0, sizeof(*sender));
	sender->cookie = cookie;
	sender->source_port = packet->source;
	sender->destination_port = packet->to.port;
	sender->protocol = packet->to.protocol;
	__builtin_memcpy(sender->source, packet->from, sizeof(sender->source));
	__builtin_memcpy(sender->destination, packet->to.address, sizeof(sender->destination));
}

/* Puts the question in the scratch memory into the ring. Returns -1 where it has no plain answer, or no room there. */
static __always_inline int put_question(struct scratch *s, const struct packet *packet, __u32 rule, __u32 outage,
					__u64 cookie)
{
	int end = read_question(FORGET(s->slot), 0), opt;
	struct ebg_question *question;

	if (end < 0 || !holds(s, end, 4) || word_at(s, 2) & EBG_NO_QUERY || word_at(s, 6) || word_at(s, 8))
		return -1;
	opt = ends_with_opt(s, end + 4);
	if (!opt && word_at(s, 10))
		return -1; /* it is signed, say, and no answer of ours would do */
	question = bpf_ringbuf_reserve(MAP(ebg_questions), sizeof(*question), 0);
	if (!question)
		return -1;
	note_sender(&question->asker, packet, cookie);
	question->rule = rule;
	question->sequence = question->acknowledged = 0;
	question->reply = EBG_REPLY_DNS;
	question->outage = outage;
	question->id = word_at(s, 0);
	question->flags = word_at(s, 2);
	question->type = word_at(s, end);
	question->of_class = word_at(s, end + 2);
	question->opt = opt;
	question->size = opt ? word_at(s, end + 7) : 0;
	question->opt_flags = opt ? word_at(s, end + 11) : 0;
	__builtin_memset(question->padding, 0, sizeof(question->padding));
	__builtin_memcpy(question->name, s->name, sizeof(question->name));
	bpf_ringbuf_submit(question, 0);
	return 0;
}

/* Has the agent answer a denied question that was read. Returns -1 where it will not: then an error has to tell. */
static __always_inline int have_answered(struct __sk_buff *skb, struct scratch *s, const struct packet *packet,
					 __u32 rule, __u32 outage)
{
	__u32 family = skb->protocol == bpf_htons(EBG_IPV4) ? EBG_ANSWERING_IPV4 : EBG_ANSWERING_IPV6;

	if (!agent_works() || (!is_canary(rule) && !answering(family)) || !is_in_reach(skb, packet) ||
	    !agent_is_here(skb))
		return -1;
	return put_question(s, packet, rule, outage, bpf_get_socket_cookie(skb));
}

/* Would what the agent says in the other's place reach the socket that sends this packet? As is_in_reach() is for questions. */
static __always_inline int hears_agent(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->bound_dev_if || (sk->protocol == EBG_UDP && sk->state != EBG_CONNECTED))
		return 0; /* who is not connected is told nothing of a port where nobody listens */
	if (skb->protocol == bpf_htons(EBG_IPV6) && packet->from[0] >= EBG_LINK_LOCAL)
		return 0;
	return agent_works() && agent_is_here(skb);
}

/* Has the agent say what the other side would. Returns -1 where it will not. `packet`: as the sender knows it. */
static __always_inline int put_reply(struct __sk_buff *skb, const struct packet *packet, enum ebg_reply reply,
				     __u32 sequence, __u32 acknowledged)
{
	struct ebg_question *question;

	if (!hears_agent(skb, packet))
		return -1;
	question = bpf_ringbuf_reserve(MAP(ebg_questions), sizeof(*question), 0);
	if (!question)
		return -1;
	note_sender(&question->asker, packet, bpf_get_socket_cookie(skb));
	question->sequence = sequence;
	question->acknowledged = acknowledged;
	question->reply = reply;
	bpf_ringbuf_submit(question, 0);
	return 0;
}

/* Does the file of this socket not wait? */
static __always_inline int is_nonblocking(struct bpf_sock *sk)
{
	struct scratch *s = claim();
	const struct sock *from;
	__u32 flags;

	if (!s)
		return 0;
	FORGET(s->entry) = (__u64)sk;
	from = (const void *)FORGET(s->entry); /* the verifier lets nobody count from the address that it knows */
	flags = BPF_CORE_READ(from, sk_socket, file, f_flags);
	release(s);
	return !!(flags & EBG_NONBLOCK);
}

/*
 * Is this how a resolver library has errors of the network reported? It does so before anything else on a datagram
 * socket that does not wait. Others bind theirs before, or wait.
 */
static __always_inline int is_report_to_resolver(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (!(ctx->level == EBG_SOL_IP && ctx->optname == EBG_IP_RECVERR) &&
	    !(ctx->level == EBG_SOL_IPV6 && ctx->optname == EBG_IPV6_RECVERR))
		return 0;
	return sk->type == EBG_SOCK_DGRAM && sk->protocol == EBG_UDP && !sk->src_port && !sk->dst_port &&
	       is_nonblocking(sk);
}

#endif
#line 7 "bpf/sender.h"


/* What is remembered of the UDP socket that sends this packet. */
static __always_inline struct opened *told_to(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->type != EBG_SOCK_DGRAM || sk->protocol != EBG_UDP)
		return NULL;
	return bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0);
}

/* Where a connected socket is connected to. */
static __always_inline void set_peer(struct ebg_endpoint *to, const struct bpf_sock *sk)
{
	to->port = bpf_ntohs(sk->dst_port);
	if (sk->family == EBG_AF_INET)
		set_ipv4(to->address, sk->dst_ip4);
	else
		set_ipv6(to->address, sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3]);
}

/*
 * Where a datagram was to go, as its process has it: the host's NAT may lead it elsewhere. A connected socket knows that,
 * unless it was told to send elsewhere. Of another its last destination is remembered.
 */
static __always_inline struct ebg_endpoint asked_for(struct __sk_buff *skb, const struct packet *packet)
{
	struct ebg_endpoint to = packet->to;
	struct bpf_sock *sk = skb->sk;
	const struct opened *last;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->type != EBG_SOCK_DGRAM || sk->protocol != EBG_UDP)
		return to;
	if (sk->state == EBG_CONNECTED) {
		set_peer(&to, sk);
		if (same_endpoint(&to, &packet->to))
			return to;
	}
	last = told_to(skb);
	if (last && (sk->state != EBG_CONNECTED || last->flags & OPENED_SENDS)) {
		__builtin_memcpy(to.address, last->to.address, sizeof(to.address));
		to.port = last->to.port;
	}
	return to;
}

/* The TCP connection that sends this packet, if it was opened inside the guard. */
static __always_inline struct opened *connection_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = tcp_socket(skb);

	return sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0) : NULL;
}

/* As unpack(), but with the endpoints as the process knows them that sends the packet, without the host's NAT. */
static __always_inline int unpack_asked(struct __sk_buff *skb, struct packet *packet)
{
	const struct opened *opened = connection_of(skb);

	if (unpack(skb, packet) < 0)
		return -1;
	if (opened)
		packet->to = opened->to;
	else
		packet->to = asked_for(skb, packet);
	set_sender(skb, packet);
	return 0;
}

/*
 * Has the agent end the socket whose packet was refused. TCP would try again and again, and some DNS clients ignore
 * EPERM. The agent needs to know the socket as its process does.
 */
PACKET_FUNCTION(int, end_sender, struct __sk_buff *skb)
{
	struct ebg_refusal *refusal;
	struct packet packet = {};

	if (unpack_asked(skb, &packet) < 0)
		return -1;
	refusal = bpf_ringbuf_reserve(MAP(ebg_refused), sizeof(*refusal), 0);
	if (!refusal)
		return -1;
	note_sender(refusal, &packet, bpf_get_socket_cookie(skb));
	bpf_ringbuf_submit(refusal, 0);
	return 0;
}

/* Has the agent reset the connection whose packet was refused, as a server does that wants nothing of it. */
PACKET_FUNCTION(int, reset_sender, struct __sk_buff *skb)
{
	struct packet packet = {}, asked = {};
	struct segment segment;

	if (unpack(skb, &packet) < 0 || unpack_asked(skb, &asked) < 0)
		return -1;
	segment = segment_of(skb, &packet);
	return put_reply(skb, &asked, EBG_REPLY_RESET, segment.sequence, segment.flags & EBG_ACK ? segment.acknowledged : 0);
}

/*
 * Has the agent answer the questions that a refused packet brings over TCP: it gives each a name that is not there. It
 * needs all of them as they are, with what has left of them before. Returns -1 where that can't be.
 */
PACKET_FUNCTION(int, answer_sender, struct __sk_buff *skb, __u32 slot)
{
	const struct opened *opened = connection_of(skb);
	struct packet packet = {}, asked = {};
	struct scratch *s = scratch(slot);
	struct ebg_question *question;
	struct segment segment;
	__u32 size;

	if (!s || !opened || unpack(skb, &packet) < 0 || unpack_asked(skb, &asked) < 0)
		return -1;
	segment = segment_of(skb, &packet);
	size = skb->len - segment.start + opened->kept;
	if (size > EBG_NAME || segment.flags & EBG_SYN || !hears_agent(skb, &asked))
		return -1;
	question = bpf_ringbuf_reserve(MAP(ebg_questions), sizeof(*question), 0);
	if (!question)
		return -1;
	note_sender(&question->asker, &asked, bpf_get_socket_cookie(skb));
	question->rule = s->refused;
	question->sequence = segment.sequence;
	question->acknowledged = segment.acknowledged;
	question->reply = EBG_REPLY_ANSWER;
	question->outage = s->outage;
	question->size = size;
	bpf_probe_read_kernel(question->name, sizeof(question->name), s->message);
	bpf_ringbuf_submit(question, 0);
	return 0;
}

/* Has the agent say that nobody listens on the port of a datagram. Else its send ends with an error. */
PACKET_FUNCTION(int, refuse_datagram, struct __sk_buff *skb)
{
	struct packet packet = {};

	if (unpack_asked(skb, &packet) < 0 || packet.to.protocol != EBG_UDP ||
	    put_reply(skb, &packet, EBG_REPLY_UNREACHABLE, 0, 0) < 0)
		return EBG_REFUSE;
	return EBG_SWALLOW;
}

#endif
#line 12 "bpf/egress.h"

/*
 * The datagram has left: what a connected socket sends next goes where it is connected to, if nothing else is said. An
 * unconnected socket is told each time.
 */
static __always_inline void forget_asked(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct opened *last;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	last = sk && sk->state == EBG_CONNECTED ? told_to(skb) : NULL;
	if (last)
		last->flags &= ~OPENED_SENDS;
}

/* Of what a hook of the socket lets through although it is denied: is that recorded? */
static __always_inline int is_recorded(struct __sk_buff *skb, const struct ebg_config *config,
				       const struct access *access)
{
	const struct opened *last = told_to(skb);

	return last && last->flags & OPENED_RECORDED && last->generation == config->generation &&
	       same_endpoint(&last->to, &access->to);
}

/*
 * Adds the verdict over where the host's NAT leads to the one over where the process wants to go. `to`: the latter; it
 * becomes the one that is denied.
 */
static __always_inline struct judgement judge_both(struct judgement it, struct ebg_endpoint *to,
						   const struct ebg_endpoint *there)
{
	struct address_judgement address;
	struct judgement behind;

	if (it.deny || same_endpoint(to, there))
		return it;
	address = verdict_over(there);
	behind = judge_behind_nat(&address);
	if (!behind.deny)
		return it;
	*to = *there;
	return behind;
}

#define EBG_ASKS 4 /* of on_packet(): it may go on, and holds a DNS question; above 8 bits, where its UDP header is */
#define EBG_UNHEARD 5 /* the same: nobody listens on its port */

/*
 * Is it a DNS question that is allowed, and that nobody is told of? Most are, and where it was to go matters to no record.
 * Its UDP header is at `transport`.
 */
PACKET_FUNCTION(int, is_plain_question, struct __sk_buff *skb, __u32 transport)
{
	const struct ebg_config *config = configuration();
	struct scratch *s;
	int end = -1;

	if (!config || config->observe)
		return 0;
	s = claim();
	if (!s)
		return 0;
	if (!skb->gso_size && load_payload(skb, s, transport + 8) == 0)
		end = read_question(FORGET(s->slot), 0);
	if (end >= 0 && judge_question(config, &s->found).deny)
		end = -1;
	if (end >= 0) {
		note_question(s, socket_cgroup(skb));
		expect_answer(FORGET(s->slot), 0);
		count(EBG_KIND_DNS * EBG_VERDICTS + EBG_VERDICT_ALLOWED);
	}
	release(s);
	return end >= 0;
}

/* Judges the DNS question in a datagram. */
PACKET_FUNCTION(int, on_question, struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct access access = { .hook = EBG_HOOK_QUESTION };
	struct packet packet = {};
	struct scratch *s;
	int result;

	if (!config || unpack(skb, &packet) < 0)
		return EBG_REFUSE;
	access.it = judge_unreadable_name(config);
	access.to = asked_for(skb, &packet);
	access.to.kind = EBG_KIND_DNS;
	access.socket_cgroup = socket_cgroup(skb);
	s = claim();
	/* a packet of several datagrams (UDP_SEGMENT) has several questions, and only one would be read */
	if (s && !skb->gso_size && load_payload(skb, s, packet.transport + 8) == 0)
		take_question(config, s, 0, read_question(FORGET(s->slot), 0), &access);
	result = settle(config, &access);
	if (s)
		release(s);
	return result == EBG_REFUSE && is_silent(config, &access.it) ? EBG_SWALLOW : result;
}

/* Has a question answered that was refused. Where that can't be, the send ends with an error, and the agent ends the rest. */
PACKET_FUNCTION(int, answer_refused, struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = claim();
	struct packet packet = {};
	struct judgement it;
	int answered = 0;

	if (s && config && !skb->gso_size && unpack(skb, &packet) == 0 &&
	    load_payload(skb, s, packet.transport + 8) == 0 && read_question(FORGET(s->slot), 0) >= 0) {
		it = judge_question(config, &s->found);
		answered = have_answered(skb, s, &packet, it.rule, outage_of(config, &it)) == 0;
	}
	if (s)
		release(s);
	if (answered)
		return EBG_SWALLOW;
	end_sender(skb);
	return EBG_REFUSE;
}

/* The verdict over the address of a connection, under rules that it was not opened under. */
static __always_inline struct judgement address_again(const struct ebg_config *config, struct opened *opened)
{
	if (opened->generation == config->generation)
		return (struct judgement){};
	opened->address = verdict_over(&opened->to);
	opened->generation = config->generation;
	return judge_again(&opened->address, opened->flags & OPENED_JUDGED);
}

/* Judges the data of a packet that was not looked at yet. `there`: where it really goes. */
static __always_inline int on_data(struct __sk_buff *skb, struct scratch *s, const struct segment *segment,
				   const struct ebg_endpoint *there)
{
	__u32 length = skb->len - segment->start, seen, slot = FORGET(s->slot);
	struct opened *opened = &s->connection;
	int result;

	if (!(opened->flags & OPENED_STARTED)) {
		opened->next = segment->sequence;
		opened->flags |= OPENED_STARTED;
	}
	seen = opened->next + opened->skip - segment->sequence;
	if (seen >= length && (int)seen >= 0)
		return EBG_PASS; /* it is sent again, or belongs to a question that was read */
	if ((int)seen < 0)
		result = settle_as(s, slot, PRESENTED_UNREADABLE);
	else if (is_dns(&opened->to, there))
		result = on_questions(skb, s, slot, segment->start + seen);
	else
		result = on_heads(skb, s, slot, segment->start + seen);
	if (result != STREAM_REFUSED && result != STREAM_HELD)
		opened->next = segment->sequence + length;
	return result;
}

/* Judges what a packet carries of a connection whose address may be reached. `there`: where it really goes. */
static __always_inline int on_segment(struct __sk_buff *skb, struct scratch *s, const struct segment *segment,
				      const struct ebg_endpoint *there)
{
	int result = EBG_PASS;

	if (segment->start < skb->len && !(s->connection.flags & OPENED_JUDGED))
		result = on_data(skb, s, segment, there);
	if (!(segment->flags & EBG_FIN) || !s->connection.kept || s->connection.flags & OPENED_AGAIN ||
	    result == STREAM_REFUSED || result == STREAM_HELD)
		return result;
	s->connection.kept = 0;
	return settle_as(s, FORGET(s->slot), PRESENTED_NOTHING); /* the name does not come any more */
}

/* Is there nothing to judge in this packet? `there`: where it goes. */
static __always_inline int is_plain(struct __sk_buff *skb, const struct ebg_config *config, const struct opened *opened,
				    const struct segment *segment, const struct ebg_endpoint *there)
{
	return segment->start >= skb->len && !(segment->flags & EBG_FIN) && opened->generation == config->generation &&
	       same_endpoint(&opened->to, there);
}

/* Takes over what was found out about a connection, and lets its memory go. */
static __always_inline void take_over(struct opened *opened, struct scratch *s, int result)
{
	if (result == STREAM_HELD) { /* it is read again when TCP tries it again */
		opened->held = s->connection.held;
		opened->waiting = s->connection.waiting;
	} else {
		*opened = s->connection;
	}
	release(s);
}

/* The sequence number behind a segment. */
static __always_inline __u32 end_of(struct __sk_buff *skb, const struct segment *segment)
{
	return segment->sequence + skb->len - segment->start + !!(segment->flags & EBG_FIN);
}

/* Do these questions over TCP get an answer that says that there is no such name? */
static __always_inline int is_answered(struct __sk_buff *skb, struct scratch *s, const struct ebg_endpoint *there)
{
	__u32 outage = FORGET(s->outage);

	return (outage == EBG_OUTAGE_NXDOMAIN || outage == EBG_OUTAGE_SERVFAIL) && s->refused != EBG_RULE_UNREADABLE &&
	       is_dns(&s->connection.to, there) && answer_sender(skb, FORGET(s->slot)) == 0;
}

/*
 * A packet of a connection that is denied. The other side must hear that it is over. To TCP an error is a network that
 * loses packets: it waits longer each time. What is swallowed it tries again twice a second, and soon gives up. Where a
 * question was answered, the connection is good for nothing else that the process sends.
 */
static __always_inline int on_denied(struct __sk_buff *skb, const struct opened *opened, const struct segment *segment)
{
	if (segment->flags & EBG_RST)
		return EBG_PASS;
	if (opened->flags & OPENED_ANSWERED && (int)(end_of(skb, segment) - opened->next) > 0)
		reset_sender(skb);
	return segment->flags & EBG_SYN && !(opened->flags & OPENED_SILENT) ? EBG_SWALLOW : EBG_REFUSE;
}

/* Judges a packet of a TCP connection that was opened inside the guard. */
PACKET_FUNCTION(int, on_connection, struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct opened *opened = connection_of(skb);
	struct packet packet = {};
	struct segment segment;
	struct judgement it;
	struct scratch *s;
	__u32 outage, answered;
	int result;

	if (!config || !opened)
		return EBG_REFUSE;
	if (unpack(skb, &packet) < 0)
		packet.to = opened->to;
	segment = segment_of(skb, &packet);
	if (opened->flags & OPENED_SILENT && opened->generation != config->generation)
		opened->flags &= ~(OPENED_SILENT | OPENED_DENIED); /* the process was told nothing: it may go on under other rules */
	if (opened->flags & OPENED_DENIED && enforces(config))
		return on_denied(skb, opened, &segment);
	if (is_plain(skb, config, opened, &segment, &packet.to))
		return EBG_PASS;
	s = claim();
	if (!s)
		return strict(config) ? EBG_REFUSE : EBG_PASS; /* TCP sends a dropped segment again */
	s->to = opened->to;
	s->outage = EBG_OUTAGE_DENIED;
	s->refused = EBG_RULE_UNREADABLE;
	it = judge_both(address_again(config, opened), &s->to, &packet.to);
	s->connection = *opened;
	if (it.deny) {
		result = settle_address(FORGET(s->slot), it.rule);
		s->connection.flags |= OPENED_JUDGED; /* monitor mode records it once */
	} else {
		result = on_segment(skb, s, &segment, &packet.to);
	}
	outage = FORGET(s->outage);
	answered = result == STREAM_REFUSED && !it.deny && is_answered(skb, s, &packet.to) ? OPENED_ANSWERED : 0;
	if (answered)
		s->connection.next = end_of(skb, &segment);
	take_over(opened, s, result);
	if (result != STREAM_REFUSED)
		return result == STREAM_HELD ? EBG_REFUSE : EBG_PASS;
	/* TCP sends a SYN again without its data (Fast Open), and the data behind it */
	if (!(segment.flags & EBG_SYN) || it.deny)
		opened->flags |= OPENED_DENIED | answered | (outage == EBG_OUTAGE_TIMEOUT ? OPENED_SILENT : 0);
	if (!answered && outage != EBG_OUTAGE_TIMEOUT && (outage == EBG_OUTAGE_DENIED || reset_sender(skb) < 0))
		end_sender(skb);
	return EBG_REFUSE;
}

/* Judges any other packet. */
PACKET_FUNCTION(int, on_packet, struct __sk_buff *skb)
{
	struct access access = { .hook = EBG_HOOK_EGRESS, .it = judge_unreadable() };
	const struct ebg_config *config = configuration();
	struct packet packet = {};
	int result = EBG_PASS;
	__u32 outage;

	if (!config)
		return EBG_REFUSE;
	if (unpack(skb, &packet) == 0) {
		access.to = asked_for(skb, &packet);
		access.it = judge_both(verdict_over(&access.to).it, &access.to, &packet.to);
	} else {
		access.to = packet.to;
	}
	if (!seen_by_socket_hooks(skb, &packet) || (access.it.deny && !is_recorded(skb, config, &access))) {
		access.socket_cgroup = socket_cgroup(skb);
		result = settle(config, &access);
	} else if (access.it.deny && enforces(config)) {
		result = EBG_REFUSE; /* a drill: the hook of the socket has recorded it, and let it go on to be swallowed here */
	}
	if (result == EBG_REFUSE) {
		outage = outage_of(config, &access.it);
		result = outage == EBG_OUTAGE_TIMEOUT ? EBG_SWALLOW : outage ? EBG_UNHEARD : EBG_REFUSE;
	}
	if (result == EBG_PASS && packet.to.protocol == EBG_UDP && is_dns(&access.to, &packet.to))
		result = EBG_ASKS | packet.transport << 8;
	return result;
}

#endif
#line 10 "bpf/arrival.h"

/* Is this a connection that an earlier policy left open, and that nothing of may arrive under this one? */
static __always_inline int falls_silent(const struct ebg_config *config, struct opened *opened)
{
	struct address_judgement address = verdict_over(&opened->to);
	struct judgement it = judge_again(&address, opened->flags & OPENED_JUDGED);
	struct scratch *s;

	if (!it.deny || !is_silent(config, &it))
		return 0; /* its next packet that leaves is judged, and ended or let through */
	s = claim();
	if (!s)
		return 1;
	s->to = opened->to;
	s->connection = *opened;
	settle_address(FORGET(s->slot), it.rule);
	release(s);
	opened->address = address;
	opened->generation = config->generation;
	opened->flags |= OPENED_DENIED | OPENED_SILENT;
	return 1;
}

/*
 * Of a connection that was refused, only its end arrives, and what the agent sends in the other's place. That fits where
 * nothing else has come meanwhile.
 */
static __always_inline int is_last(struct __sk_buff *skb)
{
	struct packet packet = {};
	__be16 sign;

	if (unpack(skb, &packet) < 0)
		return 0;
	if (segment_of(skb, &packet).flags & EBG_RST)
		return 1;
	return bpf_skb_load_bytes(skb, packet.transport + 18, &sign, sizeof(sign)) == 0 && sign == bpf_htons(EBG_SIGN);
}

/* Is this a datagram from somebody who is silent, for the socket that is connected to them? */
static __always_inline int is_from_silent(struct __sk_buff *skb, const struct ebg_config *config)
{
	struct ebg_endpoint from = { .protocol = EBG_UDP };
	struct bpf_sock *sk = skb->sk;
	struct judgement it;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->type != EBG_SOCK_DGRAM || sk->protocol != EBG_UDP || sk->state != EBG_CONNECTED)
		return 0;
	set_peer(&from, sk);
	it = verdict_over(&from).it;
	return it.deny && is_silent(config, &it);
}

/* May the packet reach its socket? */
PACKET_FUNCTION(int, may_arrive, struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct opened *opened = connection_of(skb);

	if (!config)
		return 1;
	if (!opened)
		return !uses_outage(config, EBG_OUTAGE_TIMEOUT) || !is_from_silent(skb, config);
	if (opened->generation != config->generation)
		return !falls_silent(config, opened);
	if (!(opened->flags & OPENED_DENIED))
		return 1;
	return !(opened->flags & OPENED_SILENT) && is_last(skb);
}

#endif
#line 17 "bpf/guard.bpf.c"
#line 1 "bpf/entry.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Who comes into the guard, and who leaves it for another cgroup. The kernel tells of a move when it is done. So where a
 * process was before has to be remembered: of each that came in, and of each that was born inside.
 *
 * A process that left may have been sent away only to start another one that comes back: sudo does so, where PAM moves it
 * into a session, and Ansible's task is below it. The coming back takes what was told of the leaving away.
 */
#ifndef EBG_ENTRY_H
#define EBG_ENTRY_H




struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EBG_MAX_MEMBERS);
	__type(key, __u32); /* the process's pid */
	__type(value, struct ebg_member);
} ebg_members SEC(".maps");

/* When they came in: CLOCK_MONOTONIC, ns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_MAX_ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} ebg_entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_entered);
} ebg_entered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_LEAVINGS);
	__type(key, struct ebg_run);
	__type(value, struct ebg_leaving);
} ebg_leavings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_PLACES);
	__type(key, __u32);
	__type(value, __u64);
} ebg_places SEC(".maps");

static __always_inline struct cgroup *home_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/* Is it the cgroup that is guarded, or one below it? */
static __always_inline int is_of_guard(struct cgroup *cgroup)
{
	__u32 slot = EBG_PLACE_GUARD;
	const __u64 *guarded = bpf_map_lookup_elem(MAP(ebg_places), &slot);
	int i;

	for (i = 0; i < EBG_CGROUPS && guarded && cgroup; i++) {
		if (BPF_CORE_READ(cgroup, kn, id) == *guarded)
			return 1;
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
	return 0;
}

/* What is remembered of the process that the task belongs to. */
static __always_inline struct ebg_member *member_of(struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, tgid);
	struct ebg_member *member = bpf_map_lookup_elem(MAP(ebg_members), &pid);

	return member && member->started == BPF_CORE_READ(task, group_leader, start_boottime) ? member : NULL;
}

static __always_inline int is_member(struct task_struct *task)
{
	const struct ebg_member *member = member_of(task);

	return member && member->where == EBG_WHERE_INSIDE;
}

static __always_inline void remember_member(struct task_struct *task, enum ebg_whereabouts where)
{
	struct ebg_member member = { .started = BPF_CORE_READ(task, group_leader, start_boottime), .where = where };
	__u32 pid = BPF_CORE_READ(task, tgid);

	bpf_map_update_elem(MAP(ebg_members), &pid, &member, BPF_ANY);
}

static __always_inline struct ebg_run leaving_of(struct task_struct *task)
{
	struct ebg_run run = run_of(task);

	run.exec = 0;
	return run;
}

static __always_inline void keep_moment(void)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 slot = 0;
	struct ebg_entered *entered = bpf_map_lookup_elem(MAP(ebg_entered), &slot);

	if (!entered || (entered->kept && now - entered->last < EBG_ENTRY_GAP))
		return;
	slot = entered->kept & (EBG_MAX_ENTRIES - 1);
	bpf_map_update_elem(MAP(ebg_entries), &slot, &now, BPF_ANY);
	entered->last = now;
	entered->kept++;
}

/* The process itself has left and is back, or one that it descends from had left. */
static __always_inline void welcome_back(struct task_struct *task)
{
	int i;

	for (i = 0; i < EBG_PARENTS && task; i++) {
		struct ebg_member *member = member_of(task);
		struct ebg_run run = leaving_of(task);

		if (member && member->where == EBG_WHERE_LEFT) {
			member->where = EBG_WHERE_AWAY;
			count(EBG_COUNTER_BACK);
			bpf_map_delete_elem(MAP(ebg_leavings), &run);
		}
		task = BPF_CORE_READ(task, group_leader, real_parent, group_leader);
	}
}

/* Counts the process that has come in, unless it is known to be inside. A global function, as the next one. */
FUNCTION(int, note_entry, __u64 moved)
{
	struct task_struct *task = (void *)moved;

	if (is_member(task))
		return 0;
	count(EBG_COUNTER_ENTERED);
	keep_moment();
	welcome_back(task);
	remember_member(task, EBG_WHERE_INSIDE);
	return 0;
}

/* Keeps which process has left, and where it went. The agent's own cgroup is none of those that are told. */
FUNCTION(int, note_leaving, __u64 moved, __u64 to, __u64 path)
{
	struct task_struct *task = (void *)moved;
	struct ebg_run run = run_of(task), key = leaving_of(task);
	const struct ebg_image *image;
	struct ebg_leaving *leaving;
	__u32 slot = EBG_PLACE_DESK;
	const __u64 *desk = bpf_map_lookup_elem(MAP(ebg_places), &slot);
	const void *zeros = blank();

	if (!desk || !zeros)
		return 0;
	remember_member(task, to == *desk ? EBG_WHERE_AWAY : EBG_WHERE_LEFT);
	if (to == *desk)
		return 0;
	count(EBG_COUNTER_LEFT);
	bpf_map_update_elem(MAP(ebg_leavings), &key, zeros, BPF_ANY);
	leaving = bpf_map_lookup_elem(MAP(ebg_leavings), &key);
	if (!leaving)
		return 0;
	leaving->time = bpf_ktime_get_ns();
	leaving->cgroup = to;
	BPF_CORE_READ_INTO(&leaving->comm, task, group_leader, comm);
	if (path)
		bpf_probe_read_kernel_str(leaving->path, sizeof(leaving->path), (void *)path);
	image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	if (image) {
		leaving->args_length = image->args_length;
		bpf_probe_read_kernel(leaving->args, sizeof(leaving->args), image->args);
	}
	return 0;
}

#endif
#line 18 "bpf/guard.bpf.c"
#line 1 "bpf/heard.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* What a DNS answer says: the addresses and the names to which the name leads that was asked for. */
#ifndef EBG_HEARD_H
#define EBG_HEARD_H


#line 1 "bpf/leads.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The leads to an address, which answers bring: one more, or a better one. Where a set is full, one gives way. */
#ifndef EBG_LEADS_H
#define EBG_LEADS_H




/* The set for an address; it is made where it is not there. */
static __always_inline struct leads *make_leads(const __u64 *address)
{
	__u32 index = hash_of(address) >> (64 - EBG_LEADS_BITS);
	struct leads *leads = leads_of(address);
	const void *zeros = leads ? NULL : blank();

	if (leads || !zeros)
		return leads;
	bpf_map_update_elem(MAP(ebg_addresses), &index, zeros, BPF_NOEXIST);
	return leads_of(address);
}

#define EBG_RANK_SHIFT 32

enum rank {
	RANK_OVER,
	RANK_PLAIN,  /* of a name without rules */
	RANK_ALLOWS, /* nothing is denied because of it */
	RANK_DENIES,
};

/* 1 where the number is the smaller one, else 0; both below 2^63. Without a branch, see below. */
static __always_inline __u64 is_less(__u64 number, __u64 other)
{
	__u64 less = (number - other) >> 63;

	barrier_var(less);
	return less;
}

/*
 * Where a set is full, the lead of the least worth gives way: first one that holds no more; then one of a name without
 * rules; then one that does not deny, the sooner it ends. To forget one of these makes nothing allowed. It is reckoned
 * without a branch: the verifier would follow each way for all that came before it.
 */
static __always_inline __u64 worth_of(lead_t lead, __u32 now)
{
	__u64 until = lead >> 32, holds = is_less(until, now) ^ 1;
	__u64 has_rules = is_less(0, lead & EBG_LEAD_COUNT), denies = is_less(0, lead & EBG_LEAD_DENIES);
	__u64 doubted = is_less(0, lead & EBG_LEAD_DOUBTED);
	__u64 rank = RANK_PLAIN + has_rules + (denies & ~doubted);

	return (rank << EBG_RANK_SHIFT & -holds) | (until & -(holds | (has_rules & ~denies)));
}

#define EBG_CHOSEN_SHIFT 8 /* of what choose_way() returns: the worth and 1, or 0 for the lead itself, above the index */

/* Returns the way for a lead: the one that it has, or the one that has to give way, see above. */
static __always_inline __u64 choose_way(struct leads *leads, const __u64 *address, lead_t lead, __u32 now)
{
	__u32 i;

	FORGET(leads->chosen) = ~0ULL;
	for (i = 0; i < EBG_WAYS; i++) {
		const struct known_lead *way = &leads->way[i];
		__u64 differs = (way->address[0] ^ address[0]) | (way->address[1] ^ address[1]) |
				((__u32)(way->lead ^ lead) & ~EBG_LEAD_DOUBTED);
		__u64 other = (differs | -differs) >> 63, worth;

		barrier_var(other);
		worth = ((worth_of(way->lead, now) + 1) << EBG_CHOSEN_SHIFT & -other) | i;
		if (worth < FORGET(leads->chosen))
			FORGET(leads->chosen) = worth;
	}
	return FORGET(leads->chosen);
}

/*
 * The lead that a way has from now on, of the same slice as before. The host's resolvers know better than others, and
 * what holds longer counts.
 */
static __always_inline lead_t joined(lead_t known, lead_t lead, __u32 now)
{
	if (lead & EBG_LEAD_DOUBTED & ~known && known >> 32 >= now)
		return known;
	return (__u32)known == (__u32)lead && known > lead ? known : lead;
}

/* What follows from a lead that gave way, or found no room. */
static __always_inline int forget_lead(lead_t lead)
{
	if (lead & EBG_LEAD_COUNT)
		count(EBG_COUNTER_FORGOTTEN);
	return lead & EBG_LEAD_DENIES ? -1 : 0;
}

/*
 * Adds a lead to an address; -1 where it denies and there is no room. A lead that only holds longer is no change: a
 * verdict that is kept ends with the first of its leads anyway. One that is about to end, or has ended, is a change.
 */
FUNCTION(int, add_lead, __u64 high, __u64 low, __u64 lead, __u32 now)
{
	__u64 words[2] = { high, low }, gone[2], chosen, worth, known;
	struct leads *leads = make_leads(words);
	__u32 rank, same;
	struct known_lead *way;

	if (!leads)
		return forget_lead(lead);
	bpf_spin_lock(&leads->lock);
	chosen = choose_way(leads, words, lead, now);
	way = &leads->way[BELOW(EBG_WAYS, chosen)];
	known = way->lead;
	worth = chosen >> EBG_CHOSEN_SHIFT;
	same = !worth;
	rank = (worth - 1) >> EBG_RANK_SHIFT;
	if (!same && (rank == RANK_DENIES || worth_of(lead, now) >> EBG_RANK_SHIFT < rank)) {
		bpf_spin_unlock(&leads->lock);
		return forget_lead(lead);
	}
	if (same)
		lead = joined(known, lead, now);
	gone[0] = way->address[0];
	gone[1] = way->address[1];
	way->address[0] = high;
	way->address[1] = low;
	way->lead = lead;
	bpf_spin_unlock(&leads->lock);
	if (!same || (__u32)(known ^ lead) || known >> 32 < now + 2)
		count_change(words);
	if (!same && rank) { /* it held */
		count_change(gone);
		forget_lead(known);
	}
	return 0;
}

#endif
#line 8 "bpf/heard.h"
#line 1 "bpf/recent_answers.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The answers that were read a moment ago: tools ask for the same names again and again, and to read an answer takes as long
 * as all the rest. For so short a time nothing would hold longer: see lead_of().
 */
#ifndef EBG_RECENT_ANSWERS_H
#define EBG_RECENT_ANSWERS_H




#define EBG_RECENT_ANSWERS_BITS 10
#define EBG_ANSWER_WORDS 10 /* of 64 bits: what comes behind the question */

struct recent_answer {
	struct cell cell;
	__u64 name; /* hash of the question's */
	__u64 time;
	__u32 form; /* how many bytes, and how many records */
	__u32 doubted;
	__u64 words[EBG_ANSWER_WORDS]; /* 0 behind it */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_ANSWERS_BITS);
	__type(key, __u32);
	__type(value, struct recent_answer);
} ebg_last_answer SEC(".maps");

/* The word at `index` of what comes behind the question, which ends after `size` bytes. */
static __always_inline __u64 answer_word(struct scratch *s, __u32 start, __u32 size, __u32 index)
{
	__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, start) + 8 * index);

	if (size <= 8 * index)
		return 0;
	return size < 8 * index + 8 ? word & ((1ULL << (8 * size & 63)) - 1) : word;
}

/* Where an answer is kept that goes on with `size` bytes at `start`; NULL where it is too long for that. */
static __always_inline struct recent_answer *place_of_answer(struct scratch *s, __u32 start, __u32 size)
{
	__u32 index = mixed(FORGET(s->question), answer_word(s, start, size, 0)) * EBG_HASH_PRIME >> (64 - EBG_RECENT_ANSWERS_BITS);

	if (FORGET(s->source) != EBG_SOURCE_PACKET || size > 8 * EBG_ANSWER_WORDS)
		return NULL;
	return bpf_map_lookup_elem(MAP(ebg_last_answer), &index);
}

/* Was this answer read a moment ago? */
static __always_inline int is_repeated(struct scratch *s, struct recent_answer *recent, __u32 start, __u32 size, __u32 form,
				       __u64 now)
{
	__u32 version = begin_read(&recent->cell), i;
	__u64 different = (recent->name ^ s->question) | (recent->form ^ form) | (recent->doubted ^ s->heard.doubted);

	if (!version || different || now - recent->time >= 1ULL << EBG_TICK_BITS)
		return 0;
#pragma unroll
	for (i = 0; i < EBG_ANSWER_WORDS; i++) {
		different |= recent->words[i] ^ answer_word(s, start, size, i);
		barrier_var(different);
	}
	return !different && was_whole(&recent->cell, version);
}

static __always_inline void keep_answer(struct scratch *s, struct recent_answer *recent, __u32 start, __u32 size, __u32 form,
					__u64 now)
{
	__u32 i;

	if (begin_write(&recent->cell)) {
		recent->name = s->question;
		recent->time = now;
		recent->form = form;
		recent->doubted = s->heard.doubted;
#pragma unroll
		for (i = 0; i < EBG_ANSWER_WORDS; i++)
			recent->words[i] = answer_word(s, start, size, i);
	}
	end_write(&recent->cell);
}

#endif
#line 9 "bpf/heard.h"

#define EBG_RECORDS 256 /* of an answer that are read: more do not fit the message */
/* An address is used a while after it was asked for, also where the answer says that it must not be kept. In seconds. */
#define EBG_LEAST_TTL 60
#define EBG_LEAST_ALLOWED 600 /* of a name that nothing denies */
#define EBG_TYPE_A 1
#define EBG_TYPE_CNAME 5
#define EBG_TYPE_AAAA 28

/* Is it an address that every host has? It says nothing of where a name is: resolvers that block names answer so. */
static __always_inline int is_here(const __u8 *address)
{
	__u32 words[4];

	__builtin_memcpy(words, address, sizeof(words));
	if (words[0] | words[1])
		return 0;
	if (words[2] == bpf_htonl(0xffff))
		return words[3] == bpf_htonl(0x7f000001) || !words[3]; /* 127.0.0.1, 0.0.0.0 */
	return !words[2] && bpf_ntohl(words[3]) <= 1; /* ::1, :: */
}

enum record_result {
	RECORD_READ = 0,
	RECORD_UNREADABLE = -1, /* and the records behind it can't be found */
	RECORD_LOST = -2,       /* a rule denies its name, and there was no room to keep it */
};

/* Keeps the question's name for the ledger, before another name is read over it. */
static __always_inline void introduce(struct scratch *s)
{
	if (FORGET(s->introduced))
		return;
	__builtin_memcpy(s->heard.name, s->name, sizeof(s->name));
	__builtin_memset(s->heard.target, 0, sizeof(s->heard.target));
	FORGET(s->target_size) = 1;
	FORGET(s->introduced) = 1;
}

/* Is this pair what the ledger has by its hash? Then to write a time is enough, and cheaper than to write two names. */
static __always_inline int is_known(struct scratch *s, const struct ebg_heard *known)
{
	__u32 size = FORGET(s->question_size);

	if (known->doubted != s->heard.doubted)
		return 0;
	if (!FORGET(s->introduced))
		return !known->target[0] && same_name(s, known->name, s->name, size);
	return same_name(s, known->name, s->heard.name, size) &&
	       same_name(s, known->target, s->heard.target, FORGET(s->target_size));
}

/* The lead that the record gives. */
static __always_inline lead_t lead_here(struct scratch *s, __u64 now)
{
	__u64 least = now + (__u64)EBG_LEAST_ALLOWED * 1000000000;

	if (FORGET(s->source) == EBG_SOURCE_PACKET && s->decided.slice.count && !s->decided.denies &&
	    s->heard.until < least)
		s->heard.until = least;
	return lead_of(&s->decided, s->heard.until, s->heard.doubted);
}

/* Could this lead make nothing denied, and is it not believed? Then it is none. */
static __always_inline int leads_nowhere(struct scratch *s)
{
	return s->heard.doubted && !s->decided.denies;
}

/* Keeps for the ledger that the question's name leads to this address. */
FUNCTION(int, keep_pair, __u32 slot, __u64 high, __u64 low, __u64 now)
{
	struct scratch *s = scratch(slot);
	struct ebg_heard_key key = {};
	struct ebg_heard *known;

	if (!s)
		return -1;
	__builtin_memcpy(key.address, &high, sizeof(high));
	__builtin_memcpy(key.address + 8, &low, sizeof(low));
	key.name = s->question;
	known = bpf_map_lookup_elem(MAP(ebg_heard), &key);
	if (known && s->heard.doubted && !known->doubted && known->until > now)
		return 0; /* the host's resolvers know better */
	if (known && is_known(s, known)) {
		known->until = s->heard.until;
		return 0;
	}
	introduce(s);
	if (bpf_map_update_elem(MAP(ebg_heard), &key, &s->heard, BPF_ANY) < 0)
		count(EBG_COUNTER_LOST);
	return 0;
}

/* Keeps the address of an A or AAAA record, whose data is at `position`. */
FUNCTION(int, read_address, __u32 slot, __u32 position, __u32 length, __u64 now)
{
	struct scratch *s = scratch(slot);
	__u64 words[2] = { 0, bpf_htonl(0xffff) };
	int room;

	if (!s || !holds(s, position, length))
		return RECORD_UNREADABLE;
	position = BELOW(EBG_MESSAGE, position);
	if (length == 4)
		__builtin_memcpy((__u8 *)words + 12, s->message + position, 4);
	else
		__builtin_memcpy(words, s->message + position, sizeof(words));
	if (is_here((__u8 *)words))
		return RECORD_READ;
	room = leads_nowhere(s) ? 0 : add_lead(words[0], words[1], lead_here(s, now), now >> EBG_TICK_BITS);
	keep_pair(slot, words[0], words[1], now);
	return room < 0 ? RECORD_LOST : RECORD_READ;
}

/*
 * Keeps the name to which a CNAME record leads. Several names can stand between the question and the addresses: the
 * first that has rules decides.
 */
FUNCTION(int, read_alias, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	struct ebg_alias *known;
	lead_t lead;

	if (!s)
		return RECORD_UNREADABLE;
	introduce(s);
	if (read_wire_name(slot, position, 1) < 0)
		return RECORD_UNREADABLE;
	find_rules(slot);
	__builtin_memcpy(s->heard.target, s->name, sizeof(s->name));
	FORGET(s->target_size) = FORGET(s->written) + 1;
	if (!s->found.slice.count)
		return RECORD_READ;
	s->decided = s->found;
	if (leads_nowhere(s))
		return RECORD_READ;
	lead = lead_here(s, bpf_ktime_get_ns());
	known = bpf_map_lookup_elem(MAP(ebg_aliases), &s->question);
	if (known && same_name(s, known->name, s->heard.name, FORGET(s->question_size))) {
		/* the host's resolvers know better */
		if (!s->heard.doubted || known->lead & EBG_LEAD_DOUBTED || known->lead >> 32 < ticks())
			known->lead = lead;
		return RECORD_READ;
	}
	if (known && known->lead >> 32 >= ticks())
		return RECORD_LOST; /* another alias has this hash, and its place */
	s->alias.lead = lead;
	__builtin_memcpy(s->alias.name, s->heard.name, sizeof(s->alias.name));
	if (bpf_map_update_elem(MAP(ebg_aliases), &s->question, &s->alias, BPF_ANY) < 0 && forget_lead(lead) < 0)
		return RECORD_LOST;
	return RECORD_READ;
}

/* Until when a record holds. What Python teaches with 0 seconds is over: it was heard under earlier rules. */
static __always_inline __u64 until_of(struct scratch *s, __u64 ttl, __u64 now)
{
	if (FORGET(s->source) != EBG_SOURCE_PACKET)
		return ttl ? now + ttl * 1000000000 : 0;
	return now + (ttl > EBG_LEAST_TTL ? ttl : EBG_LEAST_TTL) * 1000000000;
}

/* Reads the record at s->cursor, and moves the cursor behind it. */
FUNCTION(int, read_record, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u64 ttl, now = bpf_ktime_get_ns();
	__u32 type, length;
	int position;

	if (!s)
		return RECORD_UNREADABLE;
	position = FORGET(s->cursor);
	if (holds(s, position, 2) && word_at(s, position) == (0xc000 | EBG_DNS_HEADER)) {
		position += 2; /* a pointer to the question's name, which has been read */
	} else {
		introduce(s);
		position = read_wire_name(slot, position, 1);
	}
	if (position < 0 || !holds(s, position, 10))
		return RECORD_UNREADABLE;
	type = word_at(s, position);
	ttl = (__u64)word_at(s, position + 4) << 16 | word_at(s, position + 6);
	length = word_at(s, position + 8);
	position += 10;
	FORGET(s->cursor) = position + length;
	s->heard.until = until_of(s, ttl, now);
	if (type == EBG_TYPE_CNAME && !s->decided.slice.count)
		return read_alias(slot, position);
	if ((type == EBG_TYPE_A && length == 4) || (type == EBG_TYPE_AAAA && length == 16))
		return read_address(slot, position, length, now);
	return RECORD_READ;
}

#define EBG_RECORD_RUN 16

/* Reads some records, from one with this number on. Returns 0 where more may follow, 1 at the end, or what stops it. */
FUNCTION(int, read_records, __u32 slot, __u32 first, __u32 records)
{
	__u32 i;

	for (i = 0; i < EBG_RECORD_RUN; i++) {
		int result;

		if (first + i >= records)
			return 1;
		result = read_record(slot);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Reads the records at s->cursor, unless the same were read a moment ago. Returns what stopped it, if not their end. */
FUNCTION(int, read_all_records, __u32 slot, __u32 records)
{
	struct scratch *s = scratch(slot);
	struct recent_answer *recent;
	__u32 start, size, form, i;
	__u64 now = about_now();
	int result = 0;

	if (!s)
		return RECORD_UNREADABLE;
	start = FORGET(s->cursor);
	if (start > FORGET(s->size))
		return RECORD_UNREADABLE;
	size = FORGET(s->size) - start;
	form = size << 16 | records;
	recent = place_of_answer(s, start, size);
	if (recent && is_repeated(s, recent, start, size, form, now))
		return 0;
	for (i = 0; i < EBG_RECORDS && !result; i += EBG_RECORD_RUN)
		result = read_records(slot, i, records);
	if (recent && result > 0)
		keep_answer(s, recent, start, size, form, now);
	return result;
}

/* Notes who says what is read next. `taught`: of what Python teaches, which no packet from anywhere can have. */
static __always_inline void note_source(struct scratch *s, const struct ebg_config *config, const __u8 *from,
					__u32 taught)
{
	__u64 words[2];

	__builtin_memcpy(words, from, sizeof(words));
	FORGET(s->source) = taught;
	FORGET(s->from_resolver) = is_resolver(config, words, EBG_DNS_PORT);
}

/* Keeps which addresses the answer has for its name. Returns -1 where some could not be kept: it must not arrive. */
static __always_inline int read_answer(struct scratch *s)
{
	__u32 slot = FORGET(s->slot), records;
	int position;

	if (!holds(s, 0, EBG_DNS_HEADER) || !(byte_at(s, 2) & 0x80))
		return 0;
	records = word_at(s, 6);
	position = read_question(slot, 0);
	if (position < 0 || !records)
		return 0;
	if (s->found.asked_rule == EBG_RULE_CANARY) {
		count(EBG_COUNTER_CANARY + EBG_HOOK_INGRESS);
		return 0;
	}
	s->question = s->hash;
	FORGET(s->question_size) = position - EBG_DNS_HEADER;
	s->decided = s->found;
	s->heard.doubted = !is_believed(FORGET(s->source), FORGET(s->from_resolver), was_asked(slot));
	FORGET(s->introduced) = 0;
	FORGET(s->cursor) = position + 4;
	return read_all_records(slot, records) == RECORD_LOST ? -1 : 0;
}

#endif
#line 19 "bpf/guard.bpf.c"
#line 1 "bpf/scope.h"
/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* For programs that are not attached to the cgroup: they are run for every process of the host. */
#ifndef EBG_SCOPE_H
#define EBG_SCOPE_H



/* The deploy cgroup: the rules are for the processes in it and below it. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebg_scope SEC(".maps");

static __always_inline int is_inside(void)
{
	return bpf_current_task_under_cgroup(MAP(ebg_scope), 0) == 1;
}

/* Is the process in the guard, and are these the rules that are in force? */
static __always_inline int is_concerned(void)
{
	__u32 zero = 0;
	const struct ebg_config *config = configuration();
	const __u32 *current = bpf_map_lookup_elem(MAP(ebg_current), &zero);

	return is_inside() && config && current && (*current & EBG_BOTH || *current == config->generation);
}

#endif
#line 20 "bpf/guard.bpf.c"

/* Remembers who opens a connection by this socket, and how its address was judged. Returns -1 without memory for it. */
static __always_inline int remember(struct bpf_sock *sk, const struct ebg_config *config, const struct ebg_endpoint *to,
				    const struct address_judgement *address, __u32 flags)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct opened *opened = sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;

	if (!opened)
		return -1;
	*opened = (struct opened){ .run = run_of(task), .to = *to, .address = *address, .port = to->port };
	opened->generation = config->generation;
	opened->flags = flags;
	opened->uid = BPF_CORE_READ(task, cred, uid.val);
	if (!bpf_map_lookup_elem(MAP(ebg_images), &opened->run))
		remember_image((__u64)task);
	return 0;
}

/* Remembers where this socket was told to send, and whether that is recorded. Returns -1 without memory for it. */
static __always_inline int remember_asked(struct bpf_sock *sk, const struct ebg_config *config,
					  const struct access *access, int connects)
{
	struct opened *opened = sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;

	if (!opened)
		return -1;
	opened->to = access->to;
	opened->generation = config->generation;
	opened->flags = (connects ? 0 : OPENED_SENDS) | (access->it.deny ? OPENED_RECORDED : 0);
	return 0;
}

static __always_inline int on_socket(struct bpf_sock_addr *ctx, struct access *access)
{
	int connects = access->hook == EBG_HOOK_CONNECT4 || access->hook == EBG_HOOK_CONNECT6;
	const struct ebg_config *config = configuration();
	struct address_judgement judged;
	__u32 silent = 0;

	if (!config)
		return refuse_with(EBG_EACCES);
	access->to.port = bpf_ntohs((__u16)ctx->user_port);
	access->to.protocol = ctx->protocol;
	access->to.kind = connects ? EBG_KIND_CONNECT : EBG_KIND_SEND;
	judged = verdict_over(&access->to);
	access->it = judge_on_socket(&judged, connects);
	if (settle(config, access) == EBG_REFUSE) {
		if (!is_silent(config, &access->it))
			return refuse_with(error_of(outage_of(config, &access->it)));
		silent = OPENED_DENIED | OPENED_SILENT; /* it goes on, and egress swallows its packets */
	}
	if (connects && ctx->type != EBG_SOCK_STREAM && !access->it.deny)
		return EBG_PASS; /* the socket itself knows where it is connected to */
	if (!connects || ctx->type != EBG_SOCK_STREAM)
		return remember_asked(ctx->sk, config, access, connects) < 0 ? refuse_with(EBG_EACCES) : EBG_PASS;
	/* without that, egress would take its packets for answers to a client */
	return remember(ctx->sk, config, &access->to, &judged, silent) < 0 ? refuse_with(EBG_EACCES) : EBG_PASS;
}

static __always_inline int on_socket4(struct bpf_sock_addr *ctx, enum ebg_hook hook)
{
	struct access access = { .hook = hook };

	set_ipv4(access.to.address, ctx->user_ip4);
	return on_socket(ctx, &access);
}

static __always_inline int on_socket6(struct bpf_sock_addr *ctx, enum ebg_hook hook)
{
	struct access access = { .hook = hook };

	set_ipv6(access.to.address, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	return on_socket(ctx, &access);
}

PROGRAM("cgroup/connect4", ebg_connect4)(struct bpf_sock_addr *ctx)
{
	return on_socket4(ctx, EBG_HOOK_CONNECT4);
}

PROGRAM("cgroup/connect6", ebg_connect6)(struct bpf_sock_addr *ctx)
{
	return on_socket6(ctx, EBG_HOOK_CONNECT6);
}

PROGRAM("cgroup/sendmsg4", ebg_sendmsg4)(struct bpf_sock_addr *ctx)
{
	return on_socket4(ctx, EBG_HOOK_SENDMSG4);
}

PROGRAM("cgroup/sendmsg6", ebg_sendmsg6)(struct bpf_sock_addr *ctx)
{
	return on_socket6(ctx, EBG_HOOK_SENDMSG6);
}

/* The kernel takes no other results than 0 to 3 here, and does not know what a function returns. */
static __always_inline int obey(int result)
{
	barrier_var(result);
	return result & 3;
}

PROGRAM("cgroup_skb/egress", ebg_egress)(struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	const struct opened *opened;
	int result;

	if (!config)
		return EBG_REFUSE;
	if (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6))
		return EBG_PASS;
	if (!tcp_socket(skb)) {
		result = on_packet(skb);
		if ((result & 0xff) == EBG_ASKS) {
			result = is_plain_question(skb, result >> 8) ? EBG_PASS : on_question(skb);
			if (result == EBG_REFUSE)
				result = answer_refused(skb);
		} else if (result == EBG_UNHEARD) {
			result = refuse_datagram(skb);
		}
		forget_asked(skb);
		return obey(result);
	}
	/*
	 * A socket that has not opened its connection answers a client. A daemon does so that the deployment has started,
	 * and that is no dependency.
	 */
	opened = connection_of(skb);
	if (!opened || (opened->generation == config->generation &&
			(opened->flags & (OPENED_JUDGED | OPENED_DENIED)) == OPENED_JUDGED))
		return EBG_PASS;
	return obey(on_connection(skb));
}

/*
 * To a socket that has errors of the network reported, the kernel reports a swallowed datagram as well. glibc's resolver
 * asks for these reports, and takes every error on a send for the end. So where questions are answered, or a drill swallows them, it gets none.
 */
PROGRAM("cgroup/setsockopt", ebg_setsockopt)(struct bpf_sockopt *ctx)
{
	const struct ebg_config *config = configuration();

	if (config && strict(config) && is_report_to_resolver(ctx) &&
	    (uses_outage(config, EBG_OUTAGE_TIMEOUT) ||
	     (agent_works() && (answering(EBG_ANSWERING_IPV4) || answering(EBG_ANSWERING_IPV6)))))
		ctx->optlen = -1; /* nothing is set, and the process hears of no error */
	else if (ctx->optlen > EBG_PAGE)
		ctx->optlen = 0; /* the process's own value, of which the kernel has shown the beginning alone */
	return EBG_PASS;
}

/* Is this a packet for a socket that is connected to another port than that of DNS servers? Most are. */
static __always_inline int connected_elsewhere(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->state == EBG_CONNECTED && sk->dst_port != bpf_htons(EBG_DNS_PORT);
}

PROGRAM("cgroup_skb/ingress", ebg_ingress)(struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct packet packet = {};
	struct scratch *s;
	int kept = 0;

	if (!config || (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6)))
		return EBG_PASS;
	if (config->outages && !may_arrive(skb))
		return EBG_REFUSE;
	if (connected_elsewhere(skb) || unpack(skb, &packet) < 0 || packet.source != EBG_DNS_PORT)
		return EBG_PASS;
	s = claim();
	if (!s)
		return strict(config) ? EBG_REFUSE : EBG_PASS;
	/* the kernel clears cb before it gives a packet to programs, and not in what BPF_PROG_TEST_RUN makes */
	note_source(s, config, packet.from, skb->cb[0]);
	if (packet.to.protocol == EBG_UDP && load_payload(skb, s, packet.transport + 8) == 0)
		kept = read_answer(s);
	else if (packet.to.protocol == EBG_TCP && load_payload(skb, s, tcp_payload(skb, &packet) + 2) == 0)
		kept = read_answer(s); /* it begins behind its length; an answer in several packets is not read */
	release(s);
	return kept < 0 && strict(config) ? EBG_REFUSE : EBG_PASS;
}

/*
 * A connection below another one, as MPTCP makes them: connect(2) was for the upper one. It leads where the peer or the
 * host's settings say.
 */
static __always_inline void on_subflow(struct bpf_sock_ops *ctx, struct bpf_sock *sk, const struct ebg_config *config)
{
	struct ebg_endpoint to = { .port = bpf_ntohl(ctx->remote_port), .protocol = EBG_TCP };
	struct address_judgement address;
	struct opened *opened;

	if (ctx->family == EBG_AF_INET)
		set_ipv4(to.address, ctx->remote_ip4);
	else
		set_ipv6(to.address, ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2], ctx->remote_ip6[3]);
	address = verdict_over(&to);
	remember(sk, config, &to, &address, 0);
	opened = bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0);
	if (opened && judge_on_socket(&address, 1).deny)
		opened->generation = 0; /* its first packet is judged, and refused */
}

/*
 * Is this the segment by which it shows that no name comes? Egress denies it in a moment, and TCP, which tries again less
 * and less often, would ask here the next time after most of a second.
 */
static __always_inline int is_last_try(const struct opened *opened, __u32 size)
{
	return size && size <= opened->waiting && held_long_enough(opened->held);
}

/* Is it one of which nobody is told that it is over, or will be in a moment? */
static __always_inline int ends_in_silence(const struct opened *opened)
{
	const struct ebg_config *config = configuration();

	return opened->flags & OPENED_SILENT ||
	       (!(opened->flags & OPENED_DENIED) && config && is_silent(config, &opened->address.it));
}

/* Has TCP ask before each segment that it sends. */
static __always_inline void on_connecting(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	const struct ebg_config *config = configuration();

	if (!config)
		return;
	if (!bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0))
		on_subflow(ctx, sk, config);
	if (enforces(config))
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

/* TCP asks no more once nothing is left to judge; and a denied connection is told to give up at the next try. */
static __always_inline void on_sending(struct bpf_sock_ops *ctx, const struct opened *opened)
{
	int at_once = 1; /* ms */

	if ((opened->flags & OPENED_DENIED || is_last_try(opened, ctx->skb_len)) && !ends_in_silence(opened))
		bpf_setsockopt(ctx, EBG_TCP, EBG_TCP_USER_TIMEOUT, &at_once, sizeof(at_once));
	else if (opened->flags & OPENED_JUDGED)
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

/*
 * Without the agent nobody ends a connection whose data is dropped, and TCP would try for minutes. So this does, some 0.2
 * seconds later.
 */
PROGRAM("sockops", ebg_sockops)(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct opened *opened;

	if ((ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_HDR_OPT_LEN_CB) || !sk)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		on_connecting(ctx, sk);
		return 1;
	}
	opened = bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0);
	if (opened)
		on_sending(ctx, opened);
	return 1;
}

/* Remembers the child that the current process has made. It runs the same program so far. */
static __always_inline void remember_child(struct task_struct *child)
{
	__u64 parent = bpf_get_current_task();
	struct ebg_run run = run_of((void *)parent), born = run_of(child);
	struct ebg_image *image;
	int i;

	remember_image(parent);
	image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	if (!image)
		return;
	bpf_map_update_elem(MAP(ebg_images), &born, image, BPF_ANY);
	image = bpf_map_lookup_elem(MAP(ebg_images), &born);
	if (!image)
		return;
	image->above = run;
	image->forked = 1;
	/*
	 * A lookup keeps an image from being the least recently used. A process that only waits for its children makes
	 * no others, and would be forgotten.
	 */
	for (i = 0; i < EBG_ANCESTORS; i++) {
		image = bpf_map_lookup_elem(MAP(ebg_images), &run);
		if (!image)
			return;
		run = image->above;
	}
}

/*
 * The kernel runs these three for every process of the host. They do the same under all rules, and to do it twice changes
 * nothing. So they don't ask whether their rules are in force. A global function takes a process as the kernel's memory
 * has it, and not as the context does.
 */
TRACEPOINT("sched_process_fork", ebg_fork)(__u64 *ctx)
{
	struct task_struct *child = BPF_CORE_READ((struct task_struct *)ctx[1], group_leader);
	struct cgroup *born_in = home_of(child);
	int same = born_in == home_of((void *)ctx[0]), inside = is_inside();

	if ((same && !inside) || child != (void *)ctx[1]) /* a thread is no other process */
		return 0;
	if (!same && !inside) {
		if (is_of_guard(born_in))
			note_entry((__u64)child);
		return 0;
	}
	count(EBG_COUNTER_CANARY + EBG_HOOK_FORK);
	remember_child(child);
	if (!member_of(child))
		remember_member(child, EBG_WHERE_INSIDE);
	if (!same && is_member(child) && !is_of_guard(born_in))
		note_leaving((__u64)child, BPF_CORE_READ(born_in, kn, id), 0);
	return 0;
}

TRACEPOINT("sched_process_exec", ebg_image)(__u64 *ctx)
{
	if (!is_inside())
		return 0;
	count(EBG_COUNTER_CANARY + EBG_HOOK_IMAGE);
	remember_image(bpf_get_current_task());
	return 0;
}

/* The moved process is in its new cgroup already. */
TRACEPOINT("cgroup_attach_task", ebg_entry)(__u64 *ctx)
{
	struct task_struct *task = BPF_CORE_READ((struct task_struct *)ctx[2], group_leader);
	struct cgroup *to = (void *)ctx[0];

	if (home_of((void *)ctx[2]) != to) /* a cgroup of version 1 */
		return 0;
	if (is_of_guard(to)) {
		count(EBG_COUNTER_CANARY + EBG_HOOK_ENTRY);
		note_entry((__u64)task);
	} else if (is_member(task)) {
		note_leaving((__u64)task, BPF_CORE_READ(to, kn, id), ctx[1]);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
