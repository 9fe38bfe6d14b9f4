// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The other side of the loads, outside every guard: a resolver (UDP port 53), one that reads whatever comes (TCP port 9),
 * and a port for datagrams that nobody reads (9). Each is a process that ends with its parent, and the parent with its own.
 *
 * servers ADDRESS       says "ready" when it listens
 */
#include <arpa/inet.h>
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int bound(const char *address, int type, int port)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, type, 0), yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (inet_pton(AF_INET, address, &here.sin_addr) != 1 || bind(fd, (void *)&here, sizeof(here)) < 0)
		err(1, "%s port %d", address, port);
	if (type == SOCK_STREAM && listen(fd, 128) < 0)
		err(1, "listen");
	return fd;
}

/* Answers every question with one address. */
static void serve_dns(int fd)
{
	static const unsigned char record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 1 };
	unsigned char message[512];

	for (;;) {
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		ssize_t size = recvfrom(fd, message, sizeof(message) - sizeof(record), 0, (void *)&from, &length);
		unsigned char *end = message + 12;

		if (size < 17)
			continue;
		while (*end && end < message + size - 5)
			end += *end + 1;
		end += 5; /* the last label, type and class; what stands behind them (EDNS) is left out */
		message[2] = 0x81;
		message[3] = 0x80; /* an answer, without error */
		message[7] = 1;
		message[9] = message[11] = 0;
		memcpy(end, record, sizeof(record));
		sendto(fd, message, end + sizeof(record) - message, 0, (void *)&from, length);
	}
}

static void serve_discard(int listener)
{
	static char buffer[1 << 18];

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (read(fd, buffer, sizeof(buffer)) > 0)
			;
		close(fd);
	}
}

static void start(void (*serve)(int fd), int fd)
{
	pid_t parent = getpid();

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		serve(fd);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(2, "usage: servers ADDRESS");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start(serve_dns, bound(argv[1], SOCK_DGRAM, 53));
	start(serve_discard, bound(argv[1], SOCK_STREAM, 9));
	bound(argv[1], SOCK_DGRAM, 9); /* nobody reads: what does not fit is dropped */
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
