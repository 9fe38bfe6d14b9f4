// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
/* What any program at connect(2) costs at least: this one decides nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup/connect4")
int empty(struct bpf_sock_addr *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
