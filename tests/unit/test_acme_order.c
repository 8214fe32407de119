/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of an order against an authority in the test: the whole way, and every way in which
 * each of its steps can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "acme/key.h"
#include "acme/order.h"
#include "base/check.h"
#include "base/err.h"

#define CA "https://ca.test"

/* What goes wrong at the authority. */
enum fault {
	FAULT_NONE,
	FAULT_UNREACHABLE,
	FAULT_500,
	FAULT_503_PROBLEM,
	FAULT_LIMITED,
	FAULT_FORBIDDEN,
	FAULT_GARBAGE,
	FAULT_EMPTY,
	FAULT_BAD_NONCE,
	FAULTS
};

struct world {
	struct conf_issuer issuer;
	struct order_session s;
	struct conf_list hosts;
	struct order o;
	uint64_t now;
	unsigned requests; /* so far */
	unsigned at;       /* the request that the fault is for, from 1; 0: none */
	bool forever;      /* and all after it */
	enum fault fault;
	unsigned nonces, used_nonces;
	bool asked[2];
	unsigned polls, order_polls;
	bool finalized;
	unsigned presented, cleaned, stored;
	unsigned slow;           /* polls that say "pending" */
	const char *auth_status; /* "valid"; what it comes to */
	bool reuse;              /* authorizations are valid already */
	bool lost;               /* the account is not known any more, once */
	const char *directory;
	const char *auth_body; /* instead of the usual one */
	bool wants_contact;
	unsigned contacts;
	char body[2048];
	char nonce[32];
	char location[64];
};

static EVP_PKEY *key;
static const struct str hosts[] = { { "shop.test", 9 }, { "www.shop.test", 13 } };
static const char directory[] =
    "{\"newNonce\":\"" CA "/nonce\",\"newAccount\":\"" CA "/acct\",\"newOrder\":\"" CA "/order\"}";

static void begin(struct world *w)
{
	*w = (struct world){
		.now = 1000, .slow = 1, .auth_status = "valid", .directory = directory
	};
	w->issuer.name = STR("le");
	w->issuer.directory = STR(CA "/dir");
	w->issuer.email = STR("a@b.test");
	w->issuer.challenge = ACME_HTTP_01;
	w->s.issuer = &w->issuer;
	w->s.key = key;
	w->hosts = (struct conf_list){ hosts, 2 };
	acme_thumbprint(key, w->s.thumbprint);
	assert_int_equal(acme_order_begin(&w->o, &w->s, &w->hosts, STR("csr")), OK);
}

static void set(struct world *w, struct order_answer *a, unsigned status, const char *body)
{
	a->status = status;
	snprintf(w->body, sizeof(w->body), "%s", body);
	a->body = str_from(w->body);
}

static void order_body(struct world *w, struct order_answer *a, unsigned code, const char *status)
{
	char text[1024];

	snprintf(text, sizeof(text),
	         "{\"status\":\"%s\",\"authorizations\":[\"" CA "/a/0\",\"" CA
	         "/a/1\"],\"finalize\":\"" CA "/fin\",\"certificate\":\"" CA "/cert\"}",
	         status);
	set(w, a, code, text);
}

static void auth_body(struct world *w, struct order_answer *a, unsigned n)
{
	bool done = w->reuse || (w->asked[n] && w->polls++ >= w->slow);
	char text[1024];

	if (w->auth_body) {
		set(w, a, 200, w->auth_body);
		return;
	}
	snprintf(text, sizeof(text),
	         "{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\",\"value\":\"%s\"},"
	         "\"challenges\":[{\"type\":\"dns-01\",\"url\":\"" CA "/x\",\"token\":\"no\"},"
	         "{\"type\":\"http-01\",\"url\":\"" CA "/c/%u\",\"token\":\"tok-%u\"%s}]}",
	         done ? w->auth_status : "pending", hosts[n].s, n, n,
	         done && strcmp(w->auth_status, "invalid") == 0
	             ? ",\"error\":{\"type\":\"urn:ietf:params:acme:error:connection\",\"detail\":"
	               "\"refused\"}"
	             : "");
	set(w, a, 200, text);
}

static void well(struct world *w, const char *path, struct order_answer *a)
{
	if (strcmp(path, "/dir") == 0) {
		set(w, a, 200, w->directory);
	} else if (strcmp(path, "/nonce") == 0) {
		set(w, a, 200, "");
	} else if (strcmp(path, "/acct") == 0) {
		set(w, a, w->wants_contact ? 200 : 201,
		    w->wants_contact ? "{\"contact\":[\"mailto:old@b.test\"]}" : "{}");
		strcpy(w->location, CA "/acct/1");
	} else if (strcmp(path, "/acct/1") == 0) {
		w->contacts++;
		set(w, a, 200, "{}");
	} else if (strcmp(path, "/order") == 0 && w->lost) {
		w->lost = false;
		set(w, a, 400,
		    "{\"type\":\"urn:ietf:params:acme:error:accountDoesNotExist\",\"detail\":\"?"
		    "\"}");
	} else if (strcmp(path, "/order") == 0) {
		order_body(w, a, 201, w->reuse ? "ready" : "pending");
		strcpy(w->location, CA "/order/1");
	} else if (strncmp(path, "/a/", 3) == 0) {
		auth_body(w, a, (unsigned)(path[3] - '0'));
	} else if (strncmp(path, "/c/", 3) == 0) {
		assert_int_equal(w->presented, w->cleaned + 1); /* not before it can be seen */
		w->asked[path[3] - '0'] = true;
		set(w, a, 200, "{}");
	} else if (strcmp(path, "/order/1") == 0) {
		order_body(w, a, 200,
		           !w->finalized      ? "ready"
		           : w->order_polls++ ? "valid"
		                              : "processing");
	} else if (strcmp(path, "/fin") == 0) {
		w->finalized = true;
		order_body(w, a, 200, "processing");
	} else if (strcmp(path, "/cert") == 0) {
		set(w, a, 200, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n");
	} else {
		fail_msg("asked for %s", path);
	}
}

static void faulty(struct world *w, struct order_answer *a)
{
	w->location[0] = '\0';
	switch (w->fault) {
	case FAULT_UNREACHABLE:
		a->err = ERR_SYSTEM;
		a->why = "connection refused";
		w->nonce[0] = '\0';
		break;
	case FAULT_500:
		set(w, a, 500, "<html>");
		break;
	case FAULT_503_PROBLEM:
		set(w, a, 503,
		    "{\"type\":\"urn:ietf:params:acme:error:serverInternal\",\"detail\":"
		    "\"down for maintenance\"}");
		a->retry_after = 77;
		break;
	case FAULT_LIMITED:
		set(w, a, 429,
		    "{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":"
		    "\"too many certificates\"}");
		a->retry_after = 4000;
		break;
	case FAULT_FORBIDDEN:
		set(w, a, 403,
		    "{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\","
		    "\"detail\":\"policy\",\"subproblems\":[{\"detail\":\"no such TLD\","
		    "\"identifier\":{\"type\":\"dns\",\"value\":\"shop.test\"}}]}");
		break;
	case FAULT_GARBAGE:
		set(w, a, 200, "{\"status\":[]}");
		break;
	case FAULT_EMPTY:
		set(w, a, 200, "");
		break;
	case FAULT_BAD_NONCE:
		set(w, a, 400, "{\"type\":\"urn:ietf:params:acme:error:badNonce\"}");
		break;
	default:
		break;
	}
}

static void answer(struct world *w, const struct order_action *act)
{
	struct order_answer a = { .nonce = w->nonce, .location = w->location };

	w->requests++;
	assert_true(w->requests < 200); /* it never goes on without end */
	w->location[0] = '\0';
	assert_memory_equal(act->url, CA, strlen(CA));
	if (act->what == ORDER_POST) {
		assert_true(act->body.len > 0);
		w->used_nonces++;
		assert_true(w->used_nonces <= w->nonces); /* each serves once */
	}
	snprintf(w->nonce, sizeof(w->nonce), "n%u", ++w->nonces);
	if (act->what == ORDER_GET) {
		w->nonce[0] = '\0';
		w->nonces--;
	}
	if (w->at > 0 && (w->requests == w->at || (w->forever && w->requests > w->at)))
		faulty(w, &a);
	else
		well(w, act->url + strlen(CA), &a);
	acme_order_answer(&w->o, w->now, &a);
}

/* Until it ends. */
static void run(struct world *w)
{
	struct order_action act;

	for (unsigned turns = 0;; turns++) {
		assert_true(turns < 2000);
		acme_order_next(&w->o, w->now, &act);
		switch (act.what) {
		case ORDER_GET:
		case ORDER_HEAD:
		case ORDER_POST:
			answer(w, &act);
			break;
		case ORDER_PRESENT:
			w->presented++;
			acme_order_did(&w->o, w->now, ORDER_PRESENT, OK, "");
			break;
		case ORDER_WAIT:
			assert_true(act.wait > 0 && act.wait <= ORDER_POLL_MAX);
			w->now += act.wait;
			break;
		case ORDER_STORE:
			w->stored++;
			acme_order_did(&w->o, w->now, ORDER_STORE, OK, "");
			break;
		case ORDER_CLEAN:
			w->cleaned++;
			acme_order_did(&w->o, w->now, ORDER_CLEAN, OK, "");
			break;
		case ORDER_END:
			assert_int_equal(w->presented, w->cleaned);
			assert_true((w->stored == 1) == (w->o.failed == ORDER_WELL));
			assert_true((w->o.error[0] != '\0') == (w->o.failed != ORDER_WELL));
			return;
		}
	}
}

static void an_order_goes_its_way(void **state)
{
	struct world w;

	begin(&w);
	run(&w);
	assert_int_equal(w.o.failed, ORDER_WELL);
	assert_int_equal(w.presented, 1);
	assert_true(w.asked[0] && w.asked[1]);
	assert_non_null(memmem(w.o.chain.p, w.o.chain.len, "BEGIN", 5));
	assert_string_equal(w.s.kid, CA "/acct/1");
	/* RFC 8555 section 8.1 */
	assert_memory_equal(w.o.auths[0].answer, "tok-0.", 6);
	assert_string_equal(w.o.auths[0].answer + 6, w.s.thumbprint);
	acme_order_free(&w.o);
	/* A second one needs no account any more. */
	w.requests = 0;
	w.presented = w.cleaned = w.stored = w.polls = w.order_polls = 0;
	w.finalized = w.asked[0] = w.asked[1] = false;
	acme_order_begin(&w.o, &w.s, &w.hosts, STR("csr"));
	run(&w);
	assert_int_equal(w.o.failed, ORDER_WELL);
	acme_order_free(&w.o);
}

static void proved_hosts_need_no_challenge(void **state)
{
	struct world w;

	begin(&w);
	w.reuse = true;
	run(&w);
	assert_int_equal(w.o.failed, ORDER_WELL);
	assert_int_equal(w.presented, 0);
	acme_order_free(&w.o);
}

static void lost_account_is_made_again(void **state)
{
	struct world w;

	begin(&w);
	strcpy(w.s.kid, CA "/acct/gone");
	w.lost = true;
	run(&w);
	assert_int_equal(w.o.failed, ORDER_WELL);
	assert_string_equal(w.s.kid, CA "/acct/1");
	acme_order_free(&w.o);
}

static void changed_contact_is_told(void **state)
{
	struct world w;

	begin(&w);
	w.wants_contact = true;
	run(&w);
	assert_int_equal(w.o.failed, ORDER_WELL);
	assert_int_equal(w.contacts, 1);
	acme_order_free(&w.o);
}

static unsigned requests_of_a_good_order(void)
{
	struct world w;

	begin(&w);
	run(&w);
	acme_order_free(&w.o);
	return w.requests;
}

/* Every fault at every request: it ends, takes back what it presented, and knows why. */
static void every_request_may_fail(void **state)
{
	static const enum order_failure kinds[FAULTS] = {
		[FAULT_UNREACHABLE] = ORDER_UNREACHABLE, [FAULT_500] = ORDER_UNREACHABLE,
		[FAULT_503_PROBLEM] = ORDER_UNREACHABLE, [FAULT_LIMITED] = ORDER_LIMITED,
		[FAULT_FORBIDDEN] = ORDER_REFUSED,
	};
	unsigned n = requests_of_a_good_order();

	assert_true(n > 12);
	for (unsigned fault = 1; fault < FAULTS; fault++) {
		for (unsigned at = 1; at <= n; at++) {
			struct world w;

			begin(&w);
			w.fault = fault;
			w.at = at;
			w.forever = fault != FAULT_BAD_NONCE;
			run(&w);
			if (fault == FAULT_BAD_NONCE && at > 2) /* asked once more, no harm */
				assert_int_equal(w.o.failed, ORDER_WELL);
			else if (kinds[fault] != ORDER_WELL)
				assert_int_equal(w.o.failed, kinds[fault]);
			else if (fault != FAULT_BAD_NONCE)
				assert_int_not_equal(w.o.failed, ORDER_WELL);
			acme_order_free(&w.o);
		}
	}
}

static void words_of_the_authority_are_kept(void **state)
{
	struct world w;

	begin(&w);
	w.fault = FAULT_FORBIDDEN;
	w.at = 4; /* the order */
	run(&w);
	assert_string_equal(w.o.error_type, "rejectedIdentifier");
	assert_string_equal(w.o.error, "policy; shop.test: no such TLD");
	acme_order_free(&w.o);
	begin(&w);
	w.fault = FAULT_LIMITED;
	w.at = 4;
	run(&w);
	assert_string_equal(w.o.error, "too many certificates");
	assert_int_equal(w.o.retry_after, 4000);
	acme_order_free(&w.o);
}

static void bad_nonces_are_not_repeated_for_ever(void **state)
{
	struct world w;

	begin(&w);
	w.fault = FAULT_BAD_NONCE;
	w.at = 5;
	w.forever = true;
	run(&w);
	assert_int_equal(w.o.failed, ORDER_REFUSED);
	assert_string_equal(w.o.error_type, "badNonce");
	assert_int_equal(w.requests, 4 + ORDER_NONCES + 1);
	assert_true(w.now > 1000 + 10); /* and not all at once */
	acme_order_free(&w.o);
}

static void failed_validation_says_why(void **state)
{
	struct world w;

	begin(&w);
	w.auth_status = "invalid";
	run(&w);
	assert_int_equal(w.o.failed, ORDER_REFUSED);
	assert_string_equal(w.o.error, "shop.test: refused");
	assert_string_equal(w.o.error_type, "connection");
	assert_int_equal(w.cleaned, 1);
	acme_order_free(&w.o);
}

static void patience_has_an_end(void **state)
{
	struct world w;

	begin(&w);
	w.slow = 1000000;
	run(&w);
	assert_int_equal(w.o.failed, ORDER_REFUSED);
	assert_non_null(strstr(w.o.error, "15 minutes"));
	assert_true(w.now > 1000 + ORDER_PATIENCE && w.now < 1000 + 2 * ORDER_PATIENCE);
	assert_int_equal(w.cleaned, 1);
	acme_order_free(&w.o);
}

static void external_account_is_asked_for(void **state)
{
	struct world w;

	begin(&w);
	w.directory =
	    "{\"newNonce\":\"" CA "/nonce\",\"newAccount\":\"" CA "/acct\",\"newOrder\":\"" CA
	    "/order\",\"meta\":{\"externalAccountRequired\":true}}";
	run(&w);
	assert_int_equal(w.o.failed, ORDER_REFUSED);
	assert_string_equal(w.o.error_type, "externalAccountRequired");
	assert_int_equal(w.requests, 1);
	acme_order_free(&w.o);
}

static void what_cannot_be_done_here_ends_it(void **state)
{
	struct order_action act;
	struct world w;

	for (unsigned at = 0; at < 2; at++) {
		enum order_do what = at ? ORDER_STORE : ORDER_PRESENT;

		begin(&w);
		for (;;) {
			acme_order_next(&w.o, w.now, &act);
			if (act.what == what)
				break;
			if (act.what == ORDER_PRESENT) {
				w.presented++;
				acme_order_did(&w.o, w.now, ORDER_PRESENT, OK, "");
			} else if (act.what == ORDER_WAIT) {
				w.now += act.wait;
			} else {
				answer(&w, &act);
			}
		}
		w.presented = 1;
		acme_order_did(&w.o, w.now, what, ERR_SYSTEM, "disk full");
		run(&w);
		assert_string_equal(w.o.error, "disk full");
		assert_int_equal(w.cleaned, 1);
		acme_order_free(&w.o);
	}
}

/* Given up while something is under way: what comes late changes nothing. */
static void given_up_order_takes_back(void **state)
{
	struct order_action act;
	struct order_answer late = { .status = 200, .nonce = "x", .location = "" };
	struct world w;

	begin(&w);
	do {
		acme_order_next(&w.o, w.now, &act);
		if (act.what != ORDER_PRESENT)
			answer(&w, &act);
	} while (act.what != ORDER_PRESENT);
	w.presented = 1;
	acme_order_give_up(&w.o, "the node ends");
	acme_order_did(&w.o, w.now, ORDER_PRESENT, OK, "");
	acme_order_answer(&w.o, w.now, &late);
	acme_order_next(&w.o, w.now, &act);
	assert_int_equal(act.what, ORDER_CLEAN);
	run(&w);
	assert_int_equal(w.cleaned, 1);
	acme_order_free(&w.o);
}

/* --- an authority that is not what it should be ---------------------------------------------- */

#define AUTH(identifier, challenge) \
	"{\"status\":\"pending\",\"identifier\":" identifier ",\"challenges\":[" challenge "]}"
#define SHOP "{\"type\":\"dns\",\"value\":\"shop.test\"}"
#define GOOD "{\"type\":\"http-01\",\"url\":\"" CA "/c/0\",\"token\":\"t\"}"

static void hostile_authorizations_are_refused(void **state)
{
	static const char *const bodies[] = {
		AUTH("{\"type\":\"dns\",\"value\":\"../../etc\"}", GOOD),
		AUTH("{\"type\":\"dns\",\"value\":\"other.test\"}", GOOD),
		AUTH("{\"type\":\"ip\",\"value\":\"shop.test\"}", GOOD),
		AUTH("{\"type\":\"dns\",\"value\":[]}", GOOD),
		AUTH("null", GOOD),
		AUTH(SHOP, ""),
		AUTH(SHOP, "{\"type\":\"dns-01\",\"url\":\"" CA "/c/0\",\"token\":\"t\"}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"" CA "/c/0\",\"token\":\"../../x\"}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"" CA "/c/0\",\"token\":\"\"}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"" CA "/c/0\",\"token\":\"a.b\"}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"" CA "/c/0\",\"token\":7}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"http://ca.test/c/0\",\"token\":\"t\"}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"file:///etc/passwd\",\"token\":\"t\"}"),
		AUTH(SHOP, "{\"type\":\"http-01\",\"url\":\"" CA "/ x\",\"token\":\"t\"}"),
		"{\"status\":\"pending\"}",
		"{\"status\":\"pending\",\"status\":\"valid\",\"identifier\":" SHOP "}",
		"[]",
		"\"pending\"",
		"{",
	};

	for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
		struct world w;

		begin(&w);
		w.auth_body = bodies[i];
		run(&w);
		assert_int_not_equal(w.o.failed, ORDER_WELL);
		assert_int_equal(w.presented, 0);
		acme_order_free(&w.o);
	}
}

static void hostile_directories_are_refused(void **state)
{
	static const char *const bodies[] = {
		"{}",
		"[]",
		"",
		"{\"newNonce\":1,\"newAccount\":2,\"newOrder\":3}",
		"{\"newNonce\":\"http://ca.test/n\",\"newAccount\":\"" CA "/a\",\"newOrder\":\"" CA
		"/o\"}",
		"{\"newNonce\":\"ftp://ca.test/n\",\"newAccount\":\"" CA "/a\",\"newOrder\":\"" CA
		"/o\"}",
	};

	for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
		struct world w;

		begin(&w);
		w.directory = bodies[i];
		run(&w);
		assert_int_equal(w.o.failed, ORDER_UNREACHABLE);
		assert_int_equal(w.requests, 1);
		acme_order_free(&w.o);
	}
}

static void endless_texts_are_cut(void **state)
{
	struct order_problem p;
	static char body[20000];
	size_t n = (size_t)snprintf(body, sizeof(body), "{\"type\":\"x\",\"detail\":\"");

	while (n < 18000)
		n += (size_t)snprintf(body + n, sizeof(body) - n, "\\u001b\xc3\xa4");
	snprintf(body + n, sizeof(body) - n, "\"}");
	acme_order_read_problem(400, str_from(body), &p);
	assert_in_range(strlen(p.text), 500, sizeof(p.text) - 1);
	assert_null(strchr(p.text, 0x1b));
	acme_order_read_problem(418, STR("teapot"), &p);
	assert_string_equal(p.text, "status 418 without a reason");
	memset(body, '[', sizeof(body) - 1);
	acme_order_read_problem(400, str_n(body, sizeof(body) - 1), &p);
	assert_string_equal(p.text, "status 400 without a reason");
}

static int make_key(void **state)
{
	key = acme_key_new(ACME_KEY_P256);
	return key ? 0 : -1;
}

static int free_key(void **state)
{
	EVP_PKEY_free(key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_goes_its_way),
		cmocka_unit_test(proved_hosts_need_no_challenge),
		cmocka_unit_test(lost_account_is_made_again),
		cmocka_unit_test(changed_contact_is_told),
		cmocka_unit_test(every_request_may_fail),
		cmocka_unit_test(words_of_the_authority_are_kept),
		cmocka_unit_test(bad_nonces_are_not_repeated_for_ever),
		cmocka_unit_test(failed_validation_says_why),
		cmocka_unit_test(patience_has_an_end),
		cmocka_unit_test(external_account_is_asked_for),
		cmocka_unit_test(what_cannot_be_done_here_ends_it),
		cmocka_unit_test(given_up_order_takes_back),
		cmocka_unit_test(hostile_authorizations_are_refused),
		cmocka_unit_test(hostile_directories_are_refused),
		cmocka_unit_test(endless_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
