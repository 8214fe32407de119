/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The postgres probe speaks the protocol itself (version 3.0): libpq would bring files and
 * variables of the environment, blocking name resolution and time limits of its own. A server that
 * asks for authentication accepts connections: that is enough unless the check has a password or a
 * role, for which it logs in. What the server refuses ("the database system is starting up") is a
 * failure in its words. Main thread of the role check.
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "check/answer.h"
#include "check/probe.h"
#include "check/scram.h"

enum { PG_ASKED_TLS, PG_STARTED, PG_LOGGED_IN, PG_QUERIED };

#define SSL_REQUEST 80877103
#define PROTOCOL_3  196608

enum {
	AUTH_OK = 0,
	AUTH_PLAIN = 3,
	AUTH_MD5 = 5,
	AUTH_SASL = 10,
	AUTH_SASL_CONTINUE = 11,
	AUTH_SASL_FINAL = 12
};

static const char query[] = "SELECT pg_is_in_recovery()";

static struct str login_of(const struct probe *p)
{
	return p->check->login.len > 0 ? p->check->login : STR("holdfast");
}

/* Whether it has to let us in. */
static bool must_log_in(const struct probe *p)
{
	return p->check->password.len > 0 || p->check->role != CHECK_ROLE_ANY;
}

static void add32(struct buf *b, uint32_t v)
{
	const uint8_t bytes[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
		                   (uint8_t)v };

	buf_add(b, bytes, sizeof(bytes));
}

/* A message; type 0: of those at the start, which have none. */
static void say(struct probe *p, char type, const void *body, size_t len)
{
	struct buf b = BUF_INIT;

	if (type != 0) {
		buf_addc(&b, type);
	}
	add32(&b, (uint32_t)len + 4);
	buf_add(&b, body, len);
	probe_say(p, buf_cstr(&b), b.len);
	buf_free(&b);
}

static void say_start(struct probe *p)
{
	struct str database = p->check->database.len > 0 ? p->check->database : STR("postgres");
	struct buf b = BUF_INIT;

	add32(&b, PROTOCOL_3);
	buf_add(&b, "user", 5);
	buf_addstr(&b, login_of(p));
	buf_addc(&b, 0);
	buf_add(&b, "database", 9);
	buf_addstr(&b, database);
	buf_addc(&b, 0);
	buf_add(&b, "application_name\0holdfast", 26);
	buf_addc(&b, 0);
	p->phase = PG_STARTED;
	say(p, 0, b.p, b.len);
	buf_free(&b);
}

static void postgres_opened(struct probe *p)
{
	struct buf b = BUF_INIT;

	if (p->tls == NULL || tls_ssl(&p->s) != NULL) {
		say_start(p);
		return;
	}
	p->phase = PG_ASKED_TLS;
	add32(&b, SSL_REQUEST);
	say(p, 0, b.p, b.len);
	buf_free(&b);
}

/* --- logging in ----------------------------------------------------------------------------- */

static void hex_md5(const void *a, size_t na, const void *b, size_t nb, char out[33])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sum[16] = { 0 };

	if (ctx != NULL) {
		EVP_DigestInit_ex(ctx, EVP_md5(), NULL);
		EVP_DigestUpdate(ctx, a, na);
		EVP_DigestUpdate(ctx, b, nb);
		EVP_DigestFinal_ex(ctx, sum, NULL);
		EVP_MD_CTX_free(ctx);
	}
	for (unsigned i = 0; i < sizeof(sum); i++) {
		(void)snprintf(out + 2 * (size_t)i, 3, "%02x", sum[i]);
	}
}

static void say_md5(struct probe *p, struct str salt)
{
	struct str password = p->check->password, login = login_of(p);
	char inner[33], outer[36] = "md5";

	hex_md5(password.s, password.len, login.s, login.len, inner);
	hex_md5(inner, 32, salt.s, 4, outer + 3);
	say(p, 'p', outer, 36);
}

static void say_scram_first(struct probe *p)
{
	struct buf first = BUF_INIT, b = BUF_INIT;

	if (scram_first(&p->scram, NULL, &first) != OK) {
		buf_free(&first);
		p->ops->stop(p);
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, NULL);
		return;
	}
	buf_add(&b, "SCRAM-SHA-256", 14);
	add32(&b, (uint32_t)first.len);
	buf_addstr(&b, buf_str(&first));
	say(p, 'p', b.p, b.len);
	buf_free(&first);
	buf_free(&b);
}

static void say_scram_final(struct probe *p, struct str challenge)
{
	struct buf b = BUF_INIT;
	int err = scram_final(&p->scram, challenge, p->check->password, &b);

	if (err == OK) {
		say(p, 'p', b.p, b.len);
	} else {
		probe_ill(p, FAIL_BAD_RESPONSE, "SCRAM: %s", err_text(err));
	}
	buf_free(&b);
}

/* We cannot give what it asks for: an orderly end, which it does not log. */
static void refuse(struct probe *p, const char *why)
{
	probe_bye(p, NULL, 0);
	probe_ill(p, FAIL_STATUS, "%s", why);
}

static void authenticate(struct probe *p, uint32_t method, struct str rest)
{
	struct str password = p->check->password;

	if (password.len == 0) {
		refuse(p, "asks for a password, and the check has none");
	} else if (method == AUTH_MD5 && rest.len >= 4) {
		say_md5(p, rest);
	} else if (method == AUTH_SASL && answer_postgres_sasl(rest, STR("SCRAM-SHA-256"))) {
		say_scram_first(p);
	} else if (method == AUTH_SASL_CONTINUE) {
		say_scram_final(p, rest);
	} else if (method == AUTH_SASL_FINAL) {
		if (!scram_proved(&p->scram, rest)) {
			refuse(p, "does not know the password itself");
		}
	} else if (method == AUTH_PLAIN && tls_ssl(&p->s) != NULL) {
		say(p, 'p', password.s, password.len + 1);
	} else if (method == AUTH_PLAIN) {
		refuse(p, "wants the password in clear text: not without TLS");
	} else {
		refuse(p, "wants a method of authentication that checks do not have");
	}
}

/* --- what it says --------------------------------------------------------------------------- */

static void on_auth(struct probe *p, struct str body)
{
	struct str rest;
	uint32_t method;

	if (!answer_postgres_auth(body, &method, &rest)) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of PostgreSQL");
	} else if (method == AUTH_OK) {
		p->phase = PG_LOGGED_IN;
	} else if (must_log_in(p)) {
		authenticate(p, method, rest);
	} else {
		probe_bye(p, NULL, 0); /* a client that thinks better of it: nothing is logged */
		probe_well(p);
	}
}

static void finish(struct probe *p, const char *wrong)
{
	static const char terminate[] = { 'X', 0, 0, 0, 4 };

	probe_bye(p, terminate, sizeof(terminate));
	if (wrong != NULL) {
		probe_ill(p, FAIL_STATUS, "%s", wrong);
	} else {
		probe_well(p);
	}
}

static void on_ready(struct probe *p)
{
	if (p->phase == PG_LOGGED_IN && p->check->role != CHECK_ROLE_ANY) {
		p->phase = PG_QUERIED;
		say(p, 'Q', query, sizeof(query));
	} else if (p->phase == PG_LOGGED_IN) {
		finish(p, NULL);
	} else {
		probe_ill(p, FAIL_BAD_RESPONSE, "no answer to the query");
	}
}

static void on_row(struct probe *p, struct str body)
{
	struct str value;
	bool replica;

	if (p->phase != PG_QUERIED || !answer_postgres_value(body, &value) || value.len != 1) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not the answer to the query");
		return;
	}
	replica = value.s[0] == 't';
	finish(p, replica == (p->check->role == CHECK_ROLE_REPLICA) ? NULL
	          : replica ? "is a replica, not the primary"
	                    : "is a primary, not a replica");
}

static void on_error(struct probe *p, struct str body)
{
	struct str state = answer_postgres_field(body, 'C');
	char words[ANSWER_WORDS];

	/* Classes 28 and 3D: who we are, or the database, is not known: it is well. */
	if (p->phase == PG_STARTED && !must_log_in(p) &&
	    (str_starts(state, STR("28")) || str_starts(state, STR("3D")))) {
		probe_well(p);
		return;
	}
	probe_ill(p, FAIL_STATUS, "%s", answer_words(answer_postgres_field(body, 'M'), words));
}

static size_t on_tls(struct probe *p, struct str got)
{
	if (got.s[0] == 'S' && got.len == 1) {
		(void)probe_begin_tls(p);
	} else if (got.s[0] == 'S') { /* in clear text, to be taken for what came over TLS */
		probe_ill(p, FAIL_BAD_RESPONSE, "bytes between the request for TLS and TLS");
	} else {
		probe_ill(p, FAIL_TLS,
		          got.s[0] == 'N' ? "does not speak TLS" : "not an answer of PostgreSQL");
	}
	return 1;
}

static size_t postgres_take(struct probe *p, struct str got)
{
	struct answer_postgres a;
	ssize_t n;

	if (p->phase == PG_ASKED_TLS) {
		return on_tls(p, got);
	}
	n = answer_postgres(got, &a);
	if (n == ANSWER_BAD) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of PostgreSQL");
		return 0;
	}
	if (n == 0) {
		return 0;
	}
	switch (a.type) {
	case 'R':
		on_auth(p, a.body);
		break;
	case 'E':
		on_error(p, a.body);
		break;
	case 'Z':
		on_ready(p);
		break;
	case 'D':
		on_row(p, a.body);
		break;
	case 'S': /* ParameterStatus, BackendKeyData, Notice, RowDescription, CommandComplete */
	case 'K':
	case 'N':
	case 'T':
	case 'C':
	case 'v':
		break;
	default:
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of PostgreSQL");
		break;
	}
	return (size_t)n;
}

const struct probe_ops probe_postgres = {
	.name = "postgres",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = postgres_opened,
	.take = postgres_take,
	.stop = probe_talk_stop,
	.timed_out = probe_link_timed_out,
	.tls_later = true,
};
