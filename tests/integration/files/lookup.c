/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks a name up by the C library that it is linked with: lookup NAME. Prints its address, or why there is none. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int count, char **arguments)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	char text[INET6_ADDRSTRLEN];
	int error = count == 2 ? getaddrinfo(arguments[1], "443", &hints, &found) : EAI_NONAME;

	if (error) {
		puts(gai_strerror(error));
		return 1;
	}
	getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	puts(text);
	return 0;
}
