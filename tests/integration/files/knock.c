/* Copyright (c) 2026 The Loopbreak authors */
/* GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt) */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tries to reach 192.0.2.10, whatever its arguments are: so a process with any command line can be had.
 * KNOCK=below: a program below it does. KNOCK=stay: it does, and stays.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	const char *how = getenv("KNOCK");
	int i;

	if (how && strcmp(how, "below") == 0) {
		unsetenv("KNOCK");
		if (fork() == 0)
			execl("/proc/self/exe", "below", (char *)NULL);
		wait(NULL);
		return 0;
	}
	inet_pton(AF_INET, "192.0.2.10", &to.sin_addr);
	connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&to, sizeof(to));
	if (how && strcmp(how, "stay") == 0) {
		for (i = 0; i < 3; i++)
			close(i); /* nobody waits for its output */
		setsid();
		pause();
	}
	return 0;
}
