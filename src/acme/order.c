/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of an order; see order.h. Pure: no input, no output, no clock. */
#include "acme/order.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"

int acme_order_begin(struct order *o, struct order_session *s, const struct conf_list *hosts,
                     struct str csr)
{
	*o = (struct order){ .s = s, .hosts = hosts, .csr = csr };
	s->nonce[0] = '\0'; /* of an order before it: too old */
	o->auths = calloc(hosts->n ? hosts->n : 1, sizeof(*o->auths));
	return o->auths ? OK : ERR_NOMEM;
}

void acme_order_free(struct order *o)
{
	buf_free(&o->body);
	buf_free(&o->chain);
	free(o->auths);
	o->auths = NULL;
}

bool acme_order_needs(const struct order_auth *a)
{
	return a->read && !a->valid;
}

/* --- the end -------------------------------------------------------------------------------- */

/* Whatever was presented is taken back before it is over. */
static void finish(struct order *o)
{
	o->step = o->presented ? STEP_CLEAN : STEP_END;
}

static void fail(struct order *o, enum order_failure how, const char *type, const char *text)
{
	if (o->failed == ORDER_WELL) {
		o->failed = how;
		snprintf(o->error, sizeof(o->error), "%.*s", (int)sizeof(o->error) - 1, text);
		snprintf(o->error_type, sizeof(o->error_type), "%s", type);
	}
	finish(o);
}

void acme_order_give_up(struct order *o, const char *why)
{
	if (o->step != STEP_CLEAN && o->step != STEP_END)
		fail(o, ORDER_UNREACHABLE, "", why);
}

/* --- what is sent --------------------------------------------------------------------------- */

/* A nonce serves once (RFC 8555 section 6.5); a fresh one is asked for where none is left. */
static void post(struct order *o, struct order_action *ret)
{
	struct order_session *s = o->s;
	struct buf payload = BUF_INIT;
	struct acme_jws j = { .nonce = str_from(s->nonce) };

	if (s->nonce[0] == '\0') {
		o->head = true;
		*ret = (struct order_action){ .what = ORDER_HEAD, .url = s->new_nonce };
		return;
	}
	buf_free(&o->body);
	ret->url = acme_order_request(o, &payload);
	CHECK(ret->url != NULL);
	j.url = str_from(ret->url);
	j.kid = o->step == STEP_ACCOUNT ? STR("") : str_from(s->kid);
	j.payload = buf_str(&payload);
	if (payload.failed || acme_jws(s->key, &j, &o->body) != OK) {
		fail(o, ORDER_REFUSED, "",
		     o->step == STEP_ACCOUNT
		         ? "the request cannot be signed: is \"eab\" as the authority gave it?"
		         : "the request cannot be signed");
		buf_free(&payload);
		acme_order_next(o, 0, ret);
		return;
	}
	buf_free(&payload);
	s->nonce[0] = '\0';
	ret->what = ORDER_POST;
	ret->body = buf_str(&o->body);
}

void acme_order_next(struct order *o, uint64_t now, struct order_action *ret)
{
	*ret = (struct order_action){ .what = ORDER_END };
	if (o->deadline && now > o->deadline && o->step != STEP_CLEAN && o->step != STEP_END) {
		fail(o, ORDER_REFUSED, "",
		     "the authority has not come to a decision in 15 minutes");
	}
	switch (o->step) {
	case STEP_END:
		return;
	case STEP_CLEAN:
		ret->what = ORDER_CLEAN;
		return;
	case STEP_PRESENT:
		o->presented = true;
		ret->what = ORDER_PRESENT;
		return;
	case STEP_STORE:
		ret->what = ORDER_STORE;
		return;
	default:
		break;
	}
	if (now < o->not_yet) {
		ret->what = ORDER_WAIT;
		ret->wait = o->not_yet - now;
	} else if (o->step == STEP_DIRECTORY) {
		*ret = (struct order_action){ ORDER_GET, o->s->issuer->directory.s };
	} else {
		post(o, ret);
	}
}

/* --- what came ------------------------------------------------------------------------------ */

static void go(struct order *o, enum order_step step)
{
	o->step = step;
	o->not_yet = 0;
	o->polls = 0;
}

/* The next authorization that is not valid; none: on to `then`. */
static void next_auth(struct order *o, unsigned from, enum order_step then)
{
	for (o->at = from; o->at < o->nauths; o->at++) {
		if (!o->auths[o->at].valid)
			return;
	}
	o->at = 0;
	go(o, then);
}

/* All authorizations are read: what must be shown? */
static void next_read(struct order *o)
{
	next_auth(o, o->at + 1, STEP_PRESENT);
	if (o->step == STEP_PRESENT)
		next_auth(o, 0, STEP_READY);
}

/* Not decided yet: later, as the authority says, else ever more slowly. */
static void poll_later(struct order *o, uint64_t now, const struct order_answer *a)
{
	uint64_t wait = a->retry_after ? a->retry_after : 1ULL << MIN(o->polls, 3);

	o->polls++;
	o->not_yet = now + MIN(wait, ORDER_POLL_MAX);
}

/* Whether to go on with an answer whose status is not the one that was hoped for. */
static void refused(struct order *o, uint64_t now, const struct order_answer *a)
{
	struct order_problem p;

	acme_order_read_problem(a->status, a->body, &p);
	o->retry_after = a->retry_after;
	if (strcmp(p.type, "badNonce") == 0 && o->bad_nonces++ < ORDER_NONCES) {
		o->not_yet = o->bad_nonces > 5 ? now + 1 : 0; /* the nonce came with the answer */
		return;
	}
	if (strcmp(p.type, "accountDoesNotExist") == 0 && o->step != STEP_ACCOUNT &&
	    !o->account_again && !o->presented) {
		o->account_again = true;
		o->s->kid[0] = '\0';
		o->nauths = 0;
		go(o, STEP_ACCOUNT);
		return;
	}
	if (strcmp(p.type, "rateLimited") == 0 || a->status == 429)
		fail(o, ORDER_LIMITED, "rateLimited", p.text);
	else if (a->status >= 500 && p.type[0] == '\0')
		fail(o, ORDER_UNREACHABLE, "", p.text);
	else
		fail(o, a->status >= 500 ? ORDER_UNREACHABLE : ORDER_REFUSED, p.type, p.text);
}

static void on_account(struct order *o, const struct order_answer *a)
{
	bool differs = false;

	if (strlen(a->location) == 0 || strlen(a->location) >= sizeof(o->s->kid)) {
		fail(o, ORDER_UNREACHABLE, "", "the authority made an account without a URL");
		return;
	}
	strcpy(o->s->kid, a->location);
	if (a->status == 200)
		acme_order_read_account(o->s, a->body, &differs);
	go(o, differs ? STEP_CONTACT : STEP_ORDER);
}

/* An order, wherever it is looked at. */
static void on_order(struct order *o, uint64_t now, const struct order_answer *a)
{
	struct order_problem p;
	char status[32];
	char why[160];

	if (o->step == STEP_ORDER) {
		if (strlen(a->location) == 0 || strlen(a->location) >= sizeof(o->url)) {
			fail(o, ORDER_UNREACHABLE, "", "the authority made an order without a URL");
			return;
		}
		strcpy(o->url, a->location);
		o->deadline = now + ORDER_PATIENCE;
	}
	if (acme_order_read_order(o, a->body, status, sizeof(status), &p, why, sizeof(why)) != OK)
		fail(o, ORDER_UNREACHABLE, "", why);
	else if (strcmp(status, "invalid") == 0)
		fail(o, ORDER_REFUSED, p.type, p.text);
	else if (strcmp(status, "valid") == 0)
		go(o, STEP_CERTIFICATE);
	else if (o->step == STEP_ORDER)
		go(o, STEP_READ);
	else if (strcmp(status, "ready") == 0 && o->step == STEP_READY)
		go(o, STEP_FINALIZE);
	else {
		if (o->step == STEP_FINALIZE)
			go(o, STEP_ISSUED);
		poll_later(o, now, a);
	}
}

static void make_answer(struct order *o, struct order_auth *a)
{
	snprintf(a->answer, sizeof(a->answer), "%s.%s", a->token, o->s->thumbprint);
	acme_digest(str_from(a->answer), a->digest);
}

static void on_auth(struct order *o, uint64_t now, const struct order_answer *a)
{
	struct order_auth *auth = &o->auths[o->at];
	struct order_problem p;
	char text[sizeof(p.text) + sizeof(auth->host) + 8];
	char status[32];
	char why[400];

	if (acme_order_read_auth(o, auth, a->body, status, sizeof(status), &p, why, sizeof(why)) !=
	    OK) {
		fail(o, ORDER_REFUSED, "", why);
		return;
	}
	auth->read = true;
	auth->valid = strcmp(status, "valid") == 0;
	if (auth->valid && o->step == STEP_READ) {
		next_read(o);
	} else if (auth->valid) {
		o->polls = 0;
		o->not_yet = 0;
		next_auth(o, o->at, STEP_READY);
	} else if (strcmp(status, "pending") != 0) {
		snprintf(text, sizeof(text), "%s: %s", auth->host,
		         p.type[0] ? p.text : "the authorization is not valid");
		fail(o, ORDER_REFUSED, p.type, text);
	} else if (o->step == STEP_READ) {
		make_answer(o, auth);
		next_read(o);
	} else {
		poll_later(o, now, a);
	}
}

static void on_asked(struct order *o)
{
	o->auths[o->at].asked = true;
	next_auth(o, o->at + 1, STEP_POLL);
	if (o->step == STEP_POLL)
		next_auth(o, 0, STEP_READY);
}

static void on_certificate(struct order *o, const struct order_answer *a)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";

	if (a->body.len == 0 || a->body.len > ORDER_MAX_ANSWER ||
	    !memmem(a->body.s, a->body.len, begin, sizeof(begin) - 1)) {
		fail(o, ORDER_UNREACHABLE, "", "the authority gave no certificate");
		return;
	}
	buf_add(&o->chain, a->body.s, a->body.len);
	go(o, STEP_STORE);
}

static void take(struct order *o, uint64_t now, const struct order_answer *a)
{
	char why[300];

	switch (o->step) {
	case STEP_DIRECTORY:
		if (acme_order_read_directory(o->s, a->body, why, sizeof(why)) != OK)
			fail(o, ORDER_UNREACHABLE, "", why);
		else if (o->s->wants_eab && o->s->issuer->eab_kid.len == 0)
			fail(o, ORDER_REFUSED, "externalAccountRequired",
			     "the authority wants an external account: set \"eab\"");
		else
			go(o, o->s->kid[0] ? STEP_ORDER : STEP_ACCOUNT);
		break;
	case STEP_ACCOUNT:
		on_account(o, a);
		break;
	case STEP_CONTACT:
		go(o, STEP_ORDER);
		break;
	case STEP_ORDER:
	case STEP_READY:
	case STEP_FINALIZE:
	case STEP_ISSUED:
		on_order(o, now, a);
		break;
	case STEP_READ:
	case STEP_POLL:
		on_auth(o, now, a);
		break;
	case STEP_ASK:
		on_asked(o);
		break;
	case STEP_CERTIFICATE:
		on_certificate(o, a);
		break;
	default:
		break;
	}
}

void acme_order_answer(struct order *o, uint64_t now, const struct order_answer *a)
{
	bool head = o->head;

	o->head = false;
	if (o->step == STEP_CLEAN || o->step == STEP_END)
		return; /* given up meanwhile */
	if (a->err != OK) {
		fail(o, ORDER_UNREACHABLE, "", a->why);
		return;
	}
	if (a->nonce[0] && strlen(a->nonce) < sizeof(o->s->nonce))
		strcpy(o->s->nonce, a->nonce);
	if (a->status < 200 || a->status > 299)
		refused(o, now, a);
	else if (head && o->s->nonce[0] == '\0')
		fail(o, ORDER_UNREACHABLE, "", "the authority gives no nonce");
	else if (!head) {
		o->bad_nonces = 0;
		take(o, now, a);
	}
}

static enum order_step step_of(enum order_do what)
{
	return what == ORDER_PRESENT ? STEP_PRESENT : what == ORDER_STORE ? STEP_STORE : STEP_CLEAN;
}

void acme_order_did(struct order *o, uint64_t now, enum order_do what, int err, const char *why)
{
	if (o->step != step_of(what))
		return; /* given up meanwhile */
	if (o->step == STEP_CLEAN) {
		o->presented = false;
		finish(o);
	} else if (err != OK) {
		fail(o, ORDER_REFUSED, "", why);
	} else if (o->step == STEP_PRESENT) {
		o->deadline = now + ORDER_PATIENCE;
		o->step = STEP_ASK;
		next_auth(o, 0, STEP_READY);
	} else if (o->step == STEP_STORE) {
		finish(o);
	}
}
