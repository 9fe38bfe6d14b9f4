/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks a name up by the C library that it is linked with: lookup NAME. Prints its address, or why there is none.
 * lookup NAME PORT connects there as well, and prints why it can't. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **arguments)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char text[INET6_ADDRSTRLEN];
	int error = count > 1 ? getaddrinfo(arguments[1], count > 2 ? arguments[2] : "443", &hints, &found) : EAI_NONAME;

	if (error) {
		puts(gai_strerror(error));
		return 1;
	}
	if (count > 2 && connect(socket(found->ai_family, SOCK_STREAM, 0), found->ai_addr, found->ai_addrlen)) {
		puts(strerror(errno));
		return 1;
	}
	getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	puts(text);
	return 0;
}
