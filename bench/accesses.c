// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is measured for files: open(2) and close(2) of one file, or its execution in a process of its own, as often as told,
 * by a process in the cgroup that is told. Prints the time that it took, in ns. Linked statically, it runs on machines
 * that have no compiler.
 *
 * accesses open|exec CGROUP FILE COUNT
 */
#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

static void opened(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	close(fd);
}

static void executed(const char *path)
{
	char *argv[] = { (char *)path, NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, path, NULL, NULL, argv, argv + 1) || waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s can not be executed", path);
}

int main(int argc, char **argv)
{
	void (*access)(const char *path);
	long count, number;
	long long began;

	if (argc != 5)
		errx(2, "accesses open|exec CGROUP FILE COUNT");
	access = strcmp(argv[1], "exec") ? opened : executed;
	count = atol(argv[4]);
	enter(argv[2]);
	for (number = 0; number <= count / 100; number++)
		access(argv[3]); /* so that the first turns find warm caches, too */
	began = now();
	for (number = 0; number < count; number++)
		access(argv[3]);
	printf("%lld\n", now() - began);
	return 0;
}
