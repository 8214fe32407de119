/* SPDX-License-Identifier: Apache-2.0 */
/* Packets with descriptors between the processes of one node (unix(7), SCM_RIGHTS). */
#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "net/sock.h"

#define FDS_MAX 253 /* SCM_MAX_FD of the kernel */

union control {
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

int net_pair(int ret[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0) {
		return ERR_SYSTEM;
	}
	return OK;
}

int net_send_fds(int fd, const void *data, size_t len, const int *fds, int nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *c;
	ssize_t n;

	/* An empty packet looks like the end to its receiver. */
	CHECK(len > 0 && nfds >= 0 && nfds <= FDS_MAX);
	if (nfds > 0) {
		size_t bytes = (size_t)nfds * sizeof(int);

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		return OK;
	}
	switch (errno) {
	case EAGAIN:
		return ERR_AGAIN;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
	case ECONNREFUSED:
		return ERR_CLOSED;
	default:
		return ERR_SYSTEM;
	}
}

/* Hands out the first *nfds descriptors and closes the rest. True when some had no room. */
static bool take_fds(struct msghdr *msg, int *fds, int *nfds)
{
	int room = *nfds, total = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		int n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < n; i++, total++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(one));
			if (total < room) {
				fds[total] = one;
			} else {
				close(one);
			}
		}
	}
	*nfds = MIN(total, room);
	return total > room;
}

ssize_t net_recv_fds(int fd, void *data, size_t len, int *fds, int *nfds)
{
	struct iovec iov = { .iov_base = data, .iov_len = len };
	union control control;
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control.bytes,
		              .msg_controllen = sizeof(control.bytes) };
	bool cut;
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		*nfds = 0;
		if (errno == EAGAIN) {
			return ERR_AGAIN;
		}
		return errno == ECONNRESET ? ERR_CLOSED : ERR_SYSTEM;
	}
	cut = take_fds(&msg, fds, nfds);
	if (cut || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		while (*nfds > 0) {
			close(fds[--*nfds]);
		}
		return ERR_TOO_LARGE;
	}
	return n == 0 ? ERR_CLOSED : n;
}
