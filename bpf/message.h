/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The first bytes that a connection sends, and the name that they present to a server of TLS or HTTP, or to a proxy. */
#ifndef EBG_MESSAGE_H
#define EBG_MESSAGE_H

#include "dns.h"
#include "rules.h"

#define EBG_TLS_HANDSHAKE 0x16
#define EBG_TLS_RECORD 5       /* bytes of a record's header */
#define EBG_TLS_CLIENT_HELLO 1
#define EBG_TLS_EXTENSIONS 64  /* of a ClientHello, that are looked at */
#define EBG_HTTP_LINES 64      /* in front of the Host header */
#define EBG_HTTP_BLANKS 8      /* in front of the header's value */

/* The functions that look for a name return its position, or one of these. */
enum sight {
	SIGHT_NOTHING = 0,
	SIGHT_UNREADABLE = -1,
	SIGHT_PARTIAL = -2, /* the message needs more bytes */
	SIGHT_FURTHER = -3, /* the name may stand in the next line */
};

/* Finds the extensions in the ClientHello at the start of the message. They end at s->end. */
static __always_inline int find_extensions(struct scratch *s)
{
	__u32 record, position = EBG_TLS_RECORD + 4 + 2 + 32; /* behind the headers, the version and the random bytes */

	if (!holds(s, 0, EBG_TLS_RECORD + 4))
		return SIGHT_UNREADABLE;
	record = word_at(s, 3);
	if ((byte_at(s, 6) << 16 | word_at(s, 7)) + 4 > record)
		return SIGHT_UNREADABLE; /* cut into several records */
	if (!holds(s, position, 1))
		return SIGHT_UNREADABLE;
	position += 1 + byte_at(s, position); /* session */
	if (!holds(s, position, 2))
		return SIGHT_UNREADABLE;
	position += 2 + word_at(s, position); /* ciphers */
	if (!holds(s, position, 1))
		return SIGHT_UNREADABLE;
	position += 1 + byte_at(s, position); /* compression */
	if (position >= EBG_TLS_RECORD + record)
		return SIGHT_NOTHING;
	if (!holds(s, position, 2))
		return SIGHT_UNREADABLE;
	FORGET(s->end) = position + 2 + word_at(s, position);
	return position + 2;
}

/* Finds the server's name in the ClientHello at the start of the message. The name's length goes to s->end. */
FUNCTION(int, find_sni, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int start;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	start = find_extensions(s);
	if (start <= 0)
		return start;
	FORGET(s->cursor) = start;
	for (i = 0; i < EBG_TLS_EXTENSIONS; i++) {
		__u32 cursor = FORGET(s->cursor);

		if (cursor >= FORGET(s->end))
			return SIGHT_NOTHING;
		if (!holds(s, cursor, 4))
			return SIGHT_UNREADABLE;
		FORGET(s->cursor) = cursor + 4 + word_at(s, cursor + 2);
		if (word_at(s, cursor))
			continue;
		/* a list of names; no type of names but 0 was ever made */
		if (!holds(s, cursor, 9) || byte_at(s, cursor + 6))
			return SIGHT_UNREADABLE;
		FORGET(s->end) = word_at(s, cursor + 7);
		if (!holds(s, cursor + 9, FORGET(s->end)))
			return SIGHT_UNREADABLE;
		return cursor + 9;
	}
	return SIGHT_UNREADABLE;
}

/* Does the request begin with a common method? Only then is an unfinished head waited for. */
static __always_inline int is_method(__u32 word)
{
	return word == 0x47455420 /* GET */ || word == 0x504f5354 /* POST */ || word == 0x48454144 /* HEAD */ ||
	       word == 0x50555420 /* PUT */ || word == 0x434f4e4e /* CONNECT */ || word == 0x4f505449 /* OPTIONS */ ||
	       word == 0x50415443 /* PATCH */ || word == 0x44454c45 /* DELETE */ || word == 0x54524143 /* TRACE */;
}

/* Looks at the byte at `position`. Returns 1 where it ends the host; s->cursor is where the host begins. */
FUNCTION(int, user_step, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	__u32 c;

	if (!s || position >= FORGET(s->size))
		return 1;
	c = byte_at(s, position);
	if (c == '@')
		FORGET(s->cursor) = position + 1;
	return c <= ' ' || c == '/' || c == '?' || c == '#';
}

/* Returns where the host begins: a user and a password may stand in front of it. */
FUNCTION(int, skip_user, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->cursor) = start;
	for (i = 0; i < EBG_NAME; i++)
		if (user_step(slot, start + i))
			return FORGET(s->cursor);
	return SIGHT_UNREADABLE;
}

/* Finds the host in a request's target: `CONNECT host:port`, or `GET http://host/`, as clients ask proxies. */
FUNCTION(int, find_target, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i, last = 0, slashes = 0;

	if (!s || FORGET(s->size) < 8)
		return SIGHT_NOTHING;
	if (s->message[0] == 'C' && s->message[1] == 'O' && s->message[2] == 'N' && s->message[7] == ' ')
		return 8;
	for (i = 0; i < 32; i++) { /* a method, and a scheme */
		__u32 c = s->message[i];

		if (i >= FORGET(s->size) || c == '\n')
			return SIGHT_NOTHING;
		if (c == '/' && last != '/' && last != ':')
			return SIGHT_NOTHING; /* a path */
		slashes = c == '/' ? slashes + 1 : 0;
		if (slashes == 2)
			return skip_user(slot, i + 1);
		last = c;
	}
	return SIGHT_NOTHING;
}

/*
 * Looks for the end of a line in the eight bytes at `position`. Returns where the next line begins, or 0 where no line
 * ends here, or -1 at the end of the message.
 */
FUNCTION(int, line_step, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	__u64 word, found;

	if (!s || position >= FORGET(s->size))
		return -1;
	word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, position)) ^ 0x0a0a0a0a0a0a0a0aULL;
	found = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL; /* a bit for each byte that is 0 now */
	if (!found)
		return 0;
	found &= -found;
	position += ((found >> 7) * 0x0001020304050607ULL >> 56) + 1;
	return position <= FORGET(s->size) ? (int)position : -1;
}

/* Returns where the next line starts, or 0. */
FUNCTION(int, next_line, __u32 slot, __u32 start)
{
	int next = 0;
	__u32 i;

	for (i = 0; i < EBG_MESSAGE / 8 && !next; i++)
		next = line_step(slot, start + i * 8);
	return next > 0 ? next : 0;
}

/* Does the line in front of this position end in HTTP/1.x? */
static __always_inline int is_http1(struct scratch *s, __u32 next)
{
	__u32 end = next - 1 - (byte_at(s, next - 2) == '\r');

	return next > 10 && word_at(s, end - 8) == 0x4854 && word_at(s, end - 6) == 0x5450 &&
	       word_at(s, end - 4) == 0x2f31;
}

static __always_inline __u32 skip_blanks(struct scratch *s, __u32 position)
{
	__u32 i;

	for (i = 0; i < EBG_HTTP_BLANKS && (byte_at(s, position) == ' ' || byte_at(s, position) == '\t'); i++)
		position++;
	return position;
}

static __always_inline int unfinished(struct scratch *s)
{
	return FORGET(s->size) < EBG_MESSAGE ? SIGHT_PARTIAL : SIGHT_UNREADABLE;
}

/* Looks for the Host header in the line at s->cursor, and moves the cursor to the next line. */
FUNCTION(int, host_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 line, next;

	if (!s)
		return SIGHT_UNREADABLE;
	line = FORGET(s->cursor);
	next = next_line(slot, line);
	if (!next)
		return unfinished(s);
	if (next - line < 3)
		return SIGHT_NOTHING; /* the head's end */
	if (((word_at(s, line) << 16 | word_at(s, line + 2)) | 0x20202020) == 0x686f7374 && byte_at(s, line + 4) == ':')
		return skip_blanks(s, line + 5);
	FORGET(s->cursor) = next;
	return SIGHT_FURTHER;
}

/* Finds the value of the Host header. */
FUNCTION(int, find_host, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->cursor) = next_line(slot, 0);
	if (!FORGET(s->cursor))
		return unfinished(s);
	if (!is_http1(s, FORGET(s->cursor)))
		return SIGHT_NOTHING;
	for (i = 0; i < EBG_HTTP_LINES && sight == SIGHT_FURTHER; i++)
		sight = host_step(slot);
	return sight == SIGHT_FURTHER ? SIGHT_UNREADABLE : sight;
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
	if (position && port && port <= 0xffff)
		return port;
	return byte_at(s, 0) == 'C' ? 443 : 80; /* CONNECT, or http:// */
}

/* Reads the name that is presented at `position`, up to `length` bytes, and finds its ruling. */
static __always_inline void read_presented(struct scratch *s, __u32 slot, int position, __u32 length,
					   __u32 protocol_port)
{
	int read = position;

	if (position > 0)
		read = read_text_name(slot, position, length);
	if (read < 0)
		s->presented = PRESENTED_UNREADABLE;
	if (read <= 0)
		return;
	s->presented = PRESENTED_NAME;
	if (FORGET(s->proxied))
		protocol_port = (protocol_port & ~0xffff) | target_port(s);
	find_rules(slot);
	s->ruling = match(s->found.slice.first, s->found.slice.count, protocol_port);
	if (!s->ruling) {
		lead_t alias = lead_of_alias(slot);

		if (alias >> 32 >= ticks())
			s->ruling = follow(alias, protocol_port);
	}
}

/* Looks for a ClientHello. */
static __always_inline void look_at_tls(struct scratch *s, __u32 slot, __u32 size, __u32 protocol_port)
{
	int position;

	s->kind = EBG_KIND_TLS;
	s->strict = 1;
	s->proxied = 0;
	if (size < EBG_TLS_RECORD + 1) {
		s->wait = EBG_TLS_RECORD + 1;
	} else if (byte_at(s, 5) != EBG_TLS_CLIENT_HELLO) {
		s->presented = PRESENTED_UNREADABLE; /* servers skip empty records: a hello may come behind it */
	} else if (size < word_at(s, 3) + EBG_TLS_RECORD) {
		s->wait = word_at(s, 3) + EBG_TLS_RECORD;
	} else {
		position = find_sni(slot);
		read_presented(s, slot, position, FORGET(s->end), protocol_port);
	}
}

/* Looks for a request of HTTP, which begins with three capital letters. */
static __always_inline void look_at_http(struct scratch *s, __u32 slot, __u32 size, __u32 protocol_port)
{
	int position;

	s->kind = EBG_KIND_HTTP;
	s->strict = 0;
	/* a target that is cut off could be the beginning of any name */
	position = next_line(slot, 0) ? find_target(slot) : SIGHT_NOTHING;
	s->proxied = position > 0;
	if (position == SIGHT_NOTHING)
		position = find_host(slot);
	if (position != SIGHT_PARTIAL)
		read_presented(s, slot, position, EBG_NAME, protocol_port);
	else if (is_method(word_at(s, 0) << 16 | word_at(s, 2)))
		s->wait = size + 1;
}

/*
 * Finds out what the first bytes of a connection present, and leaves it in s->kind, s->presented and s->ruling. Where
 * more bytes are needed for that, their number is in s->wait.
 */
FUNCTION(int, look, __u32 slot, __u32 size, __u32 protocol_port)
{
	struct scratch *s = scratch(slot);

	if (!s)
		return -1;
	s->kind = EBG_KIND_SEND;
	s->presented = PRESENTED_NOTHING;
	s->wait = s->ruling = 0;
	if (byte_at(s, 0) == EBG_TLS_HANDSHAKE && (size < 2 || byte_at(s, 1) == 3))
		look_at_tls(s, slot, size, protocol_port);
	else if (size >= 4 && byte_at(s, 0) - 'A' < 26 && byte_at(s, 1) - 'A' < 26 && byte_at(s, 2) - 'A' < 26)
		look_at_http(s, slot, size, protocol_port);
	return 0;
}

#endif
