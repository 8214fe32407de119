/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of an order send (RFC 8555 sections 7.3 to 7.5). Pure. */
#include <stdio.h>

#include "acme/order.h"
#include "base/err.h"

static void put_contact(const struct conf_issuer *c, struct buf *out)
{
	char url[300];

	snprintf(url, sizeof(url), "mailto:%.*s", STR_ARG(c->email));
	buf_addc(out, '[');
	buf_json(out, str_from(url));
	buf_addc(out, ']');
}

static void payload_account(struct order *o, struct buf *out)
{
	const struct conf_issuer *c = o->s->issuer;

	buf_adds(out, "{\"termsOfServiceAgreed\":true");
	if (c->email.len > 0) {
		buf_adds(out, ",\"contact\":");
		put_contact(c, out);
	}
	if (c->eab_kid.len > 0) {
		buf_adds(out, ",\"externalAccountBinding\":");
		if (acme_eab(o->s->key, c->eab_kid, c->eab_key, str_from(o->s->new_account), out) !=
		    OK)
			out->failed = true;
	}
	buf_addc(out, '}');
}

static void payload_order(const struct order *o, struct buf *out)
{
	buf_adds(out, "{\"identifiers\":[");
	for (uint32_t i = 0; i < o->hosts->n; i++) {
		buf_adds(out, i ? ",{\"type\":\"dns\",\"value\":" : "{\"type\":\"dns\",\"value\":");
		buf_json(out, o->hosts->v[i]);
		buf_addc(out, '}');
	}
	buf_adds(out, "]}");
}

const char *acme_order_request(struct order *o, struct buf *payload)
{
	switch (o->step) {
	case STEP_ACCOUNT:
		payload_account(o, payload);
		return o->s->new_account;
	case STEP_CONTACT:
		buf_adds(payload, "{\"contact\":");
		put_contact(o->s->issuer, payload);
		buf_addc(payload, '}');
		return o->s->kid;
	case STEP_ORDER:
		payload_order(o, payload);
		return o->s->new_order;
	case STEP_READ:
	case STEP_POLL:
		return o->auths[o->at].url;
	case STEP_ASK:
		buf_adds(payload, "{}");
		return o->auths[o->at].challenge;
	case STEP_READY:
	case STEP_ISSUED:
		return o->url;
	case STEP_FINALIZE:
		buf_adds(payload, "{\"csr\":\"");
		acme_b64url(payload, o->csr.s, o->csr.len);
		buf_adds(payload, "\"}");
		return o->finalize;
	case STEP_CERTIFICATE:
		return o->certificate;
	default:
		return NULL;
	}
}
