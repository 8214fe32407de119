/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mysql probe: reads the greeting of protocol 10 and answers it. A client that goes away
 * without an answer counts as an error of its host, and after max_connect_errors of those in a row
 * MySQL and MariaDB take no more connections from it: balancers that look at the greeting only have
 * blocked themselves so. A login that is refused does not count. So the probe always logs in:
 * without a login in the check as "holdfast", where being refused proves as much as being let in.
 * Main thread of the role check.
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/buf.h"
#include "check/answer.h"
#include "check/probe.h"

enum { MYSQL_GREETING, MYSQL_LOGIN };

#define CAPABILITIES \
	(1U /* long password */ | 1U << 9 /* protocol 4.1 */ | 1U << 13 /* transactions */ | \
	 1U << 15 /* secure connection */ | 1U << 19 /* plugins */)
#define CAP_PROTOCOL_41 (1U << 9)

static bool may_be_refused(const struct conf_check *c)
{
	return c->login.len == 0 && c->password.len == 0;
}

static void digest(const EVP_MD *md, const void *a, size_t na, const void *b, size_t nb,
                   uint8_t *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx != NULL) {
		EVP_DigestInit_ex(ctx, md, NULL);
		EVP_DigestUpdate(ctx, a, na);
		EVP_DigestUpdate(ctx, b, nb);
		EVP_DigestFinal_ex(ctx, out, NULL);
		EVP_MD_CTX_free(ctx);
	}
}

/* What a plugin sends for the password: its length; 0: nothing, for want of a password. */
static size_t prove(struct str plugin, struct str password, const uint8_t nonce[20],
                    uint8_t out[32])
{
	bool sha2 = str_eq(plugin, STR("caching_sha2_password"));
	const EVP_MD *md = sha2 ? EVP_sha256() : EVP_sha1();
	size_t len = sha2 ? 32 : 20;
	uint8_t once[32] = { 0 }, twice[32] = { 0 }, mixed[32] = { 0 };

	if (password.len == 0) {
		return 0;
	}
	digest(md, password.s, password.len, "", 0, once);
	digest(md, once, len, "", 0, twice);
	if (sha2) {
		digest(md, twice, len, nonce, 20, mixed);
	} else {
		digest(md, nonce, 20, twice, len, mixed);
	}
	for (size_t i = 0; i < len; i++) {
		out[i] = once[i] ^ mixed[i];
	}
	return len;
}

static void add_packet(struct probe *p, uint8_t sequence, const struct buf *body)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, (char)body->len);
	buf_addc(&b, (char)(body->len >> 8));
	buf_addc(&b, 0);
	buf_addc(&b, (char)sequence);
	buf_addstr(&b, buf_str(body));
	probe_say(p, buf_cstr(&b), b.len);
	buf_free(&b);
}

static void say_login(struct probe *p, uint8_t sequence, const struct answer_mysql_greeting *g)
{
	const struct conf_check *c = p->check;
	const char zeros[23] = { 0 };
	struct buf b = BUF_INIT;
	struct str plugin = STR("mysql_native_password");
	uint8_t proof[32];
	size_t len;

	if (str_eq(g->plugin, STR("caching_sha2_password"))) {
		plugin = g->plugin;
	}
	len = prove(plugin, c->password, g->nonce, proof);
	for (unsigned i = 0; i < 4; i++) {
		buf_addc(&b, (char)(CAPABILITIES >> 8 * i));
	}
	buf_add(&b, "\0\0\0\1", 4); /* packets up to 16 MiB */
	buf_addc(&b, 33);           /* utf8 */
	buf_add(&b, zeros, sizeof(zeros));
	buf_addstr(&b, c->login.len > 0 ? c->login : STR("holdfast"));
	buf_addc(&b, 0);
	buf_addc(&b, (char)len);
	buf_add(&b, proof, len);
	buf_addstr(&b, plugin);
	buf_addc(&b, 0);
	add_packet(p, (uint8_t)(sequence + 1), &b);
	buf_free(&b);
}

static void judge_error(struct probe *p, const struct answer_mysql_error *e)
{
	char words[ANSWER_WORDS];

	/* SQLSTATE 28000: who we are is not accepted; the server is well. */
	if (p->phase == MYSQL_LOGIN && may_be_refused(p->check) && str_eq(e->state, STR("28000"))) {
		probe_well(p);
		return;
	}
	probe_ill(p, FAIL_STATUS, "error %u: %s", e->number, answer_words(e->text, words));
}

static void on_greeting(struct probe *p, const struct answer_mysql *a)
{
	struct answer_mysql_greeting g;

	if (!answer_mysql_greeting(a->body, &g)) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not a greeting of MySQL");
	} else if ((g.capabilities & CAP_PROTOCOL_41) == 0) {
		probe_ill(p, FAIL_BAD_RESPONSE, "a server before MySQL 4.1");
	} else {
		p->phase = MYSQL_LOGIN;
		say_login(p, a->sequence, &g);
	}
}

static void on_login(struct probe *p, const struct answer_mysql *a)
{
	static const char quit[] = { 1, 0, 0, 0, 1 }; /* COM_QUIT */
	uint8_t nonce[20], proof[32];
	struct buf b = BUF_INIT;
	struct str plugin;

	switch ((uint8_t)a->body.s[0]) {
	case 0:
		probe_bye(p, quit, sizeof(quit));
		probe_well(p);
		return;
	case 1: /* caching_sha2_password: 3 it knows the password, 4 it has to see it */
		if (a->body.len == 2 && a->body.s[1] == 3) {
			return;
		}
		probe_ill(p, FAIL_STATUS, "login needs TLS until the server has cached it");
		return;
	default:
		break;
	}
	if (!answer_mysql_switch(a->body, &plugin, nonce)) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of MySQL to a login");
		return;
	}
	buf_add(&b, proof, prove(plugin, p->check->password, nonce, proof));
	add_packet(p, (uint8_t)(a->sequence + 1), &b);
	buf_free(&b);
}

static void mysql_opened(struct probe *p)
{
	(void)p; /* the server speaks first */
}

static size_t mysql_take(struct probe *p, struct str got)
{
	struct answer_mysql_error e;
	struct answer_mysql a;
	ssize_t n = answer_mysql(got, &a);

	if (n == ANSWER_BAD) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of MySQL");
		return 0;
	}
	if (n == 0) {
		return 0;
	}
	if (answer_mysql_error(a.body, &e)) {
		judge_error(p, &e);
	} else if (p->phase == MYSQL_GREETING) {
		on_greeting(p, &a);
	} else {
		on_login(p, &a);
	}
	return (size_t)n;
}

const struct probe_ops probe_mysql = {
	.name = "mysql",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = mysql_opened,
	.take = mysql_take,
	.stop = probe_talk_stop,
	.timed_out = probe_link_timed_out,
};
