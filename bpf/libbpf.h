/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The differences in the sources where clang compiles the object that libbpf loads. bcc.h has the same for BCC. */
#ifndef EBG_LIBBPF_H
#define EBG_LIBBPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

/* A program; a tracepoint's gets the tracepoint's arguments, one word each. */
#define PROGRAM(section, name) SEC(section) int name
#define TRACEPOINT(tracepoint, name) PROGRAM("tp_btf/" tracepoint, name)

/* A global function: the verifier checks it once, and so only numbers go in and out. */
#define FUNCTION(type, name, ...) __noinline type name(__VA_ARGS__)
#define PACKET_FUNCTION FUNCTION /* its first argument is the packet, as the program has it */

/* A map, for a helper. */
#define MAP(name) (&name)

#define HAS_SET_RETVAL bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_set_retval)
#define HAS_COARSE_CLOCK bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_ktime_get_coarse_ns)

#endif
