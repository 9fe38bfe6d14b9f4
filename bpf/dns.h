/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* DNS: the name that a question asks for, and the names and addresses of an answer. */
#ifndef EBG_DNS_H
#define EBG_DNS_H

#include "address.h"
#include "name.h"
#include "record.h"

#define EBG_DNS_HEADER 12
#define EBG_RECORDS 32 /* of an answer that are read */
/* An address is used a while after it was asked for, also where the answer says that it must not be kept. */
#define EBG_LEAST_TTL 60
#define EBG_TYPE_A 1
#define EBG_TYPE_CNAME 5
#define EBG_TYPE_AAAA 28

/* Is [position, position + length) inside the message that was loaded? */
static __always_inline int holds(struct scratch *s, __u32 position, __u32 length)
{
	__u32 size = FORGET(s->size);

	return position < EBG_MESSAGE && position + length <= size && size <= EBG_MESSAGE;
}

/* Notes that this process asked for the name. */
static __always_inline void note_question(struct scratch *s, __u64 socket_cgroup)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct ebg_asked asked = { .name = s->hash, .pid = BPF_CORE_READ(task, tgid) };
	__u8 yes = 1;

	/* First the quick look: to find out whether the question is this process's own takes longer. */
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

/* Reads the question of the DNS message at `start`, and asks for the verdict over it. */
static __always_inline void take_question(const struct ebg_config *config, struct scratch *s, __u32 start,
					  struct access *access)
{
	int end = read_question(FORGET(s->slot), start);

	if (end < 0) {
		access->it = judge_unreadable_name(config);
		return;
	}
	access->it = judge_question(config, &s->found);
	access->name = s->name;
	access->name_hash = s->hash;
	note_question(s, access->socket_cgroup);
}

/*
 * Adds a lead to an address; -1 where there is no room. A lead that only holds longer is no change: a verdict that is
 * kept ends with the first of its leads anyway, and none is kept where one had run out.
 */
static __always_inline int add_lead(const __u8 *address, lead_t lead, __u32 now)
{
	struct leads *leads = bpf_map_lookup_elem(MAP(ebg_addresses), address);
	int i, index = -1, changed;

	if (!leads) {
		struct leads none = {};

		bpf_map_update_elem(MAP(ebg_addresses), address, &none, BPF_NOEXIST);
		leads = bpf_map_lookup_elem(MAP(ebg_addresses), address);
		if (!leads)
			return -1;
	}
	bpf_spin_lock(&leads->lock);
	for (i = 0; i < EBG_LEADS; i++) {
		lead_t known = leads->lead[i];

		if (known && (__u32)known == (__u32)lead) {
			index = i;
			if (known > lead)
				lead = known; /* it holds longer */
			break;
		}
		if (index < 0 && known >> 32 < now)
			index = i;
	}
	if (index < 0) {
		changed = !leads->crowded;
		leads->crowded = 1;
	} else {
		lead_t *there = &leads->lead[index & (EBG_LEADS - 1)];

		changed = !*there || (__u32)*there != (__u32)lead;
		*there = lead;
	}
	bpf_spin_unlock(&leads->lock);
	if (changed)
		count_change((const __u64 *)address);
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

static __always_inline int same_name(const __u8 *one, const __u8 *other)
{
	const __u64 *a = (const void *)one, *b = (const void *)other;
	__u64 different = 0;
	int i;

	for (i = 0; i < EBG_NAME / 8; i++)
		different |= a[i] ^ b[i];
	return !different;
}

enum record_result {
	RECORD_READ = 0,
	RECORD_UNREADABLE = -1, /* and the records behind it can't be found */
	RECORD_LOST = -2,       /* a rule speaks of its name, and there was no room to keep it */
};

/* Keeps the question's name for the ledger, before another name is read over it. */
static __always_inline void introduce(struct scratch *s)
{
	if (FORGET(s->introduced))
		return;
	__builtin_memcpy(s->heard.name, s->name, sizeof(s->name));
	__builtin_memset(s->heard.target, 0, sizeof(s->heard.target));
	FORGET(s->introduced) = 1;
}

/* Keeps the address of an A or AAAA record, whose data is at `position`. */
static __always_inline int read_address(struct scratch *s, __u32 position, __u32 length, __u64 now)
{
	struct ebg_heard_key key = { .name = s->question };
	struct ebg_heard *known;
	int room;

	if (!holds(s, position, length))
		return RECORD_UNREADABLE;
	position = BELOW(EBG_MESSAGE, position);
	if (length == 4) {
		key.address[10] = key.address[11] = 0xff;
		__builtin_memcpy(key.address + 12, s->message + position, 4);
	} else {
		__builtin_memcpy(key.address, s->message + position, 16);
	}
	if (is_here(key.address))
		return RECORD_READ;
	room = add_lead(key.address, lead_of(&s->decided.slice, s->heard.until), now >> EBG_TICK_BITS);
	known = bpf_map_lookup_elem(MAP(ebg_heard), &key);
	/* the ledger has the pair already: to write a time is cheaper than to write two names */
	if (known && (FORGET(s->introduced) ? same_name(known->target, s->heard.target) : !known->target[0])) {
		known->until = s->heard.until;
	} else {
		introduce(s);
		if (bpf_map_update_elem(MAP(ebg_heard), &key, &s->heard, BPF_ANY) < 0)
			count(EBG_COUNTER_LOST);
	}
	return room < 0 && s->decided.slice.count ? RECORD_LOST : RECORD_READ;
}

/*
 * Keeps the name to which a CNAME record leads. Several names can stand between the question and the addresses: the
 * first that has rules decides.
 */
static __always_inline int read_alias(struct scratch *s, __u32 slot, __u32 position)
{
	lead_t lead;

	introduce(s);
	if (read_wire_name(slot, position, 1) < 0)
		return RECORD_UNREADABLE;
	find_rules(slot);
	__builtin_memcpy(s->heard.target, s->name, sizeof(s->name));
	if (!s->found.slice.count)
		return RECORD_READ;
	s->decided = s->found;
	lead = lead_of(&s->decided.slice, s->heard.until);
	return bpf_map_update_elem(MAP(ebg_aliases), &s->question, &lead, BPF_ANY) < 0 ? RECORD_LOST : RECORD_READ;
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
	s->heard.until = now + (ttl > EBG_LEAST_TTL ? ttl : EBG_LEAST_TTL) * 1000000000;
	if (type == EBG_TYPE_CNAME && !s->decided.slice.count)
		return read_alias(s, slot, position);
	if ((type == EBG_TYPE_A && length == 4) || (type == EBG_TYPE_AAAA && length == 16))
		return read_address(s, position, length, now);
	return RECORD_READ;
}

/* Keeps which addresses the answer has for its name. Returns -1 where some could not be kept: it must not arrive. */
static __always_inline int read_answer(struct scratch *s)
{
	__u32 slot = FORGET(s->slot), i, records;
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
	s->decided = s->found;
	FORGET(s->introduced) = 0;
	FORGET(s->cursor) = position + 4;
	for (i = 0; i < EBG_RECORDS; i++) {
		int result;

		if (i >= FORGET(records)) /* else the verifier follows the loop for each number */
			break;
		result = read_record(slot);
		if (result < 0)
			return result == RECORD_LOST ? -1 : 0;
	}
	return 0;
}

#endif
