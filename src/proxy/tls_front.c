/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards clients; see tls_front.h. Proxy role, one worker thread each. */
#include "proxy/tls_front.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "http/http.h"
#include "proxy/identity.h"
#include "proxy/listener.h"

#define SAY_EVERY NS_PER_S /* one line of log a listener and thread in so long */

/* Strangers can make these at will: few lines, and none above info. */
static void say(struct client *c, const char *why)
{
	struct listener *l = c->listener;
	const uint64_t now = c->thread->loop->now;
	char from[NET_ADDR_TEXT], also[64] = "";
	struct net_addr peer;

	stat_add(&l->wire->c[WIRE_TLS_FAILED], 1);
	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	if (l->tls_said != 0 && now - l->tls_said < SAY_EVERY) {
		l->tls_unsaid++;
		return;
	}
	if (l->tls_unsaid > 0)
		snprintf(also, sizeof(also), "; %u more failed before", l->tls_unsaid);
	client_peer(c, &peer);
	log_info("tls_failed", l->conf->name.s, "TLS handshake with %s failed: %s%s",
	         net_addr_format(&peer, from), why, also);
	l->tls_said = now;
	l->tls_unsaid = 0;
}

static int begin(struct client *c)
{
	struct str early = flow_str(&c->in);
	int err;

	if (c->listener->tls == NULL) {
		say(c, "the listener's certificates could not be loaded");
		return ERR_REFUSED;
	}
	err = tls_server_accept(c->listener->tls, &c->s, early);
	flow_free(&c->in);
	return err;
}

static int done(struct client *c)
{
	struct wire_block *w = c->listener->wire;

	stat_add(&w->c[WIRE_TLS_HANDSHAKES], 1);
	if (tls_resumed(&c->s))
		stat_add(&w->c[WIRE_TLS_RESUMED], 1);
	if (tls_is_challenge(&c->s)) /* RFC 8737, 3: the handshake is all there is to it */
		return ERR_CLOSED;
	return identity_make(tls_ssl(&c->s), &c->identity);
}

int tls_front_handshake(struct client *c)
{
	int err;

	/* An object for TLS is made when the first byte is there: who only connects costs little.
	 */
	if (c->s.layer == NULL) {
		if (!c->s.readable && flow_empty(&c->in))
			return ERR_AGAIN;
		err = begin(c);
		if (err != OK)
			return err;
	}
	if (!flow_empty(&c->s.out) && stream_flush(&c->s) != OK)
		return ERR_SYSTEM;
	err = tls_handshake(&c->s);
	if (err == OK)
		return done(c);
	/* Monitors connect and close: that is no failure. */
	if (err != ERR_AGAIN && !(err == ERR_CLOSED && !tls_heard(&c->s)))
		say(c, tls_why(&c->s));
	return err;
}

void tls_front_timeout(struct client *c)
{
	if (c->s.layer != NULL)
		say(c, "not done in time");
}

bool tls_front_serves(const struct client *c, struct str host)
{
	const struct tls_server *s = c->listener->tls;

	return s == NULL || tls_server_rule(s, http_host_name(host)) == tls_rule_of(&c->s);
}
