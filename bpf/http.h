/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The names in the head of an HTTP request: in its target, and in its Host header. Servers differ in what they take for
 * a head. What any of them would take is read here. Where they would not agree on the name, it is unreadable.
 */
#ifndef EBG_HTTP_H
#define EBG_HTTP_H

#include "http2.h"
#include "text.h"

#define EBG_HTTP_LINES 128 /* of a head, that are looked at */
#define EBG_HTTP_RUN 256   /* characters: of a method, blanks in a row */
#define EBG_HOST_STEPS 64  /* to the end of a host: eight bytes each, or up to an `@` */

/* A set of characters: a bit for each. */
struct characters {
	__u64 from_0, from_64, from_128, from_192;
};

/* What HTTP takes for blanks. Python does so with some characters that others refuse. */
#define EBG_BLANKS ((struct characters){ 0x1f0003e00ULL, 0, 0x100000020ULL, 0 })
/* The characters of a method, or of a header's name: digits, letters and !#$%&'*+-.^_`|~ */
#define EBG_TOKEN ((struct characters){ 0x03ff6cfa00000000ULL, 0x57ffffffc7fffffeULL, 0, 0 })

static __always_inline int is_among(struct characters set, __u32 c)
{
	__u64 word = set.from_0;

	if (c >= 64)
		word = set.from_64;
	if (c >= 128)
		word = set.from_128;
	if (c >= 192)
		word = set.from_192;
	return word >> (c & 63) & 1;
}

static __always_inline int is_blank(__u32 c)
{
	return is_among(EBG_BLANKS, c);
}

static __always_inline int is_token(__u32 c)
{
	return is_among(EBG_TOKEN, c);
}

static __always_inline struct characters all_but(struct characters set)
{
	return (struct characters){ ~set.from_0, ~set.from_64, ~set.from_128, ~set.from_192 };
}

enum run {
	RUN_TOKEN,
	RUN_BLANKS,
	RUN_VALUE, /* blanks in a line */
	RUN_JUNK,  /* all but tokens */
	RUN_WORD,  /* all but blanks */
	RUN_VERSION, /* digits and dots */
};

static __always_inline struct characters characters_of(enum run run)
{
	struct characters set = EBG_BLANKS;

	switch (run) {
	case RUN_TOKEN:
		return EBG_TOKEN;
	case RUN_BLANKS:
		return set;
	case RUN_VALUE:
		set.from_0 &= ~(1ULL << '\r' | 1ULL << '\n');
		return set;
	case RUN_JUNK:
		return all_but(EBG_TOKEN);
	case RUN_WORD:
		return all_but(set);
	default: /* RUN_VERSION */
		return (struct characters){ 0x03ff400000000000ULL, 0, 0, 0 };
	}
}

#define EBG_RUN_STEP 8

/*
 * Goes over the next characters of a run, which are those in s->among. Returns 1 at the end of the run or of the message;
 * s->cursor is there.
 */
FUNCTION(int, run_step, __u32 slot, __u32 back)
{
	struct scratch *s = scratch(slot);
	__u32 i, cursor, c;

	if (!s)
		return 1;
	cursor = FORGET(s->cursor);
	for (i = 0; i < EBG_RUN_STEP; i++) {
		c = byte_at(s, cursor - back);
		if (cursor - back >= FORGET(s->size) || !(s->among[c >> 6 & 3] >> (c & 63) & 1))
			break;
		cursor += back ? -1 : 1;
	}
	FORGET(s->cursor) = cursor;
	return i < EBG_RUN_STEP;
}

/* Returns where a run that begins at `start` ends; `back`: 1 where it is the run that ends there. */
FUNCTION(__u32, run_end, __u32 slot, __u32 start, __u32 run, __u32 back)
{
	struct characters set = characters_of(run);
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return start;
	s->among[0] = set.from_0;
	s->among[1] = set.from_64;
	s->among[2] = set.from_128;
	s->among[3] = set.from_192;
	FORGET(s->cursor) = start;
	for (i = 0; i < EBG_HTTP_RUN / EBG_RUN_STEP && !run_step(slot, back); i++)
		;
	return FORGET(s->cursor);
}

/* The next bytes of a host: up to eight, or behind an `@`. Returns 1 at its end, which is a blank or one of /?#, */
FUNCTION(int, authority_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position, place;
	__u64 word, stops;

	if (!s)
		return 1;
	position = FORGET(s->cursor);
	if (position >= FORGET(s->size))
		return 1;
	word = text_word(s, position, FORGET(s->size) - position);
	stops = bytes_below(word, ' ' + 1) | bytes_like(word, '#') | bytes_like(word, ',') | bytes_like(word, '/') |
		bytes_like(word, '?') | bytes_like(word, '@');
	FORGET(s->cursor) = position + 8;
	if (!stops)
		return 0;
	place = first_place(stops);
	FORGET(s->cursor) = position + place;
	if ((word >> (place * 8) & 0xff) != '@')
		return 1;
	FORGET(s->cursor) = FORGET(s->user) = position + place + 1;
	return 0;
}

/* Returns where a host ends, with its port. It may begin with a user: s->user is behind the last `@`. */
FUNCTION(__u32, authority_end, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return start;
	FORGET(s->cursor) = FORGET(s->user) = start;
	for (i = 0; i < EBG_HOST_STEPS && !authority_step(slot); i++)
		;
	return FORGET(s->cursor);
}

/* Returns where HTTP/x.y begins at the end of the line in front of `next`, or 0. */
FUNCTION(__u32, find_version, __u32 slot, __u32 next)
{
	struct scratch *s = scratch(slot);
	__u32 start, end;

	if (!s)
		return 0;
	end = run_end(slot, next - 1, RUN_BLANKS, 1);
	if (is_blank(byte_at(s, end - 1)))
		s->odd = 1; /* it may stand in front of so many blanks */
	start = run_end(slot, end, RUN_VERSION, 1) - 5;
	if (end < FORGET(s->base) + 6 || start + 5 == end || byte_at(s, start + 4) != '/')
		return 0;
	return ((word_at(s, start) << 16 | word_at(s, start + 2)) | 0x20202020) == 0x68747470 ? start : 0;
}

/* The host begins at `start`, behind a user and a password. */
static __always_inline void take_target(struct scratch *s, __u32 slot, __u32 start, __u32 port)
{
	authority_end(slot, start);
	FORGET(s->target) = FORGET(s->user);
	FORGET(s->port) = port;
}

/*
 * Looks for a host in a request's target: `CONNECT host:port`, or `GET http://host/`, as clients ask proxies. It goes
 * to s->target. Returns 1 where this can be a target at all, of whichever version of HTTP.
 */
FUNCTION(int, find_target, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	__u32 base, first, end;

	if (!s)
		return 0;
	base = FORGET(s->base);
	first = byte_at(s, start);
	if (word_at(s, base) == 0x434f && word_at(s, base + 2) == 0x4e4e && word_at(s, base + 4) == 0x4543 &&
	    byte_at(s, base + 6) == 'T' && is_blank(byte_at(s, base + 7))) {
		if (!is_token(first) && first != '[')
			return 0; /* NATS has such a command, and an object of JSON behind it */
		s->proxied = s->tunnel = 1;
		take_target(s, slot, start, 443);
		return 0;
	}
	if (first == '/' || first == '*')
		return first == '/';
	end = run_end(slot, start, RUN_TOKEN, 0);
	if (byte_at(s, end) != ':' || word_at(s, end + 1) != 0x2f2f)
		return 0;
	/* other schemes are spoken to the server itself, at its own port, as RTSP is */
	s->proxied = (first | 0x20) == 'h' || (first | 0x20) == 'f';
	take_target(s, slot, end + 3, (byte_at(s, end - 1) | 0x20) == 's' ? 443 : 80);
	return 1;
}

static __always_inline int is_capital(__u32 c)
{
	return c - 'A' < 26 || c == '-';
}

/* Three capital letters begin nearly every method; the second may be the hyphen of M-SEARCH. */
static __always_inline int has_capitals(struct scratch *s, __u32 position)
{
	return is_capital(byte_at(s, position)) && is_capital(byte_at(s, position + 1)) &&
	       is_capital(byte_at(s, position + 2));
}

/* Does the version come right behind the target? It is no request, but a line of a log, where more words come first. */
static __always_inline int is_third_word(struct scratch *s, __u32 slot, __u32 target, __u32 version)
{
	__u32 end = run_end(slot, target, RUN_WORD, 0);

	return !is_blank(byte_at(s, end)) || run_end(slot, end, RUN_BLANKS, 0) == version;
}

/* A first line that has no end yet. `words`: it has a blank in it, and something behind that. */
static __always_inline int unfinished_line(struct scratch *s, __u32 slot, __u32 target, int words)
{
	int sight;

	if (FORGET(s->binary) && !has_capitals(s, FORGET(s->base)))
		return SIGHT_NOTHING; /* git has 0 there; Python takes such bytes in a path */
	sight = want(s, FORGET(s->size) + 1);
	if (sight == SIGHT_PARTIAL)
		return sight;
	return words && (find_target(slot, target) || FORGET(s->target)) ? SIGHT_UNREADABLE : SIGHT_NOTHING;
}

/* Looks for the first line of a request at s->base. Returns where the next line begins, if there is one. */
FUNCTION(int, find_request, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, next, end, target, version;
	int usual;

	if (!s)
		return SIGHT_UNREADABLE;
	start = run_end(slot, FORGET(s->base), RUN_BLANKS, 0); /* servers skip empty lines */
	if (start >= FORGET(s->size))
		return want(s, start + 1);
	if (!is_token(byte_at(s, start)))
		return is_blank(byte_at(s, start)) ? SIGHT_UNREADABLE : SIGHT_NOTHING;
	FORGET(s->base) = start;
	next = next_line(slot, start);
	end = run_end(slot, start, RUN_TOKEN, 0);
	target = run_end(slot, end, RUN_BLANKS, 0);
	if (end == target && end < FORGET(s->size) && !is_token(byte_at(s, end)))
		return SIGHT_NOTHING; /* no blank ends the first word */
	if (!next)
		return unfinished_line(s, slot, target, target != end);
	if (target >= next)
		return SIGHT_NOTHING; /* a single word */
	version = find_version(slot, next);
	if (target == end || is_blank(byte_at(s, target)))
		return version ? SIGHT_UNREADABLE : SIGHT_NOTHING;
	usual = has_capitals(s, start);
	FORGET(s->versioned) = version && (usual || is_third_word(s, slot, target, version));
	return (find_target(slot, target) && usual) || FORGET(s->versioned) ? (int)next : SIGHT_NOTHING;
}

/* Is the header in the line at `line` the Host header, or would a server take it for that? */
static __always_inline void look_at_header(struct scratch *s, __u32 slot, __u32 line, __u32 next)
{
	__u32 start = line, c;

	if (!is_token(byte_at(s, line))) {
		if (line == FORGET(s->behind_host))
			s->odd = 1; /* the value of Host goes on */
		start = run_end(slot, line, RUN_JUNK, 0);
	}
	if (((word_at(s, start) << 16 | word_at(s, start + 2)) | 0x20202020) != 0x686f7374)
		return;
	c = byte_at(s, start + 4);
	if (is_token(c))
		return;
	if (c != ':' || start != line || FORGET(s->host))
		s->odd = 1;
	FORGET(s->host) = start + 5;
	FORGET(s->behind_host) = next;
}

/* Looks at the line at s->cursor, and moves the cursor to the next line. */
FUNCTION(int, host_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 line, next;

	if (!s)
		return SIGHT_UNREADABLE;
	line = FORGET(s->line);
	next = next_line(slot, line);
	if (!next)
		return SIGHT_PARTIAL;
	FORGET(s->line) = next;
	if (next - line == 1 || (next - line == 2 && byte_at(s, line) == '\r')) {
		FORGET(s->head) = next;
		return SIGHT_NOTHING;
	}
	if (FORGET(s->bare))
		s->odd = 1; /* a line for some servers, and not for others */
	look_at_header(s, slot, line, next);
	return SIGHT_FURTHER;
}

/* Finds the host in the value of the Host header. */
static __always_inline void find_host_value(struct scratch *s, __u32 slot)
{
	__u32 start = run_end(slot, FORGET(s->host), RUN_VALUE, 0), end, c;

	end = authority_end(slot, start);
	FORGET(s->host) = FORGET(s->user);
	c = byte_at(s, run_end(slot, end, RUN_VALUE, 0));
	if (c != '\r' && c != '\n')
		s->odd = 1; /* something stands behind the host */
}

/* Finds the Host header in the lines from `start` on. Returns the position of the name that counts first. */
FUNCTION(int, find_host, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->line) = start;
	FORGET(s->behind_host) = 0;
	for (i = 0; i < EBG_HTTP_LINES && sight == SIGHT_FURTHER; i++)
		sight = host_step(slot);
	if (FORGET(s->odd)) /* and some server may not wait for the rest */
		return SIGHT_UNREADABLE;
	if (sight == SIGHT_PARTIAL && !FORGET(s->versioned) && FORGET(s->target)) {
		FORGET(s->host) = 0; /* HTTP/0.9 has no headers, so a server answers now */
		return FORGET(s->target);
	}
	if (sight == SIGHT_PARTIAL)
		sight = want(s, FORGET(s->size) + 1);
	if (sight == SIGHT_PARTIAL)
		return sight;
	if (FORGET(s->host))
		find_host_value(s, slot);
	/* of a head that does not fit the memory, the name is what was found */
	else if (sight != SIGHT_NOTHING && !FORGET(s->tunnel) && FORGET(s->versioned))
		return SIGHT_UNREADABLE;
	return FORGET(s->odd) ? SIGHT_UNREADABLE : (int)(FORGET(s->target) ?: FORGET(s->host));
}

/* Looks for a request, and for the names in it: s->target, and s->host. */
static __always_inline int look_at_http(struct scratch *s, __u32 slot)
{
	int next = find_request(slot);

	if (next == SIGHT_NOTHING || next == SIGHT_PARTIAL) {
		s->proxied = s->tunnel = 0;
		return next;
	}
	s->kind = EBG_KIND_HTTP;
	s->strict = 0;
	if (next == SIGHT_UNREADABLE)
		return next;
	if (is_http2(s, FORGET(s->base)))
		return look_at_http2(slot);
	return find_host(slot, next);
}

#endif
