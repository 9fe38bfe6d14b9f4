/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The kernel's own structures, only the fields that are read. CO-RE finds their offsets on the kernel that runs. */
#ifndef EBG_KERNEL_H
#define EBG_KERNEL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

#define EBG_CORE __attribute__((preserve_access_index))

struct kernfs_node {
	__u64 id;
} EBG_CORE;

struct cgroup {
	struct kernfs_node *kn;
} EBG_CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
} EBG_CORE;

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
} EBG_CORE;

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
} EBG_CORE;

struct task_struct {
	int tgid;
	char comm[16];
	__u64 start_boottime;
	__u64 self_exec_id;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct css_set *cgroups;
	const struct cred *cred;
} EBG_CORE;

#define EBG_EACCES 13
#define EBG_IPV4 0x0800
#define EBG_IPV6 0x86dd
#define EBG_TCP 6
#define EBG_UDP 17
#define EBG_DCCP 33
#define EBG_SCTP 132
#define EBG_UDPLITE 136
#define EBG_SOCK_STREAM 1

#endif
