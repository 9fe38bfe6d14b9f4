// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * The sockets of name service daemons, which would ask outside the guard. Refused, so that the C library asks a DNS
 * server by itself. In an object of its own: it needs Linux 6.7, and the bpf_cast_to_kern_ctx that older libraries do
 * not know. It is loaded only where names are denied.
 */
#include "counters.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct ebg_path);
	__type(value, __u32); /* the counter */
} ebg_services SEC(".maps");

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

static __always_inline int on_unix(struct bpf_sock_addr *ctx)
{
	struct bpf_sock_addr_kern *kern = bpf_cast_to_kern_ctx(ctx);
	__u32 length = kern->uaddrlen - sizeof(__u16); /* without the family */
	const void *address = kern->uaddr;
	struct ebg_path path = {};
	const __u32 *counter;
	__u8 given[128] = {};

	/* first as long as it was given: what follows is of an earlier call; then up to a 0 in it */
	if (length > sizeof(path) || bpf_probe_read_kernel(given, BELOW(sizeof(given), length), address + sizeof(__u16)) < 0 ||
	    bpf_probe_read_kernel_str(path.bytes, sizeof(path.bytes), given) < 0)
		return EBG_PASS;
	counter = bpf_map_lookup_elem(&ebg_services, &path);
	if (!counter)
		return EBG_PASS;
	count(*counter);
	return refuse_with(EBG_EACCES);
}

SEC("unix/connect")
int ebg_connect_unix(struct bpf_sock_addr *ctx)
{
	return on_unix(ctx);
}

SEC("unix/sendmsg")
int ebg_sendmsg_unix(struct bpf_sock_addr *ctx)
{
	return on_unix(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
