/* SPDX-License-Identifier: Apache-2.0 */
/* What servers answer to probes. The first byte chooses the reader, the rest is the answer. */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "check/answer.h"
#include "check/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touched;

/* Every byte of what a reader returns has to lie in what it was given. */
static void touch(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		touched += (unsigned char)s.s[i];
	}
}

static void redis(struct str got)
{
	struct answer_redis r;
	ssize_t n = answer_redis(got, &r);

	CHECK(n >= ANSWER_BAD && n <= (ssize_t)got.len);
	if (n > 0) {
		touch(r.text);
	}
}

static void smtp(struct str got)
{
	struct answer_smtp a;
	char words[ANSWER_WORDS];
	ssize_t n = answer_smtp(got, &a);

	CHECK(n >= ANSWER_BAD && n <= (ssize_t)got.len);
	if (n > 0) {
		CHECK(a.code >= 200 && a.code <= 599);
		touch(str_from(answer_words(a.text, words)));
	}
}

static void postgres(struct str got)
{
	struct answer_postgres a;
	struct str value;
	uint32_t method;
	ssize_t n;

	while (got.len > 0) {
		n = answer_postgres(got, &a);
		CHECK(n >= ANSWER_BAD && n <= (ssize_t)got.len);
		if (n <= 0) {
			return;
		}
		touch(a.body);
		touch(answer_postgres_field(a.body, 'M'));
		if (answer_postgres_auth(a.body, &method, &value)) {
			touch(value);
			(void)answer_postgres_sasl(value, STR("SCRAM-SHA-256"));
		}
		if (answer_postgres_value(a.body, &value)) {
			touch(value);
		}
		got = str_n(got.s + n, got.len - (size_t)n);
	}
}

static void mysql(struct str got)
{
	struct answer_mysql_greeting g;
	struct answer_mysql_error e;
	struct answer_mysql a;
	struct str plugin;
	uint8_t nonce[20];
	ssize_t n = answer_mysql(got, &a);

	CHECK(n >= ANSWER_BAD && n <= (ssize_t)got.len);
	if (n <= 0) {
		return;
	}
	if (answer_mysql_greeting(a.body, &g)) {
		touch(g.version);
		touch(g.plugin);
	}
	if (answer_mysql_error(a.body, &e)) {
		touch(e.state);
		touch(e.text);
	}
	if (answer_mysql_switch(a.body, &plugin, nonce)) {
		touch(plugin);
	}
}

static void dns(struct str got)
{
	uint8_t question[ANSWER_DNS_MAX];
	size_t len = answer_dns_ask(0x1234, STR("www.shop.test"), 1, question);
	struct answer_dns a;

	if (answer_dns(got, question, len, &a)) {
		CHECK(got.len >= 12 && a.rcode < 16);
		touch(str_from(answer_dns_rcode(a.rcode)));
	}
}

static void grpc(struct str got)
{
	uint64_t status;
	char words[ANSWER_WORDS];
	ssize_t n = answer_grpc_health(got, &status);

	CHECK(n >= ANSWER_BAD && n <= (ssize_t)got.len);
	touch(str_from(answer_grpc_message(got, words)));
}

static void scram(struct str got)
{
	struct scram s = { .nonce = "abc" };
	struct buf b = BUF_INIT;
	const char *rounds = memmem(got.s, got.len, ",i=", 3);

	/* Work is limited elsewhere: here by the number of digits. */
	if (rounds == NULL || got.s + got.len - rounds <= 5) {
		(void)scram_final(&s, got, STR("pencil"), &b);
		touch(buf_str(&b));
	}
	(void)scram_proved(&s, got);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(struct str got) = { redis, smtp, postgres, mysql,
		                                           dns,   grpc, scram };
	char *copy;

	if (size < 1) {
		return 0;
	}
	copy = malloc(size); /* its end is the end of memory that may be read */
	CHECK(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	readers[data[0] % ARRAY_LEN(readers)](str_n(copy, size - 1));
	free(copy);
	return 0;
}
