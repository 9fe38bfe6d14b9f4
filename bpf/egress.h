/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Packets that leave: of connections that were opened inside the guard, DNS questions in datagrams, and all others. The
 * host's NAT has come before. So two destinations count: the one that the process asked for, and the one in the packet.
 */
#ifndef EBG_EGRESS_H
#define EBG_EGRESS_H

#include "heads.h"
#include "questions.h"
#include "sender.h"

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
