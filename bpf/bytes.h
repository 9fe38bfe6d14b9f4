/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Eight bytes of a text at a time. In a result, the highest bit of a byte stands for that byte. */
#ifndef EBG_BYTES_H
#define EBG_BYTES_H

#include "abi.h"
#include "kernel.h"

#define EBG_EIGHT(c) ((__u64)(c) * 0x0101010101010101ULL) /* eight times this byte */
#define EBG_HIGHEST EBG_EIGHT(0x80)

/* The bytes that are 0. Behind such a byte, a byte of 1 may count as 0, too. */
static __always_inline __u64 zero_bytes(__u64 word)
{
	return (word - EBG_EIGHT(1)) & ~word & EBG_HIGHEST;
}

/* The bytes that are `c`. Behind such a byte, others may count, too. */
static __always_inline __u64 bytes_like(__u64 word, __u8 c)
{
	return zero_bytes(word ^ EBG_EIGHT(c));
}

/* The bytes from `c` on, of those below 128. `c`: 128 at most. */
static __always_inline __u64 bytes_from(__u64 word, __u8 c)
{
	return ((word | EBG_HIGHEST) - EBG_EIGHT(c)) & ~word & EBG_HIGHEST;
}

static __always_inline __u64 bytes_below(__u64 word, __u8 c)
{
	return ~((word | EBG_HIGHEST) - EBG_EIGHT(c)) & ~word & EBG_HIGHEST;
}

/* All bits in front of the first byte of a result; all that there are, where it has none. */
static __always_inline __u64 bits_before(__u64 found)
{
	return (found & -found) - 1;
}

/* The place of the first byte of a result, which has one. */
static __always_inline __u32 first_place(__u64 found)
{
	return ((found & -found) >> 7) * 0x0001020304050607ULL >> 56;
}

/* In lower case. */
static __always_inline __u64 lower(__u64 word)
{
	return word | (bytes_from(word, 'A') & ~bytes_from(word, 'Z' + 1)) >> 2;
}

#endif
