/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The one form of an address. */
#ifndef EBG_ENDPOINT_H
#define EBG_ENDPOINT_H

#include "abi.h"
#include "kernel.h"

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
