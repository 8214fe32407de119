/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of lab.sock. The keeper and who asks it. */
#include "lab/packet.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sock.h"

#define PACKET_MAX (180 * 1024) /* what a socket's usual buffer takes as one packet */

static int open_socket(const char *dir, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (snprintf(un->sun_path, sizeof(un->sun_path), "%s/lab.sock", dir) >=
	    (int)sizeof(un->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int failed(int fd)
{
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ERR_SYSTEM;
}

int lab_packet_listen(const char *dir)
{
	struct sockaddr_un un;
	int fd = open_socket(dir, &un);

	if (fd < 0 || fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 ||
	    listen(fd, 64) != 0)
		return failed(fd);
	return fd;
}

int lab_packet_connect(const char *dir)
{
	struct sockaddr_un un;
	int fd = open_socket(dir, &un);

	/* EAGAIN: its queue is full for the moment. */
	for (unsigned i = 0; fd >= 0; i++) {
		if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
			return fd;
		if (errno != EAGAIN || i == 200)
			break;
		usleep(10000);
	}
	return failed(fd);
}

int lab_packet_send(int fd, const json_t *j, const int fds[3])
{
	char *text = json_dumps(j, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	int err = !text ? ERR_NOMEM : len > PACKET_MAX ? ERR_TOO_LARGE : OK;

	if (err == OK)
		err = net_send_fds(fd, text, len, fds, fds ? 3 : 0);
	free(text);
	return err;
}

int lab_packet_receive(int fd, json_t **ret, int *fds, int *nfds)
{
	char *text = malloc(PACKET_MAX);
	ssize_t n = text ? net_recv_fds(fd, text, PACKET_MAX, fds, nfds) : ERR_NOMEM;
	int err = n < 0 ? (int)n : OK;

	if (n < 0)
		*nfds = 0;
	if (err == OK) {
		*ret = json_loadb(text, (size_t)n, 0, NULL);
		err = *ret ? OK : ERR_SYNTAX;
	}
	free(text);
	return err;
}
