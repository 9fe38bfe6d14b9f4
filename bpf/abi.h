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
