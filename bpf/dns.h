/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* DNS: the name that a question asks for, and the names and addresses of an answer. */
#ifndef EBG_DNS_H
#define EBG_DNS_H

#include "address.h"
#include "name.h"
#include "outage.h"
#include "record.h"

#define EBG_DNS_HEADER 12
#define EBG_RECORDS 256 /* of an answer that are read: more do not fit the message */
/* An address is used a while after it was asked for, also where the answer says that it must not be kept. In seconds. */
#define EBG_LEAST_TTL 60
#define EBG_LEAST_ALLOWED 600 /* of a name that nothing denies */
#define EBG_TYPE_A 1
#define EBG_TYPE_CNAME 5
#define EBG_TYPE_AAAA 28

/* Is [position, position + length) inside the message that was loaded? */
static __always_inline int holds(struct scratch *s, __u32 position, __u32 length)
{
	__u32 size = FORGET(s->size);

	return position < EBG_MESSAGE && position + length <= size && size <= EBG_MESSAGE;
}

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

/* Notes who says what is read next. `taught`: of what Python teaches, which no packet from anywhere can have. */
static __always_inline void note_source(struct scratch *s, const struct ebg_config *config, const __u8 *from,
					__u32 taught)
{
	__u64 words[2];

	__builtin_memcpy(words, from, sizeof(words));
	FORGET(s->source) = taught;
	FORGET(s->from_resolver) = is_resolver(config, words, EBG_DNS_PORT);
}

/* The set for an address; it is made where it is not there. */
static __always_inline struct leads *make_leads(const __u64 *address)
{
	__u32 index = hash_of(address) >> (64 - EBG_LEADS_BITS);
	struct leads *leads = leads_of(address);
	const void *zeros = leads ? NULL : blank();

	if (leads || !zeros)
		return leads;
	bpf_map_update_elem(MAP(ebg_addresses), &index, zeros, BPF_NOEXIST);
	return leads_of(address);
}

#define EBG_RANK_SHIFT 32

enum rank {
	RANK_OVER,
	RANK_PLAIN,  /* of a name without rules */
	RANK_ALLOWS, /* nothing is denied because of it */
	RANK_DENIES,
};

/* 1 where the number is the smaller one, else 0; both below 2^63. Without a branch, see below. */
static __always_inline __u64 is_less(__u64 number, __u64 other)
{
	__u64 less = (number - other) >> 63;

	barrier_var(less);
	return less;
}

/*
 * Where a set is full, the lead of the least worth gives way: first one that holds no more; then one of a name without
 * rules; then one that does not deny, the sooner it ends. To forget one of these makes nothing allowed. It is reckoned
 * without a branch: the verifier would follow each way for all that came before it.
 */
static __always_inline __u64 worth_of(lead_t lead, __u32 now)
{
	__u64 until = lead >> 32, holds = is_less(until, now) ^ 1;
	__u64 has_rules = is_less(0, lead & EBG_LEAD_COUNT), denies = is_less(0, lead & EBG_LEAD_DENIES);
	__u64 doubted = is_less(0, lead & EBG_LEAD_DOUBTED);
	__u64 rank = RANK_PLAIN + has_rules + (denies & ~doubted);

	return (rank << EBG_RANK_SHIFT & -holds) | (until & -(holds | (has_rules & ~denies)));
}

#define EBG_CHOSEN_SHIFT 8 /* of what choose_way() returns: the worth and 1, or 0 for the lead itself, above the index */

/* Returns the way for a lead: the one that it has, or the one that has to give way, see above. */
static __always_inline __u64 choose_way(struct leads *leads, const __u64 *address, lead_t lead, __u32 now)
{
	__u32 i;

	FORGET(leads->chosen) = ~0ULL;
	for (i = 0; i < EBG_WAYS; i++) {
		const struct known_lead *way = &leads->way[i];
		__u64 differs = (way->address[0] ^ address[0]) | (way->address[1] ^ address[1]) |
				((__u32)(way->lead ^ lead) & ~EBG_LEAD_DOUBTED);
		__u64 other = (differs | -differs) >> 63, worth;

		barrier_var(other);
		worth = ((worth_of(way->lead, now) + 1) << EBG_CHOSEN_SHIFT & -other) | i;
		if (worth < FORGET(leads->chosen))
			FORGET(leads->chosen) = worth;
	}
	return FORGET(leads->chosen);
}

/*
 * The lead that a way has from now on, of the same slice as before. The host's resolvers know better than others, and
 * what holds longer counts.
 */
static __always_inline lead_t joined(lead_t known, lead_t lead, __u32 now)
{
	if (lead & EBG_LEAD_DOUBTED & ~known && known >> 32 >= now)
		return known;
	return (__u32)known == (__u32)lead && known > lead ? known : lead;
}

/* What follows from a lead that gave way, or found no room. */
static __always_inline int forget_lead(lead_t lead)
{
	if (lead & EBG_LEAD_COUNT)
		count(EBG_COUNTER_FORGOTTEN);
	return lead & EBG_LEAD_DENIES ? -1 : 0;
}

/*
 * Adds a lead to an address; -1 where it denies and there is no room. A lead that only holds longer is no change: a
 * verdict that is kept ends with the first of its leads anyway. One that is about to end, or has ended, is a change.
 */
FUNCTION(int, add_lead, __u64 high, __u64 low, __u64 lead, __u32 now)
{
	__u64 words[2] = { high, low }, gone[2], chosen, worth, known;
	struct leads *leads = make_leads(words);
	__u32 rank, same;
	struct known_lead *way;

	if (!leads)
		return forget_lead(lead);
	bpf_spin_lock(&leads->lock);
	chosen = choose_way(leads, words, lead, now);
	way = &leads->way[BELOW(EBG_WAYS, chosen)];
	known = way->lead;
	worth = chosen >> EBG_CHOSEN_SHIFT;
	same = !worth;
	rank = (worth - 1) >> EBG_RANK_SHIFT;
	if (!same && (rank == RANK_DENIES || worth_of(lead, now) >> EBG_RANK_SHIFT < rank)) {
		bpf_spin_unlock(&leads->lock);
		return forget_lead(lead);
	}
	if (same)
		lead = joined(known, lead, now);
	gone[0] = way->address[0];
	gone[1] = way->address[1];
	way->address[0] = high;
	way->address[1] = low;
	way->lead = lead;
	bpf_spin_unlock(&leads->lock);
	if (!same || (__u32)(known ^ lead) || known >> 32 < now + 2)
		count_change(words);
	if (!same && rank) { /* it held */
		count_change(gone);
		forget_lead(known);
	}
	return 0;
}

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

/*
 * The answers that were read a moment ago: tools ask for the same names again and again, and to read an answer takes as long
 * as all the rest. For so short a time nothing would hold longer: see lead_of().
 */
#define EBG_RECENT_ANSWERS_BITS 10
#define EBG_ANSWER_WORDS 10 /* of 64 bits: what comes behind the question */

struct recent_answer {
	struct cell cell;
	__u64 name; /* hash of the question's */
	__u64 time;
	__u32 form; /* how many bytes, and how many records */
	__u32 doubted;
	__u64 words[EBG_ANSWER_WORDS]; /* 0 behind it */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_ANSWERS_BITS);
	__type(key, __u32);
	__type(value, struct recent_answer);
} ebg_last_answer SEC(".maps");

/* The word at `index` of what comes behind the question, which ends after `size` bytes. */
static __always_inline __u64 answer_word(struct scratch *s, __u32 start, __u32 size, __u32 index)
{
	__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, start) + 8 * index);

	if (size <= 8 * index)
		return 0;
	return size < 8 * index + 8 ? word & ((1ULL << (8 * size & 63)) - 1) : word;
}

/* Where an answer is kept that goes on with `size` bytes at `start`; NULL where it is too long for that. */
static __always_inline struct recent_answer *place_of_answer(struct scratch *s, __u32 start, __u32 size)
{
	__u32 index = mixed(FORGET(s->question), answer_word(s, start, size, 0)) * EBG_HASH_PRIME >> (64 - EBG_RECENT_ANSWERS_BITS);

	if (FORGET(s->source) != EBG_SOURCE_PACKET || size > 8 * EBG_ANSWER_WORDS)
		return NULL;
	return bpf_map_lookup_elem(MAP(ebg_last_answer), &index);
}

/* Was this answer read a moment ago? */
static __always_inline int is_repeated(struct scratch *s, struct recent_answer *recent, __u32 start, __u32 size, __u32 form,
				       __u64 now)
{
	__u32 version = begin_read(&recent->cell), i;
	__u64 different = (recent->name ^ s->question) | (recent->form ^ form) | (recent->doubted ^ s->heard.doubted);

	if (!version || different || now - recent->time >= 1ULL << EBG_TICK_BITS)
		return 0;
#pragma unroll
	for (i = 0; i < EBG_ANSWER_WORDS; i++) {
		different |= recent->words[i] ^ answer_word(s, start, size, i);
		barrier_var(different);
	}
	return !different && was_whole(&recent->cell, version);
}

static __always_inline void keep_answer(struct scratch *s, struct recent_answer *recent, __u32 start, __u32 size, __u32 form,
					__u64 now)
{
	__u32 i;

	if (begin_write(&recent->cell)) {
		recent->name = s->question;
		recent->time = now;
		recent->form = form;
		recent->doubted = s->heard.doubted;
#pragma unroll
		for (i = 0; i < EBG_ANSWER_WORDS; i++)
			recent->words[i] = answer_word(s, start, size, i);
	}
	end_write(&recent->cell);
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
