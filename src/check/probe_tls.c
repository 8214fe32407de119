/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tls probe: a full handshake, in which the server's certificate is verified as the check's or
 * the pool's TLS options say, and which must be valid for some time more. Main thread of the role
 * check.
 */
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "check/probe.h"

#define DAY_S 86400

static void tls_start(struct probe *p)
{
	tls_session_free(&p->session); /* a resumed session would show no certificate */
	probe_talk_start(p);
}

/* The words for a time that a certificate has left, or is over. */
static void judge(struct probe *p, int days, int seconds)
{
	if (days < 0 || seconds < 0) {
		probe_ill(p, FAIL_TLS, "certificate has expired");
	} else if (days >= 2) {
		probe_ill(p, FAIL_TLS, "certificate expires in %d days", days);
	} else {
		probe_ill(p, FAIL_TLS, "certificate expires in %d hours",
		          (days * DAY_S + seconds) / 3600);
	}
}

static void tls_opened(struct probe *p)
{
	X509 *cert = SSL_get0_peer_certificate(tls_ssl(&p->s));
	int days = 0, seconds = 0;

	if (cert == NULL || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1) {
		probe_ill(p, FAIL_TLS, "no certificate with a date");
		return;
	}
	probe_bye(p, NULL, 0);
	if (p->check->expiry > 0 &&
	    ((int64_t)days * DAY_S + seconds) < (int64_t)(p->check->expiry / NS_PER_S)) {
		judge(p, days, seconds);
	} else {
		probe_well(p);
	}
}

/* What a server says first is not asked for. */
static size_t tls_take(struct probe *p, struct str got)
{
	(void)p;
	return got.len;
}

const struct probe_ops probe_tls = {
	.name = "tls",
	.start = tls_start,
	.io = probe_talk_io,
	.opened = tls_opened,
	.take = tls_take,
	.stop = probe_talk_stop,
	.timed_out = probe_link_timed_out,
};
