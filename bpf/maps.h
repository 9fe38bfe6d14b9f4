/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Every map. The first three are the rules: filled before a program attaches, never changed after. A new policy comes
 * with programs and rule maps of its own. The others are the ledger: they stay when the rules change, so counts go on.
 */
#ifndef EBG_MAPS_H
#define EBG_MAPS_H

#include "abi.h"
#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_config);
} ebg_config SEC(".maps");

/* max_entries of the next two: set by the loader to what the policy needs */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_net_key);
	__type(value, struct ebg_net);
} ebg_nets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_port);
} ebg_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_DENIED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_denial);
	__type(value, struct ebg_record);
} ebg_denied SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_OBSERVED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_endpoint);
	__type(value, struct ebg_record);
} ebg_observed SEC(".maps");

/* The TCP sockets that the guard has opened a connection with. One that is not among them has accepted it. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u8);
} ebg_opened SEC(".maps");

/* A record of zeros: too large for the stack, so new records are copied from here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_record);
} ebg_blank SEC(".maps");

#endif
