// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is measured for files: open(2) and close(2) of one file, its execution in a process of its own, reading a
 * whole tree by tar, or looking for changes in one by git, as often as told, by a process in the cgroup that is told.
 * Prints the CPU time that it took, in ns, its children's included. Linked statically, it runs on machines that have no
 * compiler.
 *
 * accesses open|exec|tar|status CGROUP PATH COUNT
 */
#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "enter.h"

static long long now(void)
{
	struct timespec time;
	struct rusage children;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	getrusage(RUSAGE_CHILDREN, &children);
	return (time.tv_sec + children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000000LL + time.tv_nsec +
	       (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1000LL;
}

static void opened(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	close(fd);
}

static void run(char **argv)
{
	char *environment[] = { NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environment) || waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s failed", argv[0]);
}

static void executed(const char *path)
{
	run((char *[]){ (char *)path, NULL });
}

/* cat(1), because tar(1) reads nothing where it sees that it writes to /dev/null. */
static void packed(const char *path)
{
	run((char *[]){ "/bin/sh", "-c", "/bin/tar -cf - -C \"$0\" . | /bin/cat > /dev/null", (char *)path, NULL });
}

static void compared(const char *path)
{
	run((char *[]){ "/usr/bin/git", "-C", (char *)path, "status", "--short", NULL });
}

static const struct {
	const char *name;
	void (*access)(const char *path);
} ACCESSES[] = { { "open", opened }, { "exec", executed }, { "tar", packed }, { "status", compared } };

int main(int argc, char **argv)
{
	void (*access)(const char *path) = NULL;
	long count, number;
	long long began;
	size_t i;

	for (i = 0; argc == 5 && i < sizeof(ACCESSES) / sizeof(*ACCESSES); i++)
		if (!strcmp(argv[1], ACCESSES[i].name))
			access = ACCESSES[i].access;
	if (!access)
		errx(2, "usage: accesses open|exec|tar|status CGROUP PATH COUNT");
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
