// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * The same as unix.bpf.c, where programs can't stand before security hooks: by programs of the cgroup, which need Linux
 * 6.7, and see the path that a process gives. An object of its own, because it needs the bpf_cast_to_kern_ctx that older
 * libraries do not know.
 */
#include "service.h"

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

static __always_inline int on_unix(struct bpf_sock_addr *ctx)
{
	struct bpf_sock_addr_kern *kern = bpf_cast_to_kern_ctx(ctx);
	__u32 length = kern->uaddrlen - sizeof(__u16); /* without the family */
	const void *address = kern->uaddr;
	struct ebg_path path = {};
	__u8 given[128] = {};

	/* first as long as it was given: what follows is of an earlier call; then up to a 0 in it */
	if (length > sizeof(path) || bpf_probe_read_kernel(given, BELOW(sizeof(given), length), address + sizeof(__u16)) < 0 ||
	    bpf_probe_read_kernel_str(path.bytes, sizeof(path.bytes), given) < 0)
		return EBG_PASS;
	return is_service(&path) ? refuse_with(EBG_EACCES) : EBG_PASS;
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
