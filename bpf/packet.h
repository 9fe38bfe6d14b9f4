/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Packets: their headers say where they go. */
#ifndef EBG_PACKET_H
#define EBG_PACKET_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "endpoint.h"
#include "maps.h"
#include "scratch.h"

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
