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

#include "abi.h"
#include "kernel.h"

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
