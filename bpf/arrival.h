/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * A drill in which what is denied is silent, or resets its connections: what the other side has sent before, or still
 * sends, must not arrive. Else a stream that was open before would go on for a while.
 */
#ifndef EBG_ARRIVAL_H
#define EBG_ARRIVAL_H

#include "egress.h"

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
