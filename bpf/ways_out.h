/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Ways out: unix sockets whose listener acts outside the guard, files that others read to act, and other cgroups.
 *
 * The tables have the sockets of the policy's rules, and the sockets and files that are known to lead out. An access to
 * one of these is recorded in every mode, by path and program. Nothing else is recorded, because a deployment talks to
 * many sockets.
 */
#ifndef EBG_WAYS_OUT_H
#define EBG_WAYS_OUT_H

#include "path.h"
#include "record.h"

#define EBG_ADDRESS 108 /* bytes of a unix socket's address, without the family */

/* Spells the slot's name, which is a text up to its 0, with `front` before it. */
static __always_inline void spell_text(struct scratch *s, __u8 front)
{
	__u32 length, cursor;

	for (length = 0; length < EBG_ADDRESS; length++)
		if (!s->name[length])
			break;
	FORGET(s->length) = length; /* so that the verifier follows one length, not each */
	length = FORGET(s->length);
	cursor = EBG_MESSAGE - length;
	bpf_probe_read_kernel(s->message + BELOW(EBG_MESSAGE, cursor), BELOW(128, length), s->name);
	if (front) {
		cursor--;
		s->message[BELOW(EBG_MESSAGE, cursor)] = front;
	}
	FORGET(s->cursor) = cursor;
}

/*
 * Makes the address of a unix socket the slot's name. It has `length` bytes behind the family. Returns its first byte,
 * or '@' for the name of a socket without a file.
 */
static __always_inline __u8 take_address(struct scratch *s, const void *address, __u32 length)
{
	__u8 first = 0;

	__builtin_memset(s->name, 0, sizeof(s->name));
	if (length - 1 >= EBG_ADDRESS || bpf_probe_read_kernel(&first, 1, address) < 0)
		return 0;
	if (!first) { /* a name without a file: spelled as people write it */
		address++;
		length--;
	}
	bpf_probe_read_kernel(s->name, BELOW(128, length), address);
	return first ? first : '@';
}

/* Keeps programs apart that ask the same socket, because the program shows the purpose (systemctl, systemd-run). */
static __always_inline __u64 with_program(__u64 hash)
{
	__u64 comm[2] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	return mixed(mixed(hash, comm[0]), comm[1]);
}

/* Where the part of the spelled path begins that ends before `end`: behind its slash. */
FUNCTION(__u32, part_start, __u32 slot, __u32 end)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return end;
	for (i = 0; i < EBG_ADDRESS && end > FORGET(s->cursor) && byte_at(s, end - 1) != '/'; i++)
		end--;
	return end;
}

/* The ruling over the spelled path from `start` on. */
FUNCTION(__u64, ruling_from, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	__u32 cursor;
	__u64 hash;

	if (!s)
		return 0;
	cursor = FORGET(s->cursor);
	if (start < cursor || start >= EBG_MESSAGE)
		return 0;
	FORGET(s->cursor) = start;
	hash = spelled_hash(slot);
	FORGET(s->cursor) = cursor;
	return judge_file_rule(bpf_map_lookup_elem(MAP(ebg_paths), &hash));
}

/*
 * The ruling over a path that is in no table as a whole: by its last part, its last two, or the program that asks. The
 * table has these for sockets that lie in a directory of each user, and for programs that put theirs where they are told.
 */
static __always_inline __u64 ruling_by_ending(__u32 slot)
{
	__u32 last = part_start(slot, EBG_MESSAGE);
	__u64 program = with_program(EBG_HASH_SEED);

	return ruling_from(slot, last) ?: ruling_from(slot, part_start(slot, last - 1)) ?:
	       judge_file_rule(bpf_map_lookup_elem(MAP(ebg_paths), &program));
}

/*
 * Counts and records a way out whose path is spelled in the slot, and answers as a security hook does. `ruling`: the
 * one over its inode.
 */
FUNCTION(int, settle_way_out, __u32 hook, __u32 slot, __u64 ruling)
{
	const struct ebg_config *config = configuration();
	struct access access = { .hook = hook, .to.kind = EBG_KIND_UNIX, .outward = 1 };
	struct scratch *s = scratch(slot);
	__u64 hash = 0;

	if (!config || !s)
		return -EBG_EACCES;
	if (FORGET(s->cursor) < EBG_MESSAGE) {
		hash = spelled_hash(slot);
		ruling = stricter(ruling, judge_file_rule(bpf_map_lookup_elem(MAP(ebg_paths), &hash))) ?:
			 ruling_by_ending(slot);
	}
	access.it = judgement_of(ruling);
	if (access.it.rule == EBG_RULE_SERVICE) { /* is in the table only where the mode denies */
		count(EBG_COUNTER_SERVICE);
		return -EBG_EACCES;
	}
	if (!ruling) {
		count(EBG_KIND_UNIX * EBG_VERDICTS + EBG_VERDICT_ALLOWED);
		return 0;
	}
	keep_path(s);
	access.name = s->name;
	access.name_hash = with_program(hash);
	return settle(config, &access) == EBG_PASS ? 0 : -EBG_EACCES;
}

/* Denies a way out that can't be read, because no slot is free. */
static __always_inline int settle_unread_way_out(enum ebg_hook hook)
{
	const struct ebg_config *config = configuration();
	struct access access = { .hook = hook, .to.kind = EBG_KIND_UNIX, .it = judge_unreadable() };

	return config && settle(config, &access) == EBG_PASS ? 0 : -EBG_EACCES;
}

#endif
