/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The first bytes that a connection sends, and the name that they present to a server of TLS or HTTP, or to a proxy. */
#ifndef EBG_MESSAGE_H
#define EBG_MESSAGE_H

#include "address.h"
#include "http.h"
#include "text.h"
#include "tls.h"

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
