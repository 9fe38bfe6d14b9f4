/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * A cell: memory per CPU that several programs write and read. One program can preempt another in the middle of it, on
 * the same CPU. So a reader compares the version before and after, and only the first writer writes.
 */
#ifndef EBG_CELL_H
#define EBG_CELL_H

#include "kernel.h"

struct cell {
	__u32 writers;
	__u32 version; /* 0: nothing was written yet */
};

/* Returns the version that a reader will find; 0: none, or somebody writes. */
static __always_inline __u32 begin_read(struct cell *cell)
{
	__u32 version = FORGET(cell->version);

	return FORGET(cell->writers) ? 0 : version;
}

/* 1: what was read since begin_read() belongs together. */
static __always_inline int was_whole(struct cell *cell, __u32 version)
{
	barrier();
	return FORGET(cell->version) == version;
}

/* 1: this program may write. end_write() follows in any case. */
static __always_inline int begin_write(struct cell *cell)
{
	__sync_fetch_and_add(&cell->writers, 1);
	if (FORGET(cell->writers) != 1)
		return 0;
	FORGET(cell->version) = cell->version + 1;
	barrier();
	return 1;
}

static __always_inline void end_write(struct cell *cell)
{
	__sync_fetch_and_add(&cell->writers, -1);
}

#endif
