/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dns probe: one question by UDP with a random id from a random port; the answer has to come
 * from the server asked, to that question, and not be empty. One that was cut short is as good: the
 * server answers. Main thread of the role check.
 */
#include <errno.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "base/err.h"
#include "check/answer.h"
#include "check/probe.h"
#include "net/sock.h"

static size_t question_of(const struct probe *p, uint8_t out[ANSWER_DNS_MAX])
{
	return answer_dns_ask((uint16_t)p->number, p->check->dns,
	                      answer_dns_type(p->check->dns_type), out);
}

static void dns_stop(struct probe *p)
{
	probe_close(p);
}

static void failed(struct probe *p, int err)
{
	enum fail_why why = fail_errno(err);

	dns_stop(p);
	probe_verdict(p, why == FAIL_LOCAL ? PROBE_UNDECIDED : PROBE_FAILED, why, NULL);
}

static void dns_start(struct probe *p)
{
	uint8_t question[ANSWER_DNS_MAX];
	uint16_t id = 0;
	size_t len;
	int fd;

	dns_stop(p);
	fd = net_connect_datagrams(&p->address, 0); /* for one answer */
	if (fd < 0) {
		failed(p, errno);
		return;
	}
	stream_init(&p->s, fd, p->s.io.fn);
	p->link = LINK_OPEN;
	if (RAND_bytes((uint8_t *)&id, sizeof(id)) != 1 ||
	    loop_add(p->env->loop, &p->s.io, LOOP_IN) != OK) {
		failed(p, ENOMEM);
		return;
	}
	p->number = id;
	len = question_of(p, question);
	if (send(fd, question, len, 0) < 0) {
		failed(p, errno);
	}
}

static void judge(struct probe *p, const struct answer_dns *a)
{
	dns_stop(p);
	if (a->rcode != 0) {
		probe_verdict(p, PROBE_FAILED, FAIL_STATUS, "%s (%u)", answer_dns_rcode(a->rcode),
		              a->rcode);
	} else if (a->answers == 0 && !a->truncated) {
		probe_verdict(p, PROBE_FAILED, FAIL_STATUS, "NOERROR, but no %.*s record",
		              STR_ARG(p->check->dns_type));
	} else {
		probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
	}
}

static void dns_io(struct probe *p, uint32_t events)
{
	uint8_t question[ANSWER_DNS_MAX];
	char got[4096];
	struct answer_dns a;

	(void)events;
	while (p->s.io.fd >= 0) {
		ssize_t n = recv(p->s.io.fd, got, sizeof(got), 0);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			return;
		}
		if (n < 0) { /* what ICMP said of the question */
			failed(p, errno);
			return;
		}
		if (answer_dns(str_n(got, (size_t)n), question, question_of(p, question), &a)) {
			judge(p, &a);
		}
	}
}

static enum fail_why dns_timed_out(const struct probe *p)
{
	(void)p;
	return FAIL_TIMEOUT;
}

const struct probe_ops probe_dns = {
	.name = "dns",
	.start = dns_start,
	.io = dns_io,
	.stop = dns_stop,
	.timed_out = dns_timed_out,
};
