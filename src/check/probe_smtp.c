/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smtp probe (RFC 5321): greeting, EHLO, QUIT. Over TLS: STARTTLS and EHLO once more (RFC
 * 3207), or on port 465 TLS from the first byte (RFC 8314). Main thread of the role check.
 */
#include <stdio.h>

#include "check/answer.h"
#include "check/probe.h"
#include "net/sock.h"

enum { SMTP_GREETING, SMTP_EHLO, SMTP_STARTTLS, SMTP_EHLO_TLS };

#define PORT_TLS 465

/* RFC 5321 section 4.1.3: a client without a name gives its address. */
static void say_ehlo(struct probe *p)
{
	char address[NET_ADDR_TEXT], line[NET_ADDR_TEXT + 32];
	struct net_addr local;
	int n;

	net_local_addr(p->s.io.fd, &local);
	if (local.sa.sa_family == AF_UNIX) {
		n = snprintf(line, sizeof(line), "EHLO localhost\r\n");
	} else {
		n = snprintf(line, sizeof(line), "EHLO [%s%s]\r\n",
		             local.sa.sa_family == AF_INET6 ? "IPv6:" : "",
		             net_addr_host(&local, address));
	}
	probe_say(p, line, (size_t)n);
}

static void smtp_opened(struct probe *p)
{
	if (p->phase == SMTP_STARTTLS) {
		p->phase = SMTP_EHLO_TLS;
		say_ehlo(p);
	} else if (p->tls != NULL && tls_ssl(&p->s) == NULL &&
	           net_addr_port(&p->address) == PORT_TLS) {
		(void)probe_begin_tls(p);
	}
}

static void finish(struct probe *p)
{
	probe_bye(p, "QUIT\r\n", 6);
	probe_well(p);
}

/* What was asked for is granted; left: bytes behind the answer. */
static void go_on(struct probe *p, const struct answer_smtp *a, size_t left)
{
	bool tls = p->tls != NULL && tls_ssl(&p->s) == NULL;

	switch (p->phase) {
	case SMTP_GREETING:
		p->phase = SMTP_EHLO;
		say_ehlo(p);
		break;
	case SMTP_EHLO:
		if (tls && !a->starttls) {
			probe_bye(p, "QUIT\r\n", 6);
			probe_ill(p, FAIL_TLS, "does not offer STARTTLS");
		} else if (tls) {
			p->phase = SMTP_STARTTLS;
			probe_say(p, "STARTTLS\r\n", 10);
		} else {
			finish(p);
		}
		break;
	case SMTP_STARTTLS:
		if (left > 0) { /* in clear text, to be taken for what came over TLS */
			probe_ill(p, FAIL_BAD_RESPONSE, "bytes between STARTTLS and TLS");
		} else {
			(void)probe_begin_tls(p);
		}
		break;
	default:
		finish(p);
		break;
	}
}

static size_t smtp_take(struct probe *p, struct str got)
{
	struct answer_smtp a;
	ssize_t n = answer_smtp(got, &a);
	unsigned want = p->phase == SMTP_GREETING || p->phase == SMTP_STARTTLS ? 220 : 250;
	char words[ANSWER_WORDS];

	if (n == ANSWER_BAD) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of a mail server");
		return 0;
	}
	if (n == 0) {
		return 0;
	}
	if (a.code != want) {
		probe_bye(p, "QUIT\r\n", 6);
		probe_ill(p, FAIL_STATUS, "%u %s", a.code, answer_words(a.text, words));
	} else {
		go_on(p, &a, got.len - (size_t)n);
	}
	return (size_t)n;
}

const struct probe_ops probe_smtp = {
	.name = "smtp",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = smtp_opened,
	.take = smtp_take,
	.stop = probe_talk_stop,
	.timed_out = probe_link_timed_out,
	.tls_later = true,
};
