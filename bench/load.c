// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is measured: one kind of traffic, as often as told, by a process in the cgroup that is told. Prints the time
 * that it took, in ns.
 *
 * load CGROUP CPU connect|elsewhere|send|traced|write|sendfile|dns|http ADDRESS COUNT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "enter.h"

#define CHUNK 65536
#define NAMES 256 /* that are asked for in turn */

static struct sockaddr_in target(const char *address, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		errx(1, "no address: %s", address);
	return to;
}

static int connected(int type, const char *address, int port)
{
	struct sockaddr_in to = target(address, port);
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || connect(fd, (void *)&to, sizeof(to)) < 0)
		err(1, "connect to %s port %d", address, port);
	return fd;
}

/* The cheapest connect(2) there is: one datagram socket, connected again and again. Nothing is sent. */
static void load_connect(const char *address, long count)
{
	struct sockaddr_in to = target(address, 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	while (count--)
		if (connect(fd, (void *)&to, sizeof(to)) < 0)
			err(1, "connect");
}

#define ELSEWHERE 100000

/* The same, to another address each time, around the one that is told: none of the last 100,000. */
static void load_elsewhere(const char *address, long count)
{
	struct sockaddr_in to = target(address, 9);
	uint32_t first = ntohl(to.sin_addr.s_addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	while (count--) {
		to.sin_addr.s_addr = htonl(first + 2 * (count % ELSEWHERE));
		if (connect(fd, (void *)&to, sizeof(to)) < 0)
			err(1, "connect");
	}
}

/* A datagram each, from a socket that is not connected: to a port whose owner reads none. */
static void load_send(const char *address, long count)
{
	struct sockaddr_in to = target(address, 9);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	while (count--)
		if (sendto(fd, "", 1, 0, (void *)&to, sizeof(to)) != 1)
			err(1, "sendto");
}

/* Waits until the other side has read everything. */
static void finish(int fd)
{
	char end;

	shutdown(fd, SHUT_WR);
	if (read(fd, &end, 1) != 0)
		errx(1, "the server has not read everything");
	close(fd);
}

static void load_write(const char *address, long count)
{
	static char chunk[CHUNK];
	int fd = connected(SOCK_STREAM, address, 9);

	while (count--)
		for (size_t done = 0; done < CHUNK;) {
			ssize_t sent = write(fd, chunk + done, CHUNK - done);

			if (sent < 0)
				err(1, "write");
			done += sent;
		}
	finish(fd);
}

static void load_sendfile(const char *address, long count)
{
	int fd = connected(SOCK_STREAM, address, 9), file = memfd_create("chunk", 0);
	char chunk[CHUNK] = "";

	if (write(file, chunk, CHUNK) != CHUNK)
		err(1, "memfd");
	while (count--)
		for (off_t done = 0; done < CHUNK;)
			if (sendfile(fd, file, &done, CHUNK - done) <= 0)
				err(1, "sendfile");
	finish(fd);
}

/* A question for the address of nNNN.allowed.example; returns its size. */
static size_t question(unsigned char *message, int number)
{
	static const char rest[] = "\7allowed\7example\0\0\1\0\1"; /* its own NUL is not sent */
	char label[8];
	int length = snprintf(label, sizeof(label), "n%03d", number);

	memset(message, 0, 12);
	message[1] = number;
	message[2] = 1; /* recursion desired */
	message[5] = 1; /* one question */
	message[12] = length;
	memcpy(message + 13, label, length);
	memcpy(message + 13 + length, rest, sizeof(rest) - 1);
	return 13 + length + sizeof(rest) - 1;
}

static void load_dns(const char *address, long count)
{
	int fd = connected(SOCK_DGRAM, address, 53);
	unsigned char asked[128], answer[512];

	while (count--) {
		size_t size = question(asked, count % NAMES);

		if (send(fd, asked, size, 0) < 0 || recv(fd, answer, sizeof(answer), 0) < (ssize_t)size)
			err(1, "DNS");
		if (answer[1] != asked[1] || !answer[7])
			errx(1, "DNS: that is no answer");
	}
}

/* A connection for each request, as a deployment's many small tools make them. */
static void load_http(const char *address, long count)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: www.allowed.example\r\nConnection: close\r\n\r\n";
	struct linger abort = { .l_onoff = 1 }; /* no TIME_WAIT: the ports would run out */
	char response[512];

	while (count--) {
		int fd = connected(SOCK_STREAM, address, 80);

		if (write(fd, request, sizeof(request) - 1) < 0 || read(fd, response, sizeof(response)) <= 0)
			err(1, "HTTP");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
		close(fd);
	}
}

static const struct {
	const char *name;
	void (*run)(const char *address, long count);
	clockid_t clock; /* that of the process where it waits for nobody: others on the machine then don't count */
} LOADS[] = {
	{ "connect", load_connect, CLOCK_PROCESS_CPUTIME_ID },
	{ "elsewhere", load_elsewhere, CLOCK_PROCESS_CPUTIME_ID },
	{ "send", load_send, CLOCK_PROCESS_CPUTIME_ID },
	{ "traced", load_connect, CLOCK_MONOTONIC }, /* what the tracer takes is no time of the process */
	{ "write", load_write, CLOCK_MONOTONIC },
	{ "sendfile", load_sendfile, CLOCK_MONOTONIC },
	{ "dns", load_dns, CLOCK_MONOTONIC },
	{ "http", load_http, CLOCK_MONOTONIC },
};

static void stay_on(int cpu)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof(only), &only) < 0)
		err(1, "CPU %d", cpu);
	/* What else runs on the machine is not to be measured. Where that is not allowed, it shows in the spread. */
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
}

static long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 6)
		errx(2, "usage: load CGROUP CPU connect|send|traced|write|sendfile|dns|http ADDRESS COUNT");
	enter(argv[1]);
	stay_on(atoi(argv[2]));
	for (size_t i = 0; i < sizeof(LOADS) / sizeof(*LOADS); i++) {
		long count = atol(argv[5]), began;

		if (strcmp(argv[3], LOADS[i].name))
			continue;
		LOADS[i].run(argv[4], count / 20 + 1); /* warms up */
		began = now(LOADS[i].clock);
		LOADS[i].run(argv[4], count);
		printf("%ld\n", now(LOADS[i].clock) - began);
		return 0;
	}
	errx(2, "no such load: %s", argv[3]);
}
