/* SPDX-License-Identifier: Apache-2.0 */
/* Asking DNS servers; see dns_client.h. Role acme, a job's thread. */
#include "acme/dns_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#define SLICE_MS 200 /* after so long it is looked whether the job is to end */

/* Waits until the socket is ready. OK, ERR_TIMEOUT, ERR_CLOSED (the job is to end). */
static int ready(struct acme_job *job, int fd, short events, uint64_t until)
{
	while (!acme_job_stopped(job)) {
		struct pollfd p = { .fd = fd, .events = events };
		int n = poll(&p, 1, SLICE_MS);

		if (n > 0)
			return OK;
		if (clock_mono() >= until)
			return ERR_TIMEOUT;
	}
	return ERR_CLOSED;
}

static bool fits(const struct dns_out *m, const struct dns_in *in)
{
	char asked[DNS_MAX_NAME];
	size_t at = 12;

	return in->response && in->id == acme_dns_u16(m->p) && in->opcode == (m->p[2] >> 3 & 15) &&
	       acme_dns_name_read(m->p, m->len, &at, asked) == OK &&
	       (in->asked[0] == '\0' || strcmp(asked, in->asked) == 0);
}

/* --- UDP ------------------------------------------------------------------------------------ */

static int udp(struct acme_job *job, const struct net_addr *server, const struct dns_out *m,
               uint8_t *answer, size_t *ret_len, struct dns_in *in)
{
	uint64_t until = clock_mono() + DNS_WAIT_S * NS_PER_S;
	int fd = socket(server->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = ERR_SYSTEM;

	if (fd >= 0 && connect(fd, &server->sa, server->len) == 0 &&
	    send(fd, m->p, m->len, 0) == (ssize_t)m->len)
		err = OK;
	while (err == OK) {
		ssize_t n;

		err = ready(job, fd, POLLIN, until);
		if (err != OK)
			break;
		n = recv(fd, answer, DNS_MAX_MESSAGE, 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			err = ERR_SYSTEM;
		if (n <= 0)
			continue;
		*ret_len = (size_t)n;
		if (acme_dns_read(answer, *ret_len, in) == OK && fits(m, in))
			break; /* others may be anybody's */
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* --- TCP ------------------------------------------------------------------------------------ */

static int all(struct acme_job *job, int fd, uint8_t *p, size_t len, bool sending, uint64_t until)
{
	while (len > 0) {
		int err = ready(job, fd, sending ? POLLOUT : POLLIN, until);
		ssize_t n;

		if (err != OK)
			return err;
		n = sending ? send(fd, p, len, MSG_NOSIGNAL) : recv(fd, p, len, 0);
		if (n == 0)
			return ERR_CLOSED;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return ERR_SYSTEM;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return OK;
}

static int tcp(struct acme_job *job, const struct net_addr *server, const struct dns_out *m,
               uint8_t *answer, size_t *ret_len, struct dns_in *in)
{
	uint64_t until = clock_mono() + DNS_WAIT_S * NS_PER_S;
	uint8_t request[2 + sizeof(m->p)];
	uint8_t length[2];
	int fd = socket(server->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = ERR_SYSTEM;

	request[0] = (uint8_t)(m->len >> 8);
	request[1] = (uint8_t)m->len;
	memcpy(request + 2, m->p, m->len);
	if (fd >= 0 && (connect(fd, &server->sa, server->len) == 0 || errno == EINPROGRESS))
		err = all(job, fd, request, m->len + 2, true, until);
	if (err == OK)
		err = all(job, fd, length, sizeof(length), false, until);
	if (err == OK) {
		*ret_len = acme_dns_u16(length);
		err = all(job, fd, answer, *ret_len, false, until);
	}
	if (err == OK && (acme_dns_read(answer, *ret_len, in) != OK || !fits(m, in)))
		err = ERR_SYNTAX;
	if (fd >= 0)
		close(fd);
	return err;
}

int acme_dns_exchange(struct acme_job *job, const struct net_addr *server, const struct dns_out *m,
                      uint8_t *answer, size_t *ret_len, struct dns_in *ret, char *why, size_t size)
{
	char text[NET_ADDR_TEXT];
	int err = ERR_INVALID;

	if (m->bad) {
		snprintf(why, size, "a name does not fit into a message of the DNS");
		return ERR_INVALID;
	}
	for (unsigned i = 0; i < DNS_TRIES; i++) {
		err = udp(job, server, m, answer, ret_len, ret);
		if (err == OK && ret->truncated)
			err = tcp(job, server, m, answer, ret_len, ret);
		if (err == OK || err == ERR_CLOSED)
			break;
		if (err == ERR_SYSTEM && !acme_job_sleep(job, 1000))
			break; /* refused at once: it may be starting */
	}
	if (err != OK)
		snprintf(why, size, "the DNS server %s does not answer: %s",
		         net_addr_format(server, text),
		         err == ERR_SYSTEM ? strerror(errno) : err_text(err));
	return err;
}
