// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * The network's hooks. Each finds out where an access goes, or which name it asks for or presents. It asks verdict.h
 * for the judgement, and obeys.
 *
 * connect4, connect6   connect(2), and MSG_FASTOPEN
 * sendmsg4, sendmsg6   unconnected UDP: sendto(2), sendmsg(2), sendmmsg(2)
 * egress               what a connection presents, and DNS questions over UDP; packets that these hooks do not see: raw
 *                      sockets, ICMP, other protocols; and connections that were opened under earlier rules
 * setsockopt           an option that would tell of swallowed questions
 * ingress              DNS answers: keeps which names lead to an address. In a drill, what a denied connection still gets
 * sockops              ends a denied connection where no agent does; MPTCP's connections below the one that connect saw
 * fork, image          no access: they note which process descends from which, for the records of the others
 * entry                no access: it counts who comes in, and notes who leaves
 */
#include "arrival.h"
#include "entry.h"
#include "heard.h"
#include "scope.h"

/* Remembers who opens a connection by this socket, and how its address was judged. Returns -1 without memory for it. */
static __always_inline int remember(struct bpf_sock *sk, const struct ebg_config *config, const struct ebg_endpoint *to,
				    const struct address_judgement *address, __u32 flags)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct opened *opened = sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;

	if (!opened)
		return -1;
	*opened = (struct opened){ .run = run_of(task), .to = *to, .address = *address, .port = to->port };
	opened->generation = config->generation;
	opened->flags = flags;
	opened->uid = BPF_CORE_READ(task, cred, uid.val);
	if (!bpf_map_lookup_elem(MAP(ebg_images), &opened->run))
		remember_image((__u64)task);
	return 0;
}

/* Remembers where this socket was told to send, and whether that is recorded. Returns -1 without memory for it. */
static __always_inline int remember_asked(struct bpf_sock *sk, const struct ebg_config *config,
					  const struct access *access, int connects)
{
	struct opened *opened = sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;

	if (!opened)
		return -1;
	opened->to = access->to;
	opened->generation = config->generation;
	opened->flags = (connects ? 0 : OPENED_SENDS) | (access->it.deny ? OPENED_RECORDED : 0);
	return 0;
}

static __always_inline int on_socket(struct bpf_sock_addr *ctx, struct access *access)
{
	int connects = access->hook == EBG_HOOK_CONNECT4 || access->hook == EBG_HOOK_CONNECT6;
	const struct ebg_config *config = configuration();
	struct address_judgement judged;
	__u32 silent = 0;

	if (!config)
		return refuse_with(EBG_EACCES);
	access->to.port = bpf_ntohs((__u16)ctx->user_port);
	access->to.protocol = ctx->protocol;
	access->to.kind = connects ? EBG_KIND_CONNECT : EBG_KIND_SEND;
	judged = verdict_over(&access->to);
	access->it = judge_on_socket(&judged, connects);
	if (settle(config, access) == EBG_REFUSE) {
		if (!is_silent(config, &access->it))
			return refuse_with(error_of(outage_of(config, &access->it)));
		silent = OPENED_DENIED | OPENED_SILENT; /* it goes on, and egress swallows its packets */
	}
	if (connects && ctx->type != EBG_SOCK_STREAM && !access->it.deny)
		return EBG_PASS; /* the socket itself knows where it is connected to */
	if (!connects || ctx->type != EBG_SOCK_STREAM)
		return remember_asked(ctx->sk, config, access, connects) < 0 ? refuse_with(EBG_EACCES) : EBG_PASS;
	/* without that, egress would take its packets for answers to a client */
	return remember(ctx->sk, config, &access->to, &judged, silent) < 0 ? refuse_with(EBG_EACCES) : EBG_PASS;
}

static __always_inline int on_socket4(struct bpf_sock_addr *ctx, enum ebg_hook hook)
{
	struct access access = { .hook = hook };

	set_ipv4(access.to.address, ctx->user_ip4);
	return on_socket(ctx, &access);
}

static __always_inline int on_socket6(struct bpf_sock_addr *ctx, enum ebg_hook hook)
{
	struct access access = { .hook = hook };

	set_ipv6(access.to.address, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	return on_socket(ctx, &access);
}

PROGRAM("cgroup/connect4", ebg_connect4)(struct bpf_sock_addr *ctx)
{
	return on_socket4(ctx, EBG_HOOK_CONNECT4);
}

PROGRAM("cgroup/connect6", ebg_connect6)(struct bpf_sock_addr *ctx)
{
	return on_socket6(ctx, EBG_HOOK_CONNECT6);
}

PROGRAM("cgroup/sendmsg4", ebg_sendmsg4)(struct bpf_sock_addr *ctx)
{
	return on_socket4(ctx, EBG_HOOK_SENDMSG4);
}

PROGRAM("cgroup/sendmsg6", ebg_sendmsg6)(struct bpf_sock_addr *ctx)
{
	return on_socket6(ctx, EBG_HOOK_SENDMSG6);
}

/* The kernel takes no other results than 0 to 3 here, and does not know what a function returns. */
static __always_inline int obey(int result)
{
	barrier_var(result);
	return result & 3;
}

PROGRAM("cgroup_skb/egress", ebg_egress)(struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	const struct opened *opened;
	int result;

	if (!config)
		return EBG_REFUSE;
	if (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6))
		return EBG_PASS;
	if (!tcp_socket(skb)) {
		result = on_packet(skb);
		if ((result & 0xff) == EBG_ASKS) {
			result = is_plain_question(skb, result >> 8) ? EBG_PASS : on_question(skb);
			if (result == EBG_REFUSE)
				result = answer_refused(skb);
		} else if (result == EBG_UNHEARD) {
			result = refuse_datagram(skb);
		}
		forget_asked(skb);
		return obey(result);
	}
	/*
	 * A socket that has not opened its connection answers a client. A daemon does so that the deployment has started,
	 * and that is no dependency.
	 */
	opened = connection_of(skb);
	if (!opened || (opened->generation == config->generation &&
			(opened->flags & (OPENED_JUDGED | OPENED_DENIED)) == OPENED_JUDGED))
		return EBG_PASS;
	return obey(on_connection(skb));
}

/*
 * To a socket that has errors of the network reported, the kernel reports a swallowed datagram as well. glibc's resolver
 * asks for these reports, and takes every error on a send for the end. So where questions are answered, or a drill swallows them, it gets none.
 */
PROGRAM("cgroup/setsockopt", ebg_setsockopt)(struct bpf_sockopt *ctx)
{
	const struct ebg_config *config = configuration();

	if (config && strict(config) && is_report_to_resolver(ctx) &&
	    (uses_outage(config, EBG_OUTAGE_TIMEOUT) ||
	     (agent_works() && (answering(EBG_ANSWERING_IPV4) || answering(EBG_ANSWERING_IPV6)))))
		ctx->optlen = -1; /* nothing is set, and the process hears of no error */
	else if (ctx->optlen > EBG_PAGE)
		ctx->optlen = 0; /* the process's own value, of which the kernel has shown the beginning alone */
	return EBG_PASS;
}

/* Is this a packet for a socket that is connected to another port than that of DNS servers? Most are. */
static __always_inline int connected_elsewhere(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->state == EBG_CONNECTED && sk->dst_port != bpf_htons(EBG_DNS_PORT);
}

PROGRAM("cgroup_skb/ingress", ebg_ingress)(struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct packet packet = {};
	struct scratch *s;
	int kept = 0;

	if (!config || (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6)))
		return EBG_PASS;
	if (config->outages && !may_arrive(skb))
		return EBG_REFUSE;
	if (connected_elsewhere(skb) || unpack(skb, &packet) < 0 || packet.source != EBG_DNS_PORT)
		return EBG_PASS;
	s = claim();
	if (!s)
		return strict(config) ? EBG_REFUSE : EBG_PASS;
	/* the kernel clears cb before it gives a packet to programs, and not in what BPF_PROG_TEST_RUN makes */
	note_source(s, config, packet.from, skb->cb[0]);
	if (packet.to.protocol == EBG_UDP && load_payload(skb, s, packet.transport + 8) == 0)
		kept = read_answer(s);
	else if (packet.to.protocol == EBG_TCP && load_payload(skb, s, tcp_payload(skb, &packet) + 2) == 0)
		kept = read_answer(s); /* it begins behind its length; an answer in several packets is not read */
	release(s);
	return kept < 0 && strict(config) ? EBG_REFUSE : EBG_PASS;
}

/*
 * A connection below another one, as MPTCP makes them: connect(2) was for the upper one. It leads where the peer or the
 * host's settings say.
 */
static __always_inline void on_subflow(struct bpf_sock_ops *ctx, struct bpf_sock *sk, const struct ebg_config *config)
{
	struct ebg_endpoint to = { .port = bpf_ntohl(ctx->remote_port), .protocol = EBG_TCP };
	struct address_judgement address;
	struct opened *opened;

	if (ctx->family == EBG_AF_INET)
		set_ipv4(to.address, ctx->remote_ip4);
	else
		set_ipv6(to.address, ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2], ctx->remote_ip6[3]);
	address = verdict_over(&to);
	remember(sk, config, &to, &address, 0);
	opened = bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0);
	if (opened && judge_on_socket(&address, 1).deny)
		opened->generation = 0; /* its first packet is judged, and refused */
}

/*
 * Is this the segment by which it shows that no name comes? Egress denies it in a moment, and TCP, which tries again less
 * and less often, would ask here the next time after most of a second.
 */
static __always_inline int is_last_try(const struct opened *opened, __u32 size)
{
	return size && size <= opened->waiting && held_long_enough(opened->held);
}

/* Is it one of which nobody is told that it is over, or will be in a moment? */
static __always_inline int ends_in_silence(const struct opened *opened)
{
	const struct ebg_config *config = configuration();

	return opened->flags & OPENED_SILENT ||
	       (!(opened->flags & OPENED_DENIED) && config && is_silent(config, &opened->address.it));
}

/* Has TCP ask before each segment that it sends. */
static __always_inline void on_connecting(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	const struct ebg_config *config = configuration();

	if (!config)
		return;
	if (!bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0))
		on_subflow(ctx, sk, config);
	if (enforces(config))
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

/* TCP asks no more once nothing is left to judge; and a denied connection is told to give up at the next try. */
static __always_inline void on_sending(struct bpf_sock_ops *ctx, const struct opened *opened)
{
	int at_once = 1; /* ms */

	if ((opened->flags & OPENED_DENIED || is_last_try(opened, ctx->skb_len)) && !ends_in_silence(opened))
		bpf_setsockopt(ctx, EBG_TCP, EBG_TCP_USER_TIMEOUT, &at_once, sizeof(at_once));
	else if (opened->flags & OPENED_JUDGED)
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

/*
 * Without the agent nobody ends a connection whose data is dropped, and TCP would try for minutes. So this does, some 0.2
 * seconds later.
 */
PROGRAM("sockops", ebg_sockops)(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct opened *opened;

	if ((ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ctx->op != BPF_SOCK_OPS_HDR_OPT_LEN_CB) || !sk)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		on_connecting(ctx, sk);
		return 1;
	}
	opened = bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0);
	if (opened)
		on_sending(ctx, opened);
	return 1;
}

/* Remembers the child that the current process has made. It runs the same program so far. */
static __always_inline void remember_child(struct task_struct *child)
{
	__u64 parent = bpf_get_current_task();
	struct ebg_run run = run_of((void *)parent), born = run_of(child);
	struct ebg_image *image;
	int i;

	remember_image(parent);
	image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	if (!image)
		return;
	bpf_map_update_elem(MAP(ebg_images), &born, image, BPF_ANY);
	image = bpf_map_lookup_elem(MAP(ebg_images), &born);
	if (!image)
		return;
	image->above = run;
	image->forked = 1;
	/*
	 * A lookup keeps an image from being the least recently used. A process that only waits for its children makes
	 * no others, and would be forgotten.
	 */
	for (i = 0; i < EBG_ANCESTORS; i++) {
		image = bpf_map_lookup_elem(MAP(ebg_images), &run);
		if (!image)
			return;
		run = image->above;
	}
}

/*
 * The kernel runs these three for every process of the host. They do the same under all rules, and to do it twice changes
 * nothing. So they don't ask whether their rules are in force. A global function takes a process as the kernel's memory
 * has it, and not as the context does.
 */
TRACEPOINT("sched_process_fork", ebg_fork)(__u64 *ctx)
{
	struct task_struct *child = BPF_CORE_READ((struct task_struct *)ctx[1], group_leader);
	struct cgroup *born_in = home_of(child);
	int same = born_in == home_of((void *)ctx[0]), inside = is_inside();

	if ((same && !inside) || child != (void *)ctx[1]) /* a thread is no other process */
		return 0;
	if (!same && !inside) {
		if (is_of_guard(born_in))
			note_entry((__u64)child);
		return 0;
	}
	count(EBG_COUNTER_CANARY + EBG_HOOK_FORK);
	remember_child(child);
	if (!member_of(child))
		remember_member(child, EBG_WHERE_INSIDE);
	if (!same && is_member(child) && !is_of_guard(born_in))
		note_leaving((__u64)child, BPF_CORE_READ(born_in, kn, id), 0);
	return 0;
}

TRACEPOINT("sched_process_exec", ebg_image)(__u64 *ctx)
{
	if (!is_inside())
		return 0;
	count(EBG_COUNTER_CANARY + EBG_HOOK_IMAGE);
	remember_image(bpf_get_current_task());
	return 0;
}

/* The moved process is in its new cgroup already. */
TRACEPOINT("cgroup_attach_task", ebg_entry)(__u64 *ctx)
{
	struct task_struct *task = BPF_CORE_READ((struct task_struct *)ctx[2], group_leader);
	struct cgroup *to = (void *)ctx[0];

	if (home_of((void *)ctx[2]) != to) /* a cgroup of version 1 */
		return 0;
	if (is_of_guard(to)) {
		count(EBG_COUNTER_CANARY + EBG_HOOK_ENTRY);
		note_entry((__u64)task);
	} else if (is_member(task)) {
		note_leaving((__u64)task, BPF_CORE_READ(to, kn, id), ctx[1]);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
