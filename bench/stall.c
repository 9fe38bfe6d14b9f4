// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * How long others have to wait: a process on each CPU that is told sleeps a millisecond at a time, until standard input
 * ends. Prints the longest time, in ns, by which one of them woke too late.
 *
 * stall CPU...
 */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND 1000000L

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void watch(int cpu, volatile long *longest)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof(only), &only) < 0)
		err(1, "CPU %d", cpu);
	/* Then it waits for the kernel alone, and not for its turn among processes. */
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
	for (;;) {
		long began = now(), late;

		nanosleep(&(struct timespec){ .tv_nsec = MILLISECOND }, NULL);
		late = now() - began - MILLISECOND;
		if (late > *longest)
			*longest = late;
	}
}

int main(int argc, char **argv)
{
	long *longest = mmap(NULL, argc * sizeof(*longest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid();
	char end;
	int i;

	if (argc < 2 || longest == MAP_FAILED)
		errx(2, "usage: stall CPU...");
	for (i = 1; i < argc; i++) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			watch(atoi(argv[i]), &longest[i]);
		_exit(0);
	}
	while (read(0, &end, 1) > 0)
		;
	if (waitpid(-1, NULL, WNOHANG))
		errx(1, "a process on a CPU has ended");
	for (i = 1; i < argc; i++)
		if (longest[i] > longest[0])
			longest[0] = longest[i];
	printf("%ld\n", longest[0]);
	return 0;
}
