// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/* What the kernel's own table of prefixes costs at connect(2): this program looks the address up there, and does no more. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct net_key {
	__u32 prefix_length;
	__u32 address[4];
};

/* Its type alone counts: the table of a guard takes its place. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net_key);
	__type(value, __u64);
} trie SEC(".maps");

SEC("cgroup/connect4")
int look_up(struct bpf_sock_addr *ctx)
{
	struct net_key key = { .prefix_length = 128, .address = { 0, 0, bpf_htonl(0xffff), ctx->user_ip4 } };

	bpf_map_lookup_elem(&trie, &key);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
