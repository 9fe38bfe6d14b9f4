/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* A program for the loader. Each object that knows files by their inodes has it. */
#ifndef EBG_IDENTIFY_H
#define EBG_IDENTIFY_H

#include "abi.h"
#include "kernel.h"

/* Lists the inodes of the files that the loader has open, because stat(2) has other words for some file systems. */
PROGRAM("iter/task_file", ebg_identify)(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct task_struct *task = ctx->task;
	struct ebg_open_file found = {};

	if (!file || !task || task->tgid != (int)(bpf_get_current_pid_tgid() >> 32))
		return 0;
	found.fd = ctx->fd;
	found.inode.number = BPF_CORE_READ(file, f_path.dentry, d_inode, i_ino);
	found.inode.device = BPF_CORE_READ(file, f_path.dentry, d_sb, s_dev);
	found.inode.generation = BPF_CORE_READ(file, f_path.dentry, d_inode, i_generation);
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

#endif
