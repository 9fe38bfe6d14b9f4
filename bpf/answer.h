/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Denied DNS questions that the agent answers. An error on the send tells a program little: many wait, or try again for
 * a minute. And a socket that carries several questions would have to be ended for one of them. So where the agent is at
 * work, a denied question over UDP is swallowed, and the agent answers it: there is no such name.
 */
#ifndef EBG_ANSWER_H
#define EBG_ANSWER_H

#include "dns.h"
#include "packet.h"

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
