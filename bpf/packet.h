/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Where a packet goes, read from its own headers. */
#ifndef EBG_PACKET_H
#define EBG_PACKET_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "endpoint.h"
#include "maps.h"

#define EBG_EXTENSION_HEADERS 6

struct packet {
	struct ebg_endpoint to;
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
	set_ipv4(&packet->to, ip.daddr);
	packet->to.protocol = ip.protocol;
	packet->transport = ip.ihl * 4;
	return 0;
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
	next = ip.nexthdr;
	for (i = 0; i < EBG_EXTENSION_HEADERS; i++) {
		__u8 header[2]; /* next header, length */

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			break;
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)) < 0)
			return -1;
		offset += next == IPPROTO_FRAGMENT ? 8 : (header[1] + 1) * 8;
		next = header[0];
	}
	packet->to.protocol = next;
	packet->transport = offset;
	return 0;
}

/* -1: a packet whose headers can't be read. */
static __always_inline int unpack(struct __sk_buff *skb, struct packet *packet)
{
	struct port_pair ports;
	int result = skb->protocol == bpf_htons(EBG_IPV4) ? unpack_ipv4(skb, packet) : unpack_ipv6(skb, packet);

	packet->to.kind = EBG_KIND_SEND;
	if (result < 0 || !has_ports(packet->to.protocol))
		return result;
	if (bpf_skb_load_bytes(skb, packet->transport, &ports, sizeof(ports)) < 0)
		return -1;
	packet->to.port = bpf_ntohs(ports.destination);
	return 0;
}

/* The cgroup in which the packet's socket was made; no process is in ~0. */
static __always_inline __u64 socket_cgroup(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk ? bpf_sk_cgroup_id(sk) : ~0ULL;
}

/*
 * Is this TCP packet part of a connection that a client opened to us? A daemon that the deployment started may answer
 * whoever asks it: that is no dependency of the deployment.
 */
static __always_inline int answers_a_client(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->type == EBG_SOCK_STREAM && !bpf_sk_storage_get(&ebg_opened, sk, NULL, 0);
}

#endif
