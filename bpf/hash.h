/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The hash of names and paths, eight bytes at a time. module_utils/_names.py and _kernel/paths.py make the same. */
#ifndef EBG_HASH_H
#define EBG_HASH_H

#include "abi.h"
#include "kernel.h"

#define EBG_HASH_SEED ((__u64)EBG_HASH_SEED_HIGH << 32 | EBG_HASH_SEED_LOW)
#define EBG_HASH_PRIME ((__u64)EBG_HASH_PRIME_HIGH << 32 | EBG_HASH_PRIME_LOW)

static __always_inline __u64 mixed(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * EBG_HASH_PRIME;
	return hash ^ hash >> 32;
}

#endif
