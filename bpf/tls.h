/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The server's name in a ClientHello of TLS. OpenSSL, GnuTLS, Go and Java take a hello that comes in several records,
 * with alerts and empty records around it. So the records are joined where one does not hold the hello.
 */
#ifndef EBG_TLS_H
#define EBG_TLS_H

#include "sight.h"

#define EBG_TLS_CHANGE_CIPHER_SPEC 0x14
#define EBG_TLS_HANDSHAKE 0x16 /* between the two: an alert */
#define EBG_TLS_RECORD 5       /* bytes of a record's header */
#define EBG_TLS_RECORDS 128    /* of a hello, that are looked at */
#define EBG_TLS_CLIENT_HELLO 1
#define EBG_TLS_LONGEST 0x20000 /* bytes of a hello: no server takes a longer one */
#define EBG_TLS_EXTENSIONS 64   /* of a ClientHello, that are looked at */

/* Does a record begin at `position` that may come in front of a ClientHello, or have it? */
static __always_inline int is_tls(struct scratch *s, __u32 position)
{
	__u32 type = byte_at(s, position);

	return type >= EBG_TLS_CHANGE_CIPHER_SPEC && type <= EBG_TLS_HANDSHAKE && byte_at(s, position + 1) == 3;
}

/* The length of the handshake's message at `position`, with its header. */
static __always_inline __u32 handshake_size(struct scratch *s, __u32 position)
{
	return (byte_at(s, position + 1) << 16 | word_at(s, position + 2)) + 4;
}

/*
 * Goes over the record at s->cursor. s->written counts the bytes of handshakes so far, and s->piece has the first four.
 * Returns 1 where the hello is whole, and its size is then in s->length.
 */
FUNCTION(int, record_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, length, needed, i;

	if (!s)
		return SIGHT_UNREADABLE;
	start = FORGET(s->cursor);
	if (!holds(s, start, EBG_TLS_RECORD))
		return want(s, start + EBG_TLS_RECORD);
	if (!is_tls(s, start))
		return SIGHT_UNREADABLE;
	length = word_at(s, start + 3);
	FORGET(s->cursor) = start + EBG_TLS_RECORD + length;
	if (byte_at(s, start) != EBG_TLS_HANDSHAKE)
		return SIGHT_FURTHER;
	start += EBG_TLS_RECORD;
	FORGET(s->left) = length; /* else the compiler counts to the lesser of both limits, and the verifier sees no end */
	for (i = 0; i < 4 && i < FORGET(s->left) && FORGET(s->written) < 4; i++) {
		if (!holds(s, start + i, 1))
			return want(s, start + i + 1);
		FORGET(s->piece) = FORGET(s->piece) << 8 | byte_at(s, start + i);
		FORGET(s->written) = FORGET(s->written) + 1;
	}
	length -= i;
	FORGET(s->written) = FORGET(s->written) + length;
	if (FORGET(s->written) < 4)
		return SIGHT_FURTHER;
	needed = (FORGET(s->piece) & 0xffffff) + 4;
	if (FORGET(s->piece) >> 24 != EBG_TLS_CLIENT_HELLO || needed > EBG_TLS_LONGEST)
		return SIGHT_UNREADABLE;
	FORGET(s->length) = needed;
	if (FORGET(s->written) < needed)
		return SIGHT_FURTHER;
	needed = FORGET(s->cursor) - (FORGET(s->written) - needed); /* where the hello ends */
	return needed > FORGET(s->size) ? want(s, needed) : 1;
}

/*
 * Copies a piece of the record at s->cursor, of which s->left bytes are left, behind what was copied. The copy never
 * overtakes the original, because each record had a header. Returns 1 at the hello's end.
 */
FUNCTION(int, join_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 cursor, left, copied;

	if (!s)
		return SIGHT_UNREADABLE;
	cursor = FORGET(s->cursor);
	left = FORGET(s->left);
	copied = FORGET(s->copied);
	if (!left) {
		left = word_at(s, cursor + 3);
		FORGET(s->cursor) = cursor + EBG_TLS_RECORD + left;
		if (byte_at(s, cursor) != EBG_TLS_HANDSHAKE)
			return 0;
		cursor += EBG_TLS_RECORD;
	}
	FORGET(s->piece) = left < EBG_NAME ? left : EBG_NAME - 1;
	FORGET(s->left) = left - FORGET(s->piece);
	FORGET(s->cursor) = cursor + FORGET(s->piece);
	left = BELOW(EBG_NAME, FORGET(s->piece));
	bpf_probe_read_kernel(s->message + BELOW(EBG_MESSAGE, FORGET(s->base) + copied), left,
			      s->message + BELOW(EBG_MESSAGE, cursor));
	FORGET(s->copied) = copied + left;
	return copied + left >= FORGET(s->length);
}

/* Finds a hello that is not the whole of the first record, and joins its records. The message changes only for that. */
FUNCTION(int, join_records, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->cursor) = FORGET(s->base);
	FORGET(s->written) = 0;
	FORGET(s->piece) = 0;
	for (i = 0; i < EBG_TLS_RECORDS && sight == SIGHT_FURTHER; i++)
		sight = record_step(slot);
	if (sight != 1)
		return sight == SIGHT_FURTHER ? SIGHT_UNREADABLE : sight;
	FORGET(s->cursor) = FORGET(s->base);
	FORGET(s->left) = 0;
	FORGET(s->copied) = 0;
	sight = 0;
	for (i = 0; i < EBG_TLS_RECORDS + EBG_MESSAGE / EBG_NAME + 1 && !sight; i++)
		sight = join_step(slot);
	FORGET(s->size) = FORGET(s->base) + FORGET(s->length);
	return sight == 1 ? SIGHT_FURTHER : SIGHT_UNREADABLE;
}

/* Finds the extensions in the ClientHello at `position`. They end at s->end. */
static __always_inline int find_extensions(struct scratch *s, __u32 position)
{
	__u32 end = position + handshake_size(s, position);

	position += 4 + 2 + 32; /* behind the header, the version and the random bytes */
	if (!holds(s, position, 1))
		return SIGHT_UNREADABLE;
	position += 1 + byte_at(s, position); /* session */
	if (!holds(s, position, 2))
		return SIGHT_UNREADABLE;
	position += 2 + word_at(s, position); /* ciphers */
	if (!holds(s, position, 1))
		return SIGHT_UNREADABLE;
	position += 1 + byte_at(s, position); /* compression */
	if (position >= end)
		return SIGHT_NOTHING;
	if (!holds(s, position, 2))
		return SIGHT_UNREADABLE;
	FORGET(s->end) = position + 2 + word_at(s, position);
	return position + 2;
}

/* Looks at the extension at s->cursor. A server's name goes to s->host and s->span: its position and its length. */
static __always_inline int look_at_extension(struct scratch *s)
{
	__u32 cursor = FORGET(s->cursor), size;

	if (cursor >= FORGET(s->end))
		return cursor == FORGET(s->end) ? SIGHT_NOTHING : SIGHT_UNREADABLE;
	if (!holds(s, cursor, 4)) /* a hello that does not fit the memory: what was found must do */
		return FORGET(s->host) && FORGET(s->size) == EBG_MESSAGE ? SIGHT_NOTHING : SIGHT_UNREADABLE;
	size = word_at(s, cursor + 2);
	FORGET(s->cursor) = cursor + 4 + size;
	if (word_at(s, cursor))
		return SIGHT_FURTHER;
	/* A list of names. No type of names but 0 was ever made, and nobody sends two: servers would not agree on one. */
	if (FORGET(s->host) || !holds(s, cursor, 9) || byte_at(s, cursor + 6))
		return SIGHT_UNREADABLE;
	FORGET(s->host) = cursor + 9;
	FORGET(s->span) = word_at(s, cursor + 7);
	if (size != FORGET(s->span) + 5 || word_at(s, cursor + 4) != FORGET(s->span) + 3)
		return SIGHT_UNREADABLE;
	return holds(s, cursor + 9, FORGET(s->span)) ? SIGHT_FURTHER : SIGHT_UNREADABLE;
}

#define EBG_EXTENSION_STEP 4

/* Looks at the next extensions: several, because a call takes longer than a look. */
FUNCTION(int, extension_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	for (i = 0; i < EBG_EXTENSION_STEP && sight == SIGHT_FURTHER; i++)
		sight = look_at_extension(s);
	return sight;
}

/* Finds the server's name in the ClientHello at `position`. */
FUNCTION(int, find_sni, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	int sight = SIGHT_FURTHER;
	__u32 i;

	if (!s)
		return SIGHT_UNREADABLE;
	FORGET(s->host) = 0;
	sight = find_extensions(s, position);
	if (sight <= 0)
		return sight;
	FORGET(s->cursor) = sight;
	sight = SIGHT_FURTHER;
	for (i = 0; i < EBG_TLS_EXTENSIONS / EBG_EXTENSION_STEP && sight == SIGHT_FURTHER; i++)
		sight = extension_step(slot);
	if (sight == SIGHT_NOTHING)
		return FORGET(s->host);
	return SIGHT_UNREADABLE;
}

/* Looks for a ClientHello in the records at s->base, and for the server's name in it. */
static __always_inline int look_at_tls(struct scratch *s, __u32 slot)
{
	__u32 base = FORGET(s->base), hello = base + EBG_TLS_RECORD;
	int sight;

	s->kind = EBG_KIND_TLS;
	s->strict = 1;
	if (holds(s, hello, 4) && byte_at(s, base) == EBG_TLS_HANDSHAKE && byte_at(s, hello) == EBG_TLS_CLIENT_HELLO &&
	    handshake_size(s, hello) <= word_at(s, base + 3)) {
		if (!holds(s, hello, handshake_size(s, hello)) && FORGET(s->size) < EBG_MESSAGE)
			return want(s, hello + handshake_size(s, hello));
		return find_sni(slot, hello);
	}
	sight = join_records(slot);
	return sight == SIGHT_FURTHER ? find_sni(slot, base) : sight;
}

#endif
