/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* DNS: the name that a question asks for, who asks for it, and which answers are waited for. */
#ifndef EBG_DNS_H
#define EBG_DNS_H

#include "address.h"
#include "outage.h"
#include "recent_names.h"
#include "record.h"

#define EBG_DNS_HEADER 12

#define EBG_ASKED_TICKS 8 /* for so long a note is not made again: soon enough to stay among the latest */

/* Notes that this process asked for the name. First the quick looks: to find out whether the question is its own takes longer. */
static __always_inline void note_question(struct scratch *s, __u64 socket_cgroup)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct ebg_asked asked = { .name = s->hash, .pid = BPF_CORE_READ(task, tgid) };
	__u32 index = FORGET(s->kept_in), now = ticks();
	struct recent_names *names = bpf_map_lookup_elem(MAP(ebg_recent_name), &index);
	struct recent_name *name;
	__u8 yes = 1;

	if (!names)
		return; /* never: it is an array, and the index is in it */
	name = &names->name[BELOW(EBG_ALIKE, FORGET(s->kept_at))];
	if (name->hash == asked.name && (__u32)name->asked == asked.pid && now - (name->asked >> 32) < EBG_ASKED_TICKS)
		return;
	if (name->hash == asked.name)
		name->asked = (__u64)now << 32 | asked.pid;
	if (bpf_map_lookup_elem(MAP(ebg_asked), &asked))
		return;
	if (!sender(socket_cgroup))
		asked.pid = 0;
	bpf_map_update_elem(MAP(ebg_asked), &asked, &yes, BPF_ANY);
}

/*
 * Reads the question of the DNS message at `start`, and finds the rules for its name. Returns the position behind the
 * name, or -1 where it can't be read. A message must not have more than one question (RFC 9619), and a question's name
 * has no reason to point elsewhere: neither is read.
 */
FUNCTION(int, read_question, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	int end = -1;

	if (!s)
		return -1;
	if (holds(s, start, EBG_DNS_HEADER) && word_at(s, start + 4) == 1)
		end = read_and_find(slot, s, start + EBG_DNS_HEADER);
	if (end < 0) {
		begin_name(s); /* half a name would be another name */
		FORGET(s->hash) = 0;
	}
	return end;
}

/* Of the question that was read at `start`: in the upper 40 bits what it is known by, and all bits find its set. */
static __always_inline __u64 question_hash(struct scratch *s, __u32 start)
{
	return mixed(FORGET(s->hash), word_at(s, start)) * EBG_HASH_PRIME;
}

#define EBG_PENDING_TICKS 32 /* in which an answer can come */
#define EBG_TICK_MASK 0xffffff

static __always_inline struct ebg_pending *pending_set(__u64 hash)
{
	__u32 index = hash & (EBG_MAX_PENDING - 1);

	return bpf_map_lookup_elem(MAP(ebg_pending), &index);
}

/* Remembers that the question at `start` leaves. The latest of a set comes first. */
FUNCTION(int, expect_answer, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	struct ebg_pending *set;
	__u64 hash;
	int i;

	if (!s)
		return 0;
	hash = question_hash(s, start);
	set = pending_set(hash);
	if (!set)
		return 0;
#pragma unroll
	for (i = EBG_PENDING - 1; i > 0; i--)
		set->question[i] = set->question[i - 1];
	set->question[0] = (hash & ~(__u64)EBG_TICK_MASK) | (ticks() & EBG_TICK_MASK);
	return 0;
}

/* Did somebody inside ask for what this answers? */
FUNCTION(int, was_asked, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i, asked = 0, now = ticks();
	struct ebg_pending *set;
	__u64 hash;

	if (!s)
		return 0;
	hash = question_hash(s, 0);
	set = pending_set(hash);
	if (!set)
		return 0;
#pragma unroll
	for (i = 0; i < EBG_PENDING; i++) {
		__u64 question = FORGET(set->question[i]);

		asked |= !((question ^ hash) & ~(__u64)EBG_TICK_MASK) &&
			 ((now - question) & EBG_TICK_MASK) <= EBG_PENDING_TICKS;
	}
	return asked;
}

/*
 * Asks for the verdict over the question that was read, of the DNS message at `start`. `end`: as read_question()
 * returned it.
 */
static __always_inline void take_question(const struct ebg_config *config, struct scratch *s, __u32 start, int end,
					  struct access *access)
{
	if (end < 0) {
		access->it = judge_unreadable_name(config);
		return;
	}
	access->it = judge_question(config, &s->found);
	if (access->it.deny && outage_of(config, &access->it) == EBG_OUTAGE_REFUSED)
		access->it = judge_found_name();
	access->name = s->name;
	access->name_hash = s->hash;
	note_question(s, access->socket_cgroup);
	if (!refuses(config, &access->it))
		expect_answer(FORGET(s->slot), start);
}

#endif
