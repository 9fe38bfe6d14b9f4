// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * The hooks. Each unpacks where an access goes, asks for the verdict, and obeys.
 *
 * connect4, connect6   connect(2), and MSG_FASTOPEN
 * sendmsg4, sendmsg6   unconnected UDP: sendto(2), sendmsg(2), sendmmsg(2)
 * egress               what these do not see: raw sockets, ICMP, other protocols, and sockets that were connected
 *                      under earlier rules
 */
#include "verdict.h"
#include "record.h"
#include "packet.h"

#define EBG_PASS 1
#define EBG_REFUSE 0

/* Counts and records one access; says whether it may go on. */
static __always_inline int settle(enum ebg_hook hook, const struct ebg_config *config, const struct ebg_endpoint *to,
				  struct judgement it, __u64 socket_cgroup)
{
	int refuse = it.deny && config->mode != EBG_MODE_MONITOR;
	__u32 verdict = refuse ? EBG_VERDICT_DENIED : it.deny ? EBG_VERDICT_WOULD_DENY : EBG_VERDICT_ALLOWED;

	if (it.rule == EBG_RULE_CANARY) {
		count(EBG_COUNTER_CANARY + hook);
		return refuse ? EBG_REFUSE : EBG_PASS;
	}
	count(to->kind * EBG_VERDICTS + verdict);
	if (it.deny)
		note_denial(config, to, it.rule, socket_cgroup);
	else if (config->observe)
		note_observation(to, it.rule, socket_cgroup);
	return refuse ? EBG_REFUSE : EBG_PASS;
}

static __always_inline const struct ebg_config *configuration(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ebg_config, &zero);
}

/* Refuses with EACCES where the kernel can (5.18 and later); else the kernel says EPERM. */
static __always_inline int refuse_socket(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_set_retval))
		bpf_set_retval(-EBG_EACCES);
	return EBG_REFUSE;
}

/* Remembers that this socket opens a connection, for answers_a_client. */
static __always_inline int opened(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk && bpf_sk_storage_get(&ebg_opened, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

static __always_inline int on_socket(struct bpf_sock_addr *ctx, enum ebg_hook hook, struct ebg_endpoint *to)
{
	const struct ebg_config *config = configuration();

	if (!config)
		return refuse_socket();
	to->port = bpf_ntohs((__u16)ctx->user_port);
	to->protocol = ctx->protocol;
	to->kind = hook == EBG_HOOK_CONNECT4 || hook == EBG_HOOK_CONNECT6 ? EBG_KIND_CONNECT : EBG_KIND_SEND;
	if (settle(hook, config, to, judge(config, to), 0) == EBG_REFUSE)
		return refuse_socket();
	if (to->kind == EBG_KIND_CONNECT && ctx->type == EBG_SOCK_STREAM && !opened(ctx))
		return refuse_socket(); /* out of memory: the egress program would take it for an answer */
	return EBG_PASS;
}

static __always_inline int on_socket4(struct bpf_sock_addr *ctx, enum ebg_hook hook)
{
	struct ebg_endpoint to = {};

	set_ipv4(&to, ctx->user_ip4);
	return on_socket(ctx, hook, &to);
}

static __always_inline int on_socket6(struct bpf_sock_addr *ctx, enum ebg_hook hook)
{
	struct ebg_endpoint to = {};

	set_ipv6(&to, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	return on_socket(ctx, hook, &to);
}

SEC("cgroup/connect4")
int ebg_connect4(struct bpf_sock_addr *ctx)
{
	return on_socket4(ctx, EBG_HOOK_CONNECT4);
}

SEC("cgroup/connect6")
int ebg_connect6(struct bpf_sock_addr *ctx)
{
	return on_socket6(ctx, EBG_HOOK_CONNECT6);
}

SEC("cgroup/sendmsg4")
int ebg_sendmsg4(struct bpf_sock_addr *ctx)
{
	return on_socket4(ctx, EBG_HOOK_SENDMSG4);
}

SEC("cgroup/sendmsg6")
int ebg_sendmsg6(struct bpf_sock_addr *ctx)
{
	return on_socket6(ctx, EBG_HOOK_SENDMSG6);
}

SEC("cgroup_skb/egress")
int ebg_egress(struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct packet packet = {};
	struct judgement it;
	int readable, seen;

	if (!config)
		return EBG_REFUSE;
	if (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6))
		return EBG_PASS;
	readable = unpack(skb, &packet) == 0;
	seen = seen_by_socket_hooks(packet.to.protocol);
	if (seen && config->mode == EBG_MODE_MONITOR)
		return EBG_PASS; /* recorded when it was connected or sent */

	it = readable ? judge(config, &packet.to) : (struct judgement){ EBG_RULE_UNREADABLE, 1 };
	if (seen && (!it.deny || answers_a_client(skb)))
		return EBG_PASS;
	return settle(EBG_HOOK_EGRESS, config, &packet.to, it, socket_cgroup(skb));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
