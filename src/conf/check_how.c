/* SPDX-License-Identifier: Apache-2.0 */
/* What a check does as its pool does, unless it says otherwise: TLS, PROXY header, HTTP/2. */
#include "conf/schema.h"

const struct conf_pool_tls *conf_check_tls(const struct conf_pool *p)
{
	/* Neither the check nor the pool says how: then servers are verified. */
	static const struct conf_pool_tls safe = { .on = true, .verify = true, .resumption = true };
	const struct conf_check *c = &p->check;
	const struct conf_pool_tls *t = c->tls.on ? &c->tls : p->tls.on ? &p->tls : &safe;
	bool plain = c->probe == PROBE_TCP && c->send.len == 0 && c->match.len == 0;

	if (c->probe == PROBE_TLS ||
	    (c->over_tls == CHECK_TLS_ON && PROBES_OVER_TLS >> c->probe & 1)) {
		return t;
	}
	if (c->over_tls == CHECK_TLS_OFF || t == &safe || !(PROBES_OVER_TLS >> c->probe & 1)) {
		return NULL;
	}
	return c->tls.on || !plain ? t : NULL;
}

/* Whether probes go where requests go, and not to a port that is for them alone. */
static bool at_traffic_port(const struct conf_pool *p)
{
	for (uint32_t i = 0; p->check.port != 0 && i < p->nservers; i++) {
		if (net_addr_port(&p->servers[i].address) != p->check.port) {
			return false;
		}
	}
	return true;
}

uint32_t conf_check_send_proxy(const struct conf_pool *p)
{
	const struct conf_check *c = &p->check;

	if (!(PROBES_CONNECT >> c->probe & 1)) {
		return SEND_PROXY_OFF;
	}
	switch (c->send_proxy) {
	case CHECK_PROXY_OFF:
		return SEND_PROXY_OFF;
	case CHECK_PROXY_V1:
		return SEND_PROXY_V1;
	case CHECK_PROXY_V2:
		return SEND_PROXY_V2;
	default:
		return at_traffic_port(p) ? p->send_proxy : (uint32_t)SEND_PROXY_OFF;
	}
}

bool conf_check_h2(const struct conf_pool *p)
{
	const struct conf_check *c = &p->check;

	if (c->probe != PROBE_HTTP || c->protocol != CHECK_PROTOCOL_AUTO) {
		return c->probe == PROBE_HTTP && c->protocol == CHECK_H2;
	}
	return p->protocol == POOL_H2 && at_traffic_port(p);
}

static bool pings(const struct conf_pool *p, uint32_t n, int family)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; p[i].check.probe == PROBE_PING && k < p[i].nservers; k++) {
			if (p[i].servers[k].address.sa.sa_family == family) {
				return true;
			}
		}
	}
	return false;
}

bool conf_pings(const struct conf *c, int family)
{
	return pings(c->pools, c->npools, family) || pings(c->checks, c->nchecks, family);
}
