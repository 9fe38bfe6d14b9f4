// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * Refuses the sockets of name service daemons, so that the C library asks a DNS server by itself. Loaded only where
 * names are denied. By the path that the daemon has given its socket; the programs stand before the kernel's security
 * hooks, as those of files.bpf.c.
 */
#include "scope.h"
#include "service.h"

#include <bpf/bpf_tracing.h>

static __always_inline int answer(const struct sock *socket)
{
	const struct unix_sock *daemon = (const void *)socket;
	struct ebg_path path = {};

	BPF_CORE_READ_STR_INTO(&path.bytes, daemon, addr, name[0].sun_path);
	return is_service(&path) ? -EBG_EACCES : 0;
}

SEC("fmod_ret/security_unix_stream_connect")
int BPF_PROG(ebg_unix_stream, struct sock *from, struct sock *to)
{
	return is_inside() ? answer(to) : 0;
}

SEC("fmod_ret/security_unix_may_send")
int BPF_PROG(ebg_unix_send, struct socket *from, struct socket *to)
{
	return is_inside() ? answer(BPF_CORE_READ(to, sk)) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
