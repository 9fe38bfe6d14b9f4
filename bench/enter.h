/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a load of the bench goes into the cgroup that it is measured in. */
#ifndef ENTER_H
#define ENTER_H

#include <err.h>
#include <stdio.h>
#include <unistd.h>

static void enter(const char *cgroup)
{
	char path[4096];
	FILE *procs;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	procs = fopen(path, "w");
	if (!procs || fprintf(procs, "%d", getpid()) < 0 || fclose(procs))
		err(1, "%s", path);
}

#endif
