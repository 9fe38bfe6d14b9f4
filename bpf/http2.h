/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The name in the first request of HTTP/2 without TLS, as gRPC and etcd speak it. Its headers are packed (HPACK, RFC
 * 7541): fields with numbers for known names, and text in a Huffman code.
 */
#ifndef EBG_HTTP2_H
#define EBG_HTTP2_H

#include "sight.h"

#define EBG_H2_PREFACE 24
#define EBG_H2_FRAME 9 /* bytes of a frame's header */
#define EBG_H2_FRAMES 32 /* up to the first request's, that are looked at */
#define EBG_H2_LONGEST 16384 /* bytes of a frame, as long as the server has not allowed more */
#define EBG_H2_FIELDS 64 /* of the request, that are looked at */
#define EBG_H2_HEADERS 1
#define EBG_H2_END_HEADERS 4
#define EBG_H2_PADDED 8
#define EBG_H2_PRIORITY 0x20
#define EBG_H2_AUTHORITY 1 /* numbers of known names */
#define EBG_H2_HOST 38

/* Does the preface of HTTP/2 begin at `position`? It looks like a request: `PRI * HTTP/2.0`. */
static __always_inline int is_http2(struct scratch *s, __u32 position)
{
	return word_at(s, position) == 0x5052 && word_at(s, position + 2) == 0x4920 &&
	       word_at(s, position + 4) == 0x2a20 && byte_at(s, position + 11) == '2';
}

/* Goes over the frame at s->cursor. Returns 1 where it has the headers of a request: from s->cursor to s->end. */
FUNCTION(int, frame_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 cursor, length, flags;

	if (!s)
		return SIGHT_UNREADABLE;
	cursor = FORGET(s->cursor);
	if (!holds(s, cursor, EBG_H2_FRAME))
		return want(s, cursor + EBG_H2_FRAME);
	length = byte_at(s, cursor) << 16 | word_at(s, cursor + 1);
	flags = byte_at(s, cursor + 4);
	if (length > EBG_H2_LONGEST)
		return SIGHT_UNREADABLE;
	FORGET(s->end) = cursor + EBG_H2_FRAME + length;
	if (byte_at(s, cursor + 3) != EBG_H2_HEADERS) {
		FORGET(s->cursor) = FORGET(s->end);
		return SIGHT_FURTHER;
	}
	if (FORGET(s->end) > FORGET(s->size) && FORGET(s->size) < EBG_MESSAGE)
		return want(s, FORGET(s->end));
	cursor += EBG_H2_FRAME;
	if (flags & EBG_H2_PADDED)
		FORGET(s->end) = FORGET(s->end) - byte_at(s, cursor++);
	FORGET(s->cursor) = cursor + (flags & EBG_H2_PRIORITY ? 5 : 0);
	FORGET(s->whole) = flags & EBG_H2_END_HEADERS;
	return 1;
}

/* Reads the number at s->cursor, of which the first byte has the bits of `mask`, and goes behind it. */
FUNCTION(__u32, read_number, __u32 slot, __u32 mask)
{
	struct scratch *s = scratch(slot);
	__u32 cursor, number, i, byte;

	if (!s)
		return 0;
	cursor = FORGET(s->cursor);
	number = byte_at(s, cursor++) & mask;
	for (i = 0; i < 28 && number >= mask; i += 7) {
		byte = byte_at(s, cursor++);
		number += (byte & 0x7f) << i;
		if (!(byte & 0x80))
			break;
	}
	FORGET(s->cursor) = cursor;
	return number;
}

/* Is the name of a field that stands at `start` as text one that says where the request goes? */
static __always_inline int names_host(struct scratch *s, __u32 start, __u32 length, int huffman)
{
	if (huffman) /* the same in the code: `:` and `host` */
		return byte_at(s, start) >> 1 == 0x5c ||
		       (length == 3 && word_at(s, start) == 0x9ce8 && byte_at(s, start + 2) == 0x4f);
	return byte_at(s, start) == ':' ||
	       (length == 4 && word_at(s, start) == 0x686f && word_at(s, start + 2) == 0x7374);
}

/* Looks at the field at s->cursor. The position of the host goes to s->host, and its length to s->span. */
FUNCTION(int, field_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 first, number, length, known = 1, huffman;

	if (!s)
		return SIGHT_UNREADABLE;
	if (FORGET(s->cursor) >= FORGET(s->end) || FORGET(s->cursor) >= FORGET(s->size))
		return SIGHT_NOTHING;
	first = byte_at(s, FORGET(s->cursor));
	if (first & 0x80 || first >> 5 == 1) { /* a known field, or the size of a table */
		read_number(slot, first & 0x80 ? 0x7f : 0x1f);
		return SIGHT_FURTHER;
	}
	number = read_number(slot, first & 0x40 ? 0x3f : 0x0f);
	if (!number) {
		huffman = byte_at(s, FORGET(s->cursor)) >> 7;
		length = read_number(slot, 0x7f);
		known = !names_host(s, FORGET(s->cursor), length, huffman);
		FORGET(s->cursor) = FORGET(s->cursor) + length;
	}
	huffman = byte_at(s, FORGET(s->cursor)) >> 7;
	length = read_number(slot, 0x7f);
	if (number == EBG_H2_AUTHORITY || number == EBG_H2_HOST) {
		known = !FORGET(s->host) && length < EBG_NAME && holds(s, FORGET(s->cursor), length);
		FORGET(s->host) = FORGET(s->cursor);
		FORGET(s->span) = length;
		FORGET(s->huffman) = huffman;
	}
	FORGET(s->cursor) = FORGET(s->cursor) + length;
	return known ? SIGHT_FURTHER : SIGHT_UNREADABLE;
}

#define EBG_CHARACTERS(a, b, c, d, e, f, g, h)                                                             \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 | \
	 (__u64)(g) << 48 | (__u64)(h) << 56)
/* The next eight characters of the code, from `index` on. It is no table: BCC has no memory for one. */
#define EBG_FROM(index, from, word, ...)                            \
	do {                                                        \
		if (index >= (from))                                \
			word = EBG_CHARACTERS(__VA_ARGS__);         \
		barrier_var(word);                                  \
	} while (0)

/* The characters whose codes have up to eight bits, in the order of their codes. A host's are all among them. */
static __always_inline __u32 character(__u32 index)
{
	__u64 word = EBG_CHARACTERS('0', '1', '2', 'a', 'c', 'e', 'i', 'o');

	EBG_FROM(index, 8, word, 's', 't', ' ', '%', '-', '.', '/', '3');
	EBG_FROM(index, 16, word, '4', '5', '6', '7', '8', '9', '=', 'A');
	EBG_FROM(index, 24, word, '_', 'b', 'd', 'f', 'g', 'h', 'l', 'm');
	EBG_FROM(index, 32, word, 'n', 'p', 'r', 'u', ':', 'B', 'C', 'D');
	EBG_FROM(index, 40, word, 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L');
	EBG_FROM(index, 48, word, 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T');
	EBG_FROM(index, 56, word, 'U', 'V', 'W', 'Y', 'j', 'k', 'q', 'v');
	EBG_FROM(index, 64, word, 'w', 'x', 'y', 'z', '&', '*', ',', ';');
	EBG_FROM(index, 72, word, 'X', 'Z', 0, 0, 0, 0, 0, 0);
	return word >> (index % 8 * 8) & 0xff;
}

/*
 * Decodes a character of s->name at bit s->position, to the message. The codes of each length are numbers in a row.
 * Returns 1 at the end, and -1 for a code of more bits.
 */
FUNCTION(int, huffman_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position, code, index, bits, left;

	if (!s)
		return -1;
	position = FORGET(s->position);
	left = FORGET(s->left) - position;
	index = BELOW(EBG_NAME, position / 8);
	code = ((__u32)s->name[index] << 8 | s->name[index + 1]) >> (8 - position % 8) & 0xff;
	if (left < 8)
		code |= 0xff >> left; /* bits of 1 fill the last byte */
	if (code == 0xff)
		return left < 8 ? 1 : -1;
	bits = code < 0x50 ? 5 : code < 0xb8 ? 6 : code < 0xf8 ? 7 : 8;
	index = (code >> (8 - bits)) - (bits == 5 ? 0 : bits == 6 ? 0x14 - 10 : bits == 7 ? 0x5c - 36 : 0xf8 - 68);
	if (bits > left || code == 0xfe)
		return -1;
	position += bits;
	FORGET(s->position) = position;
	s->message[BELOW(EBG_MESSAGE, FORGET(s->host) + FORGET(s->written))] = character(index);
	FORGET(s->written) = FORGET(s->written) + 1;
	return 0;
}

/* Decodes the host that was found, to the front of the message. */
FUNCTION(int, decode_host, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int end = 0;
	__u32 i, length;

	if (!s)
		return SIGHT_UNREADABLE;
	length = BELOW(EBG_NAME, FORGET(s->span));
	bpf_probe_read_kernel(s->name, length, s->message + BELOW(EBG_MESSAGE, FORGET(s->host)));
	if (s->name[0] == 0xff && s->name[1] >> 3 == 0x1b)
		return SIGHT_NOTHING; /* it begins with `[`: an IPv6 address */
	FORGET(s->left) = length * 8;
	FORGET(s->position) = 0;
	FORGET(s->written) = 0;
	FORGET(s->host) = 1;
	for (i = 0; i < EBG_NAME && !end; i++)
		end = huffman_step(slot);
	FORGET(s->span) = FORGET(s->written);
	if (FORGET(s->size) < EBG_NAME + 1)
		FORGET(s->size) = EBG_NAME + 1;
	return end == 1 ? (int)FORGET(s->host) : SIGHT_UNREADABLE;
}

/* Finds the host in the fields from s->cursor on. */
FUNCTION(int, find_authority, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	for (i = 0; i < EBG_H2_FIELDS && sight == SIGHT_FURTHER; i++)
		sight = field_step(slot);
	if (sight == SIGHT_UNREADABLE)
		return sight;
	if (!FORGET(s->host)) /* it may come in a frame behind this one, or behind what was read */
		return sight == SIGHT_NOTHING && FORGET(s->whole) && FORGET(s->end) <= FORGET(s->size) ? SIGHT_NOTHING :
											       SIGHT_UNREADABLE;
	return FORGET(s->huffman) ? decode_host(slot) : FORGET(s->host);
}

/* Looks for the first request behind the preface at s->base, and for the host in it. */
FUNCTION(int, look_at_http2, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->cursor) = FORGET(s->base) + EBG_H2_PREFACE;
	for (i = 0; i < EBG_H2_FRAMES && sight == SIGHT_FURTHER; i++)
		sight = frame_step(slot);
	if (sight != 1)
		return sight == SIGHT_FURTHER ? SIGHT_UNREADABLE : sight;
	return find_authority(slot);
}

#endif
