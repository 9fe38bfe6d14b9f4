/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The differences in the sources where BCC compiles them, on the target. BCC has no linker, and makes no maps that an
 * included file declares. So _kernel/bcc_compiler.py does both. Each function is a section of its own, a call goes to a
 * number that no helper has, and the maps are made before.
 */
#ifndef EBG_BCC_H
#define EBG_BCC_H

#include <linux/sched.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/mm_types.h>
#include <linux/net.h>
#include <linux/tcp.h>

#undef current /* the sources have variables of that name */

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) value *name

#define EBG_SECTION(name) __attribute__((section(".bpf.fn." #name))) name
#define PROGRAM(section, name) int EBG_SECTION(name)
#define TRACEPOINT(tracepoint, name) PROGRAM(, name)

/* call_NUMBER_ARGUMENTS is the function's body; packet_NUMBER_ARGUMENTS where the first argument is the packet. */
#define EBG_CALL 0x1000000
#define EBG_COUNT(...) EBG_COUNT_(__VA_ARGS__, 5, 4, 3, 2, 1)
#define EBG_COUNT_(a, b, c, d, e, count, ...) count
#define FUNCTION(type, name, ...) EBG_FUNCTION(call, __COUNTER__, EBG_COUNT(__VA_ARGS__), type, name, __VA_ARGS__)
#define PACKET_FUNCTION(type, name, ...) EBG_FUNCTION(packet, __COUNTER__, EBG_COUNT(__VA_ARGS__), type, name, __VA_ARGS__)
#define EBG_FUNCTION(...) EBG_FUNCTION_(__VA_ARGS__)
#define EBG_FUNCTION_(what, number, count, type, name, ...)        \
	static type (*name)(__VA_ARGS__) = (void *)(EBG_CALL + number); \
	type EBG_SECTION(what##_##number##_##count)(__VA_ARGS__)

/* The loader defines a macro for each map: its file descriptor. */
#define MAP(name) ((void *)bpf_pseudo_fd(1, EBG_FD_##name))

#define HAS_SET_RETVAL (LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0))
#define HAS_COARSE_CLOCK (LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0))

/* Follows pointers through the kernel's structures, as the kernel's own headers have them. */
#define EBG_READ(from, field)                                            \
	({                                                               \
		typeof((from)->field) _read;                             \
		bpf_probe_read_kernel(&_read, sizeof(_read), &(from)->field); \
		_read;                                                   \
	})
#define EBG_READ_1(from, a) EBG_READ(from, a)
#define EBG_READ_2(from, a, b) EBG_READ(EBG_READ(from, a), b)
#define EBG_READ_3(from, a, b, c) EBG_READ(EBG_READ_2(from, a, b), c)
#define EBG_READ_4(from, a, b, c, d) EBG_READ(EBG_READ_3(from, a, b, c), d)
#define EBG_PASTE(a, b) EBG_PASTE_(a, b)
#define EBG_PASTE_(a, b) a##b
#define BPF_CORE_READ(from, ...) EBG_PASTE(EBG_READ_, EBG_COUNT(__VA_ARGS__))(from, __VA_ARGS__)
#define BPF_CORE_READ_INTO(to, from, a, b) bpf_probe_read_kernel(to, sizeof(*(to)), &EBG_READ(from, a)->b)
/* A function that takes pointers is part of its caller: only numbers go through a call. */
#define __noinline inline
#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#define barrier_var(variable) asm volatile("" : "+r"(variable))
#define bpf_be64_to_cpu __builtin_bswap64

#endif
