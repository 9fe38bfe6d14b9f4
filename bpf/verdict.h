/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The decision, once: an endpoint in, a rule and allow or deny out. Every hook asks here and obeys. */
#ifndef EBG_VERDICT_H
#define EBG_VERDICT_H

#include "maps.h"

struct judgement {
	__u32 rule;
	__u32 deny;
};

static __always_inline int port_matches(const struct ebg_port *port, const struct ebg_endpoint *to)
{
	if (port->protocol != EBG_PROTOCOL_ANY && port->protocol != to->protocol)
		return 0;
	return to->port >= port->low && to->port <= port->high;
}

static __always_inline struct judgement judge(const struct ebg_config *config, const struct ebg_endpoint *to)
{
	struct judgement refused = { EBG_RULE_DEFAULT, 1 };
	struct ebg_net_key key = { .prefix_length = 128 };
	const struct ebg_net *net;
	__u32 i;

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	net = bpf_map_lookup_elem(&ebg_nets, &key);
	if (!net)
		return (struct judgement){ EBG_RULE_DEFAULT, config->default_deny };

	/* The compiler of the rules has put the matchers of wider networks behind those of this one. */
	for (i = 0; i < EBG_PORTS_PER_NET; i++) {
		const struct ebg_port *port;
		__u32 index;

		if (i >= net->count)
			return (struct judgement){ EBG_RULE_DEFAULT, config->default_deny };
		index = net->first + i;
		port = bpf_map_lookup_elem(&ebg_ports, &index);
		if (!port)
			return refused; /* a damaged table must not open the door */
		if (port_matches(port, to))
			return (struct judgement){ port->rule, port->deny };
	}
	return net->count > EBG_PORTS_PER_NET ? refused :
						(struct judgement){ EBG_RULE_DEFAULT, config->default_deny };
}

#endif
