// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is measured for files: open(2) and close(2) of one file, as often as told, by a process in the cgroup that is
 * told. Prints the time that it took, in ns. Linked statically, it runs on machines that have no compiler.
 *
 * opens CGROUP FILE COUNT
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void enter(const char *cgroup)
{
	char path[4096];
	FILE *procs;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	procs = fopen(path, "w");
	if (!procs || fprintf(procs, "%d", getpid()) < 0 || fclose(procs))
		err(1, "%s", path);
}

static void opens(const char *path, long count)
{
	while (count--) {
		int fd = open(path, O_RDONLY);

		if (fd < 0)
			err(1, "%s", path);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	long long began;
	long count;

	if (argc != 4)
		errx(2, "opens CGROUP FILE COUNT");
	count = atol(argv[3]);
	enter(argv[1]);
	opens(argv[2], count / 100 + 1); /* so that the first turns find warm caches, too */
	began = now();
	opens(argv[2], count);
	printf("%lld\n", now() - began);
	return 0;
}
