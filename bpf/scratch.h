/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Memory for names and messages, which do not fit the stack. A program can be preempted by another one on the same CPU,
 * and then both would use the CPU's memory. So each run claims a slot of its own. Where no slot is free, it can't read
 * anything.
 */
#ifndef EBG_SCRATCH_H
#define EBG_SCRATCH_H

#include "abi.h"
#include "kernel.h"
#include "verdict.h"

#define EBG_SLOTS 16
#define EBG_MESSAGE 4096 /* bytes of a message that are looked at */
#define EBG_LABELS 128   /* a name has at most 127 */

enum opened_flag {
	OPENED_STARTED = 1, /* `next` is known */
	OPENED_JUDGED = 2,  /* what it presents has passed: its packets are looked at no more */
	OPENED_DENIED = 4,  /* nothing of it leaves any more */
	OPENED_AGAIN = 8,   /* its data can present another name later: through a proxy, or once it becomes TLS */
	OPENED_SILENT = 128, /* of one that is denied: nobody is told, in either direction */
	OPENED_ANSWERED = 256, /* the same: the agent has answered its question */
	OPENED_TUNNEL = 64, /* its data goes to the server that CONNECT named, from the next byte on */
	/* of UDP */
	OPENED_SENDS = 16,    /* the next datagram goes to `to`, wherever the socket is connected to */
	OPENED_RECORDED = 32, /* that `to` is denied stands in the ledger */
};

/*
 * A TCP connection that was opened inside the guard: who opened it, the verdict over its address, and its data. Of a UDP
 * socket, `to` is where it was told to send, under the rules of `generation`.
 */
struct opened {
	struct ebg_run run;
	struct ebg_endpoint to; /* as connect(2) has it: the host's NAT may lead elsewhere */
	struct address_judgement address;
	__u32 generation; /* of the rules that judged the address */
	__u32 flags;
	__u32 uid;
	__u32 port; /* for the name that comes next: of the server behind a proxy, else the connection's */
	__u32 next; /* the sequence number of the first byte that was not looked at */
	__u32 kept; /* bytes in ebg_head */
	__u32 sent; /* bytes that have left of the message */
	__u32 skip; /* bytes behind `next` that belong to a question that was read */
	__u32 held; /* since when the first bytes are held back, in steps of 2^20 ns; 0: they are not */
	__u32 waiting; /* how many they are */
};

struct scratch {
	__u8 message[EBG_MESSAGE] __attribute__((aligned(8)));
	__u8 name[EBG_NAME]; /* the last name that was read, in the form of DNS messages */
	__u8 overhang[EBG_NAME]; /* the verifier believes that a copied part of the name may reach in here */
	__u8 compared[2][EBG_NAME];   /* two names, or parts of them */
	struct ebg_heard heard;       /* of an answer: the question's name, and the name to which it led */
	__u32 introduced;             /* 1: the question's name is in `heard` already */
	struct ebg_name_rules decided; /* of an answer: the rules that decide */
	__u64 question;               /* of an answer: the hash of the question's name */
	__u32 source;                 /* of an answer: enum ebg_source */
	__u32 from_resolver;          /* 1: it comes from the address of one of the host's resolvers */
	__u32 question_size, target_size; /* bytes of the names in `heard`, with the 0 at their ends */
	struct ebg_name_rules found; /* the rules for `name` */
	__u64 hash;                  /* of `name` */
	__u32 kept_in, kept_at;      /* where `name` is among recent names, if the mark there is its own */
	__u64 labels[EBG_LABELS];    /* the hashes of the labels of `name` */
	__u8 starts[EBG_LABELS];     /* where they begin in `name` */
	struct ebg_alias alias;          /* of an answer: what the question's name is an alias of */
	__u32 first;                 /* of the labels of the name that counts: the service in front does not */
	__u64 label;                 /* the hash of the label that is being read */
	__u64 ruling;                /* over a name that is presented */
	__u32 kind, presented, wait; /* what the first bytes of a connection are, see look() */
	__u32 strict;                /* 1: a name in text ends with its length, and at no character */
	__u32 proxied;               /* 1: the name is of the server behind a proxy */
	__u32 tunnel;                /* 1: what comes behind the head goes to that server */
	__u32 head;                  /* where the head of a request ends, or 0 */
	__u32 base;                  /* where the message itself begins: behind a header of the PROXY protocol */
	__u32 host, target;          /* positions of names in a message, or 0 */
	__u32 span;                  /* bytes that the name can have at most */
	__u32 port;                  /* that a target names, or means */
	__u32 odd;                   /* 1: servers would not agree what this head presents */
	__u32 bare, binary;          /* 1: the line has a CR without an LF, or a byte below 9 */
	__u32 user, line, behind_host, versioned; /* of the head that is read */
	__u64 among[4];              /* the characters of a run, a bit for each */
	__u32 whole, huffman;        /* of HTTP/2: the frame has all headers; the host is in a code */
	__u32 slot;                  /* its own number */
	__u32 size;                  /* bytes in message */
	__u32 position, left, length, count, written, piece, copied, after, jumps, follow, digits, cut;
	__u32 cursor, end;           /* positions of a walk through a message, which reads names on its way */
	struct opened connection;    /* the one whose data is read */
	struct ebg_endpoint to;      /* where its packet goes */
	__u32 start;                 /* where the DNS message that is read begins */
	__u32 from;                  /* where in the packet the data begins that is read next */
	__u32 outage, refused;       /* what was refused last: how it is down, and by which rule */
	__u64 entry, mount;          /* the step of a walk up a tree: addresses in the kernel */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} ebg_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_claims SEC(".maps");

static __always_inline struct scratch *scratch(__u32 slot)
{
	return bpf_map_lookup_elem(MAP(ebg_scratch), &slot);
}

/*
 * Returns the memory of a free slot, or NULL. It works without atomics that return something, because kernels before
 * 5.12 lack them. The slot's number is in its memory, so that the verifier need not follow each number by itself.
 */
static __always_inline struct scratch *claim(void)
{
	__u32 slot;

	for (slot = 0; slot < EBG_SLOTS; slot++) {
		__u32 key = slot;
		__u64 *claims = bpf_map_lookup_elem(MAP(ebg_claims), &key);
		struct scratch *s = scratch(key);

		if (!claims || !s)
			break;
		__sync_fetch_and_add(claims, 1);
		if (FORGET(*claims) == 1) {
			FORGET(s->slot) = slot;
			return s;
		}
		__sync_fetch_and_add(claims, -1);
	}
	return NULL;
}

static __always_inline void release(struct scratch *s)
{
	__u32 slot = FORGET(s->slot);
	__u64 *claims = bpf_map_lookup_elem(MAP(ebg_claims), &slot);

	if (claims)
		__sync_fetch_and_add(claims, -1);
}

static __always_inline __u32 byte_at(struct scratch *s, __u32 position)
{
	return s->message[BELOW(EBG_MESSAGE, position)];
}

static __always_inline __u32 word_at(struct scratch *s, __u32 position)
{
	return byte_at(s, position) << 8 | byte_at(s, position + 1);
}

/* Is [position, position + length) inside the message that was loaded? */
static __always_inline int holds(struct scratch *s, __u32 position, __u32 length)
{
	__u32 size = FORGET(s->size);

	return position < EBG_MESSAGE && position + length <= size && size <= EBG_MESSAGE;
}

#endif
