// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/*
 * The network's hooks. Each finds out where an access goes, or which name it asks for or presents. It asks verdict.h
 * for the judgement, and obeys.
 *
 * create               socket(2): refuses MPTCP, because no other hook would see its data
 * connect4, connect6   connect(2), and MSG_FASTOPEN
 * sendmsg4, sendmsg6   unconnected UDP: sendto(2), sendmsg(2), sendmmsg(2)
 * egress               packets that these do not see: raw sockets, ICMP, other protocols, and sockets that were
 *                      connected under earlier rules; and DNS questions over UDP
 * setsockopt           an option that would tell of swallowed questions
 * ingress              DNS answers: keeps which names lead to an address
 * established          gives each new TCP connection to `message`, and takes it back
 * message              the first bytes of a TCP connection, and DNS questions over TCP
 * fork, image          no access: they note which process descends from which, for the records of the others
 */
#include "answer.h"
#include "message.h"
#include "packet.h"
#include "scope.h"

PROGRAM("cgroup/sock_create", ebg_create)(struct bpf_sock *ctx)
{
	const struct ebg_config *config = configuration();

	if (ctx->protocol != EBG_MPTCP)
		return EBG_PASS;
	count(EBG_COUNTER_CANARY + EBG_HOOK_CREATE);
	/* a library that tries MPTCP goes on with TCP after this errno */
	return !config || strict(config) ? refuse_with(EBG_EPROTONOSUPPORT) : EBG_PASS;
}

/* Remembers that this socket opens a connection, and how its address was judged. Returns NULL without memory for it. */
static __always_inline struct opened *remember(struct bpf_sock_addr *ctx, const struct ebg_config *config,
					       const struct address_judgement *judged)
{
	struct bpf_sock *sk = ctx->sk;
	struct opened *opened = sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;

	if (!opened)
		return NULL;
	opened->generation = config->generation;
	opened->flags = judged->undecided ? OPENED_UNDECIDED : 0;
	opened->rule = judged->it.rule;
	opened->other = judged->other;
	FORGET(opened->socket) = (__u64)sk;
	opened->cookie = bpf_get_socket_cookie(ctx);
	return opened;
}

/* Does this connect(2) belong to TCP Fast Open? Then the first data would leave before `message` can see it. */
static __always_inline int is_fast_open(struct opened *opened)
{
	const struct tcp_sock *sk = (const void *)FORGET(opened->socket);

	return BPF_CORE_READ(sk, fastopen_req) || BPF_CORE_READ_BITFIELD_PROBED(sk, fastopen_connect);
}

static __always_inline int on_socket(struct bpf_sock_addr *ctx, struct access *access)
{
	int connects = access->hook == EBG_HOOK_CONNECT4 || access->hook == EBG_HOOK_CONNECT6;
	const struct ebg_config *config = configuration();
	struct address_judgement judged;
	struct opened *opened;

	if (!config)
		return refuse_with(EBG_EACCES);
	access->to.port = bpf_ntohs((__u16)ctx->user_port);
	access->to.protocol = ctx->protocol;
	access->to.kind = connects ? EBG_KIND_CONNECT : EBG_KIND_SEND;
	judged = verdict_over(config, &access->to);
	access->it = judge_on_socket(&judged, connects);
	if (settle(config, access) == EBG_REFUSE)
		return refuse_with(EBG_EACCES);
	if (!connects || ctx->type != EBG_SOCK_STREAM)
		return EBG_PASS;
	opened = remember(ctx, config, &judged);
	if (!opened)
		return refuse_with(EBG_EACCES); /* egress would take its packets for answers to a client */
	return ctx->protocol == EBG_TCP && strict(config) && is_fast_open(opened) ? refuse_with(EBG_EOPNOTSUPP) :
										    EBG_PASS;
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

/* Judges the DNS question in a datagram. */
static __always_inline int ask(struct __sk_buff *skb, const struct ebg_config *config, const struct packet *packet,
			       struct access *access)
{
	struct scratch *s = claim();
	int result;

	access->hook = EBG_HOOK_QUESTION;
	access->it = judge_unreadable_name(config);
	access->socket_cgroup = socket_cgroup(skb);
	access->to.kind = EBG_KIND_DNS;
	/* a packet of several datagrams (UDP_SEGMENT) has several questions, and only one would be read */
	if (s && !skb->gso_size && load_payload(skb, s, packet->transport + 8) == 0)
		take_question(config, s, 0, access);
	result = settle(config, access);
	if (result == EBG_REFUSE && s && access->name && have_answered(skb, s, packet, access->it.rule) == 0)
		result = EBG_SWALLOW;
	if (s)
		release(s);
	if (result == EBG_REFUSE)
		end_sender(skb, packet);
	return result;
}

/* Judges a packet of a TCP connection that was opened inside the guard. */
static __always_inline int on_connection(struct __sk_buff *skb, const struct ebg_config *config,
					 struct opened *opened, struct packet *packet, struct access *access)
{
	int watched = opened->flags & OPENED_WATCHED || !config->judges_names;
	int known = opened->generation == config->generation, readable;
	struct address_judgement address;

	if (known && watched)
		return EBG_PASS;
	readable = unpack(skb, packet) == 0;
	access->to = packet->to;
	access->socket_cgroup = socket_cgroup(skb);
	access->it = (struct judgement){};
	if (!known) { /* connected under earlier rules */
		address = verdict_over(config, &packet->to);
		access->it = judge_again(&address, opened->flags & OPENED_JUDGED);
		if (!access->it.deny)
			opened->generation = config->generation;
	}
	access->it = judge_data(access->it, readable, !watched && readable && tcp_payload(skb, packet) < skb->len);
	if (!access->it.deny)
		return EBG_PASS;
	end_sender(skb, packet);
	return settle(config, access);
}

PROGRAM("cgroup_skb/egress", ebg_egress)(struct __sk_buff *skb)
{
	struct access access = { .hook = EBG_HOOK_EGRESS, .it = judge_unreadable() };
	const struct ebg_config *config = configuration();
	struct bpf_sock *connection = tcp_socket(skb);
	struct packet packet = {};
	int seen;

	if (!config)
		return EBG_REFUSE;
	if (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6))
		return EBG_PASS;
	if (connection) {
		/*
		 * A socket that has not opened its connection answers a client. A daemon does so that the deployment has
		 * started, and that is no dependency.
		 */
		struct opened *opened =
			enforces(config) ? bpf_sk_storage_get(MAP(ebg_opened), connection, NULL, 0) : NULL;

		return opened ? on_connection(skb, config, opened, &packet, &access) : EBG_PASS;
	}
	if (unpack(skb, &packet) == 0)
		access.it = verdict_over(config, &packet.to).it;
	access.to = packet.to;
	seen = seen_by_socket_hooks(packet.to.protocol);
	if (!seen || refuses(config, &access.it)) {
		access.socket_cgroup = socket_cgroup(skb);
		return settle(config, &access);
	}
	if (packet.to.protocol == EBG_UDP && packet.to.port == EBG_DNS_PORT)
		return ask(skb, config, &packet, &access);
	return EBG_PASS;
}

/*
 * To a socket that has errors of the network reported, the kernel reports a swallowed datagram as well. glibc's resolver
 * asks for these reports, and takes every error on a send for the end. So where questions are answered, it gets none.
 */
PROGRAM("cgroup/setsockopt", ebg_setsockopt)(struct bpf_sockopt *ctx)
{
	const struct ebg_config *config = configuration();
	int answered = answering(EBG_ANSWERING_IPV4) || answering(EBG_ANSWERING_IPV6);

	if (config && strict(config) && answered && agent_works() && is_report_to_resolver(ctx))
		ctx->optlen = -1; /* nothing is set, and the process hears of no error */
	else if (ctx->optlen > EBG_PAGE)
		ctx->optlen = 0; /* the process's own value, of which the kernel has shown the beginning alone */
	return EBG_PASS;
}

PROGRAM("cgroup_skb/ingress", ebg_ingress)(struct __sk_buff *skb)
{
	const struct ebg_config *config = configuration();
	struct packet packet = {};
	struct scratch *s;
	int kept = 0;

	if (!config || (skb->protocol != bpf_htons(EBG_IPV4) && skb->protocol != bpf_htons(EBG_IPV6)))
		return EBG_PASS;
	if (unpack(skb, &packet) < 0 || packet.source != EBG_DNS_PORT)
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

PROGRAM("sockops", ebg_established)(struct bpf_sock_ops *ctx)
{
	__u64 cookie;

	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		cookie = bpf_get_socket_cookie(ctx);
		/* Where this fails, `message` does not see the data, and egress does not let it go. */
		if (bpf_sock_hash_update(ctx, MAP(ebg_sockets), &cookie, BPF_ANY) == 0 &&
		    bpf_ntohl(ctx->remote_port) != EBG_DNS_PORT)
			bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
	} else if (ctx->op == BPF_SOCK_OPS_RTT_CB && ctx->data_segs_out > 0) {
		/*
		 * Data has arrived at the other side, so the first bytes had their verdict. A socket that stayed in the
		 * map would be slower, and a blocking recv(2) might end with EAGAIN.
		 */
		cookie = bpf_get_socket_cookie(ctx);
		bpf_map_delete_elem(MAP(ebg_sockets), &cookie);
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
	}
	return 1;
}

/* Copies the beginning of the message. */
static __always_inline int load_message(struct sk_msg_md *msg, struct scratch *s)
{
	__u32 size = msg->size < EBG_MESSAGE ? msg->size : EBG_MESSAGE;
	void *data = msg->data;

	if (!size)
		return -1;
	if (msg->data_end - data < (long)size) {
		if (bpf_msg_pull_data(msg, 0, size, 0) < 0)
			return -1;
		data = msg->data;
	}
	FORGET(s->size) = size - 1;
	size = BELOW(EBG_MESSAGE, FORGET(s->size)) + 1;
	if (bpf_probe_read_kernel(s->message, size, data) < 0)
		return -1;
	FORGET(s->size) = size;
	return 0;
}

/* Unpacks where the message goes, and how the agent can find its socket if it is refused. */
static __always_inline void unpack_message(struct sk_msg_md *msg, struct ebg_endpoint *to, struct ebg_refusal *refusal)
{
	if (msg->family == EBG_AF_INET) {
		set_ipv4(to->address, msg->remote_ip4);
		set_ipv4(refusal->source, msg->local_ip4);
	} else {
		set_ipv6(to->address, msg->remote_ip6[0], msg->remote_ip6[1], msg->remote_ip6[2],
			 msg->remote_ip6[3]);
		set_ipv6(refusal->source, msg->local_ip6[0], msg->local_ip6[1], msg->local_ip6[2],
			 msg->local_ip6[3]);
	}
	to->port = bpf_ntohl(msg->remote_port);
	to->protocol = EBG_TCP;
	__builtin_memcpy(refusal->destination, to->address, sizeof(refusal->destination));
	refusal->source_port = msg->local_port;
	refusal->destination_port = to->port;
	refusal->protocol = EBG_TCP;
}

/* Lets the message wait until it has this many bytes. Where no name is denied, no name is worth a delay. */
static __always_inline int wait_for(struct sk_msg_md *msg, const struct ebg_config *config, __u32 size)
{
	if (config->judges_names)
		bpf_msg_cork_bytes(msg, size);
	return EBG_PASS;
}

/* Judges one question of DNS over TCP, which stands behind its length. More may follow: the socket stays in the map. */
static __always_inline int on_question(struct sk_msg_md *msg, const struct ebg_config *config, struct scratch *s,
				       struct access *access)
{
	__u32 size;

	if (msg->size < 2)
		return wait_for(msg, config, 2);
	size = word_at(s, 0) + 2;
	if (msg->size < size)
		return wait_for(msg, config, size);
	if (FORGET(s->size) > size)
		FORGET(s->size) = size;
	access->to.kind = EBG_KIND_DNS;
	take_question(config, s, 2, access);
	bpf_msg_apply_bytes(msg, size);
	return settle(config, access);
}

/* Returns as much as remember() has kept of the verdict over the address. */
static __always_inline struct address_judgement remembered_verdict(const struct opened *opened)
{
	return (struct address_judgement){ .it.rule = opened->rule,
					   .other = opened->other,
					   .undecided = !!(opened->flags & OPENED_UNDECIDED) };
}

static __always_inline int on_first_bytes(struct sk_msg_md *msg, const struct ebg_config *config, struct scratch *s,
					  struct access *access, struct opened *opened)
{
	struct address_judgement address = remembered_verdict(opened);
	int result = EBG_PASS, named;

	if (look(FORGET(s->slot), msg->size, protocol_port(&access->to)) < 0)
		return EBG_REFUSE;
	if (FORGET(s->wait) && config->judges_names)
		return wait_for(msg, config, FORGET(s->wait));
	access->to.kind = s->kind;
	access->it = judge_presented(config, FORGET(s->presented), s->ruling, &address);
	named = FORGET(s->presented) == PRESENTED_NAME;
	if (named) {
		access->name = s->name;
		access->name_hash = s->hash;
	}
	if (named || access->it.deny)
		result = settle(config, access);
	if (result == EBG_PASS)
		opened->flags |= OPENED_JUDGED;
	return result;
}

PROGRAM("sk_msg", ebg_message)(struct sk_msg_md *msg)
{
	const struct ebg_config *config = configuration();
	struct access access = { .hook = EBG_HOOK_MESSAGE };
	struct bpf_sock *sk = msg->sk;
	struct opened *opened = sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	struct ebg_refusal refusal = {};
	struct scratch *s;
	int result = EBG_REFUSE;

	if (!config || !opened)
		return SK_DROP;
	if (opened->flags & OPENED_JUDGED)
		return SK_PASS;
	opened->flags |= OPENED_WATCHED;
	refusal.cookie = opened->cookie;
	s = claim();
	if (!s)
		return strict(config) ? SK_DROP : SK_PASS;
	unpack_message(msg, &access.to, &refusal);
	if (load_message(msg, s) == 0)
		result = access.to.port == EBG_DNS_PORT ? on_question(msg, config, s, &access) :
							  on_first_bytes(msg, config, s, &access, opened);
	else if (!strict(config))
		result = EBG_PASS;
	release(s);
	if (result == EBG_PASS)
		return SK_PASS;
	/* a program that ignores EACCES would wait for an answer, so the agent ends its socket */
	bpf_ringbuf_output(MAP(ebg_refused), &refusal, sizeof(refusal), 0);
	return SK_DROP;
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
 * The kernel runs these two for every process of the host. They do the same under all rules, and to do it twice changes
 * nothing. So they don't ask whether their rules are in force.
 */
TRACEPOINT("sched_process_fork", ebg_fork)(__u64 *ctx)
{
	struct task_struct *child = (void *)ctx[1];

	if (!is_inside() || BPF_CORE_READ(child, group_leader) != child) /* a thread is no other process */
		return 0;
	count(EBG_COUNTER_CANARY + EBG_HOOK_FORK);
	remember_child(child);
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

char LICENSE[] SEC("license") = "Dual BSD/GPL";
