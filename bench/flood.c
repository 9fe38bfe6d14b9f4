// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Asks a DNS server so many questions a second, on several sockets, and looks at each answer: is it for this socket, with
 * the number and the name of a question that is open there?
 *
 * flood SERVER NAME RATE SECONDS SOCKETS [CGROUP]    asks for n000.NAME to n999.NAME; enters the cgroup first
 *
 * Prints a JSON object: questions sent, refused (EPERM on the send) and failed; answers, those that there is no such name,
 * and those astray; questions still open; and the time from question to answer, in us.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "enter.h"

#define NAMES 1000
#define IDS 65536
#define MOST 64 /* sockets */
#define PATIENCE 2000 /* ms without any answer, after which what is open stays so */
#define LARGE (8 << 20)

struct asked {
	long when; /* 0: nothing is open under this number */
	int name;
};

static struct asked *open_under[MOST];
static struct pollfd sockets[MOST];
static long sent, refused, failed, answers, nxdomain, astray, *took;

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* The question's bytes; returns their number. */
static int question(unsigned char *message, int id, int name, const char *suffix)
{
	unsigned char *end = message + 12;
	char whole[256], *rest = whole, *label;

	snprintf(whole, sizeof(whole), "n%03d.%s", name, suffix);
	memset(message, 0, 12);
	message[0] = id >> 8;
	message[1] = id;
	message[2] = 1; /* recursion desired */
	message[5] = 1; /* one question */
	while ((label = strsep(&rest, "."))) {
		*end = strlen(label);
		memcpy(end + 1, label, *end);
		end += *end + 1;
	}
	memcpy(end, "\0\0\1\0\1", 5);
	return end + 5 - message;
}

static void ask(int number, long sequence, const char *suffix)
{
	unsigned char message[512];
	int id = sequence & (IDS - 1), name = sequence % NAMES;
	int size = question(message, id, name, suffix);
	struct asked *one = &open_under[number][id];

	*one = (struct asked){ .when = now(), .name = name };
	sent++;
	if (send(sockets[number].fd, message, size, 0) == size)
		return;
	one->when = 0;
	if (errno == EPERM)
		refused++;
	else
		failed++;
}

static void hear(int number, const char *suffix)
{
	unsigned char message[512], wanted[512];
	ssize_t size;

	while ((size = recv(sockets[number].fd, message, sizeof(message), MSG_DONTWAIT)) > 0) {
		struct asked *one = &open_under[number][message[0] << 8 | message[1]];
		int length = question(wanted, 0, one->name, suffix);

		if (size < length || !one->when || memcmp(message + 12, wanted + 12, length - 12)) {
			astray++;
			continue;
		}
		took[answers++] = now() - one->when;
		nxdomain += (message[3] & 15) == 3;
		one->when = 0;
	}
}

static int compare(const void *one, const void *other)
{
	return (*(const long *)one > *(const long *)other) - (*(const long *)one < *(const long *)other);
}

static double part(double share)
{
	return answers ? took[(long)(share * (answers - 1))] / 1e3 : 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(53) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(53) };
	long rate, count, began, heard, before;
	int number, many, large = LARGE, is_ipv4;

	if (argc < 6)
		errx(2, "usage: flood SERVER NAME RATE SECONDS SOCKETS [CGROUP]");
	if (argc > 6)
		enter(argv[6]);
	rate = atol(argv[3]);
	count = rate * atol(argv[4]);
	many = atoi(argv[5]);
	is_ipv4 = inet_pton(AF_INET, argv[1], &to4.sin_addr) == 1;
	if (many < 1 || many > MOST || (!is_ipv4 && inet_pton(AF_INET6, argv[1], &to6.sin6_addr) != 1))
		errx(2, "%s, %s: no address, or no number of sockets", argv[1], argv[5]);
	took = calloc(count, sizeof(*took));
	for (number = 0; number < many; number++) {
		int fd = socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);

		/* what arrives while this process sleeps is to be heard, too */
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large)))
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
		if (connect(fd, is_ipv4 ? (void *)&to4 : (void *)&to6, is_ipv4 ? sizeof(to4) : sizeof(to6)))
			err(1, "connect");
		sockets[number] = (struct pollfd){ .fd = fd, .events = POLLIN };
		open_under[number] = calloc(IDS, sizeof(struct asked));
	}
	began = heard = now();
	while (sent < count || (answers + astray < sent - refused - failed && now() - heard < PATIENCE * 1000000L)) {
		before = answers;
		while (sent < count && sent < (now() - began) * 1e-9 * rate)
			ask(sent % many, sent / many, argv[2]);
		poll(sockets, many, 1);
		for (number = 0; number < many; number++)
			hear(number, argv[2]);
		if (answers > before || sent < count)
			heard = now();
	}
	qsort(took, answers, sizeof(*took), compare);
	printf("{\"sent\": %ld, \"refused\": %ld, \"failed\": %ld, \"answers\": %ld, \"nxdomain\": %ld, \"astray\": %ld, \"open\": %ld, "
	       "\"seconds\": %.2f, \"median\": %.1f, \"p95\": %.1f, \"p99\": %.1f}\n",
	       sent, refused, failed, answers, nxdomain, astray, sent - refused - failed - answers, (now() - began) / 1e9, part(0.5),
	       part(0.95), part(0.99));
	return 0;
}
