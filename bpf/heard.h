/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* What a DNS answer says: the addresses and the names to which the name leads that was asked for. */
#ifndef EBG_HEARD_H
#define EBG_HEARD_H

#include "dns.h"
#include "leads.h"
#include "recent_answers.h"

#define EBG_RECORDS 256 /* of an answer that are read: more do not fit the message */
/* An address is used a while after it was asked for, also where the answer says that it must not be kept. In seconds. */
#define EBG_LEAST_TTL 60
#define EBG_LEAST_ALLOWED 600 /* of a name that nothing denies */
#define EBG_TYPE_A 1
#define EBG_TYPE_CNAME 5
#define EBG_TYPE_AAAA 28

/* Is it an address that every host has? It says nothing of where a name is: resolvers that block names answer so. */
static __always_inline int is_here(const __u8 *address)
{
	__u32 words[4];

	__builtin_memcpy(words, address, sizeof(words));
	if (words[0] | words[1])
		return 0;
	if (words[2] == bpf_htonl(0xffff))
		return words[3] == bpf_htonl(0x7f000001) || !words[3]; /* 127.0.0.1, 0.0.0.0 */
	return !words[2] && bpf_ntohl(words[3]) <= 1; /* ::1, :: */
}

enum record_result {
	RECORD_READ = 0,
	RECORD_UNREADABLE = -1, /* and the records behind it can't be found */
	RECORD_LOST = -2,       /* a rule denies its name, and there was no room to keep it */
};

/* Keeps the question's name for the ledger, before another name is read over it. */
static __always_inline void introduce(struct scratch *s)
{
	if (FORGET(s->introduced))
		return;
	__builtin_memcpy(s->heard.name, s->name, sizeof(s->name));
	__builtin_memset(s->heard.target, 0, sizeof(s->heard.target));
	FORGET(s->target_size) = 1;
	FORGET(s->introduced) = 1;
}

/* Is this pair what the ledger has by its hash? Then to write a time is enough, and cheaper than to write two names. */
static __always_inline int is_known(struct scratch *s, const struct ebg_heard *known)
{
	__u32 size = FORGET(s->question_size);

	if (known->doubted != s->heard.doubted)
		return 0;
	if (!FORGET(s->introduced))
		return !known->target[0] && same_name(s, known->name, s->name, size);
	return same_name(s, known->name, s->heard.name, size) &&
	       same_name(s, known->target, s->heard.target, FORGET(s->target_size));
}

/* The lead that the record gives. */
static __always_inline lead_t lead_here(struct scratch *s, __u64 now)
{
	__u64 least = now + (__u64)EBG_LEAST_ALLOWED * 1000000000;

	if (FORGET(s->source) == EBG_SOURCE_PACKET && s->decided.slice.count && !s->decided.denies &&
	    s->heard.until < least)
		s->heard.until = least;
	return lead_of(&s->decided, s->heard.until, s->heard.doubted);
}

/* Could this lead make nothing denied, and is it not believed? Then it is none. */
static __always_inline int leads_nowhere(struct scratch *s)
{
	return s->heard.doubted && !s->decided.denies;
}

/* Keeps for the ledger that the question's name leads to this address. */
FUNCTION(int, keep_pair, __u32 slot, __u64 high, __u64 low, __u64 now)
{
	struct scratch *s = scratch(slot);
	struct ebg_heard_key key = {};
	struct ebg_heard *known;

	if (!s)
		return -1;
	__builtin_memcpy(key.address, &high, sizeof(high));
	__builtin_memcpy(key.address + 8, &low, sizeof(low));
	key.name = s->question;
	known = bpf_map_lookup_elem(MAP(ebg_heard), &key);
	if (known && s->heard.doubted && !known->doubted && known->until > now)
		return 0; /* the host's resolvers know better */
	if (known && is_known(s, known)) {
		known->until = s->heard.until;
		return 0;
	}
	introduce(s);
	if (bpf_map_update_elem(MAP(ebg_heard), &key, &s->heard, BPF_ANY) < 0)
		count(EBG_COUNTER_LOST);
	return 0;
}

/* Keeps the address of an A or AAAA record, whose data is at `position`. */
FUNCTION(int, read_address, __u32 slot, __u32 position, __u32 length, __u64 now)
{
	struct scratch *s = scratch(slot);
	__u64 words[2] = { 0, bpf_htonl(0xffff) };
	int room;

	if (!s || !holds(s, position, length))
		return RECORD_UNREADABLE;
	position = BELOW(EBG_MESSAGE, position);
	if (length == 4)
		__builtin_memcpy((__u8 *)words + 12, s->message + position, 4);
	else
		__builtin_memcpy(words, s->message + position, sizeof(words));
	if (is_here((__u8 *)words))
		return RECORD_READ;
	room = leads_nowhere(s) ? 0 : add_lead(words[0], words[1], lead_here(s, now), now >> EBG_TICK_BITS);
	keep_pair(slot, words[0], words[1], now);
	return room < 0 ? RECORD_LOST : RECORD_READ;
}

/*
 * Keeps the name to which a CNAME record leads. Several names can stand between the question and the addresses: the
 * first that has rules decides.
 */
FUNCTION(int, read_alias, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	struct ebg_alias *known;
	lead_t lead;

	if (!s)
		return RECORD_UNREADABLE;
	introduce(s);
	if (read_wire_name(slot, position, 1) < 0)
		return RECORD_UNREADABLE;
	find_rules(slot);
	__builtin_memcpy(s->heard.target, s->name, sizeof(s->name));
	FORGET(s->target_size) = FORGET(s->written) + 1;
	if (!s->found.slice.count)
		return RECORD_READ;
	s->decided = s->found;
	if (leads_nowhere(s))
		return RECORD_READ;
	lead = lead_here(s, bpf_ktime_get_ns());
	known = bpf_map_lookup_elem(MAP(ebg_aliases), &s->question);
	if (known && same_name(s, known->name, s->heard.name, FORGET(s->question_size))) {
		/* the host's resolvers know better */
		if (!s->heard.doubted || known->lead & EBG_LEAD_DOUBTED || known->lead >> 32 < ticks())
			known->lead = lead;
		return RECORD_READ;
	}
	if (known && known->lead >> 32 >= ticks())
		return RECORD_LOST; /* another alias has this hash, and its place */
	s->alias.lead = lead;
	__builtin_memcpy(s->alias.name, s->heard.name, sizeof(s->alias.name));
	if (bpf_map_update_elem(MAP(ebg_aliases), &s->question, &s->alias, BPF_ANY) < 0 && forget_lead(lead) < 0)
		return RECORD_LOST;
	return RECORD_READ;
}

/* Until when a record holds. What Python teaches with 0 seconds is over: it was heard under earlier rules. */
static __always_inline __u64 until_of(struct scratch *s, __u64 ttl, __u64 now)
{
	if (FORGET(s->source) != EBG_SOURCE_PACKET)
		return ttl ? now + ttl * 1000000000 : 0;
	return now + (ttl > EBG_LEAST_TTL ? ttl : EBG_LEAST_TTL) * 1000000000;
}

/* Reads the record at s->cursor, and moves the cursor behind it. */
FUNCTION(int, read_record, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u64 ttl, now = bpf_ktime_get_ns();
	__u32 type, length;
	int position;

	if (!s)
		return RECORD_UNREADABLE;
	position = FORGET(s->cursor);
	if (holds(s, position, 2) && word_at(s, position) == (0xc000 | EBG_DNS_HEADER)) {
		position += 2; /* a pointer to the question's name, which has been read */
	} else {
		introduce(s);
		position = read_wire_name(slot, position, 1);
	}
	if (position < 0 || !holds(s, position, 10))
		return RECORD_UNREADABLE;
	type = word_at(s, position);
	ttl = (__u64)word_at(s, position + 4) << 16 | word_at(s, position + 6);
	length = word_at(s, position + 8);
	position += 10;
	FORGET(s->cursor) = position + length;
	s->heard.until = until_of(s, ttl, now);
	if (type == EBG_TYPE_CNAME && !s->decided.slice.count)
		return read_alias(slot, position);
	if ((type == EBG_TYPE_A && length == 4) || (type == EBG_TYPE_AAAA && length == 16))
		return read_address(slot, position, length, now);
	return RECORD_READ;
}

#define EBG_RECORD_RUN 16

/* Reads some records, from one with this number on. Returns 0 where more may follow, 1 at the end, or what stops it. */
FUNCTION(int, read_records, __u32 slot, __u32 first, __u32 records)
{
	__u32 i;

	for (i = 0; i < EBG_RECORD_RUN; i++) {
		int result;

		if (first + i >= records)
			return 1;
		result = read_record(slot);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Reads the records at s->cursor, unless the same were read a moment ago. Returns what stopped it, if not their end. */
FUNCTION(int, read_all_records, __u32 slot, __u32 records)
{
	struct scratch *s = scratch(slot);
	struct recent_answer *recent;
	__u32 start, size, form, i;
	__u64 now = about_now();
	int result = 0;

	if (!s)
		return RECORD_UNREADABLE;
	start = FORGET(s->cursor);
	if (start > FORGET(s->size))
		return RECORD_UNREADABLE;
	size = FORGET(s->size) - start;
	form = size << 16 | records;
	recent = place_of_answer(s, start, size);
	if (recent && is_repeated(s, recent, start, size, form, now))
		return 0;
	for (i = 0; i < EBG_RECORDS && !result; i += EBG_RECORD_RUN)
		result = read_records(slot, i, records);
	if (recent && result > 0)
		keep_answer(s, recent, start, size, form, now);
	return result;
}

/* Notes who says what is read next. `taught`: of what Python teaches, which no packet from anywhere can have. */
static __always_inline void note_source(struct scratch *s, const struct ebg_config *config, const __u8 *from,
					__u32 taught)
{
	__u64 words[2];

	__builtin_memcpy(words, from, sizeof(words));
	FORGET(s->source) = taught;
	FORGET(s->from_resolver) = is_resolver(config, words, EBG_DNS_PORT);
}

/* Keeps which addresses the answer has for its name. Returns -1 where some could not be kept: it must not arrive. */
static __always_inline int read_answer(struct scratch *s)
{
	__u32 slot = FORGET(s->slot), records;
	int position;

	if (!holds(s, 0, EBG_DNS_HEADER) || !(byte_at(s, 2) & 0x80))
		return 0;
	records = word_at(s, 6);
	position = read_question(slot, 0);
	if (position < 0 || !records)
		return 0;
	if (s->found.asked_rule == EBG_RULE_CANARY) {
		count(EBG_COUNTER_CANARY + EBG_HOOK_INGRESS);
		return 0;
	}
	s->question = s->hash;
	FORGET(s->question_size) = position - EBG_DNS_HEADER;
	s->decided = s->found;
	s->heard.doubted = !is_believed(FORGET(s->source), FORGET(s->from_resolver), was_asked(slot));
	FORGET(s->introduced) = 0;
	FORGET(s->cursor) = position + 4;
	return read_all_records(slot, records) == RECORD_LOST ? -1 : 0;
}

#endif
