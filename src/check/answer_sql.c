/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of what PostgreSQL and MySQL answer; see answer.h. Pure functions. */
#include "base/check.h"
#include "check/answer.h"

#define MESSAGE_MAX 32768 /* what a server says before it is asked for data is short */

static uint32_t be32(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t le(const char *p, unsigned bytes)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < bytes; i++) {
		v |= (uint32_t)(uint8_t)p[i] << 8 * i;
	}
	return v;
}

/* What stands before the next NUL; the rest follows it. False: there is none. */
static bool text_of(struct str *rest, struct str *ret)
{
	const char *end = rest->len > 0 ? memchr(rest->s, '\0', rest->len) : NULL;

	if (end == NULL) {
		return false;
	}
	*ret = str_n(rest->s, (size_t)(end - rest->s));
	*rest = str_n(end + 1, rest->len - ret->len - 1);
	return true;
}

/* --- PostgreSQL ----------------------------------------------------------------------------- */

ssize_t answer_postgres(struct str got, struct answer_postgres *ret)
{
	uint32_t len;

	if (got.len < 5) {
		return 0;
	}
	len = be32(got.s + 1); /* counts itself */
	if (len < 4 || len > MESSAGE_MAX) {
		return ANSWER_BAD;
	}
	if (got.len < 1 + (size_t)len) {
		return 0;
	}
	*ret = (struct answer_postgres){ got.s[0], str_n(got.s + 5, len - 4) };
	return 1 + (ssize_t)len;
}

struct str answer_postgres_field(struct str body, char field)
{
	struct str text;

	while (body.len > 1) {
		char kind = body.s[0];

		body = str_n(body.s + 1, body.len - 1);
		if (!text_of(&body, &text)) {
			break;
		}
		if (kind == field) {
			return text;
		}
	}
	return STR("");
}

bool answer_postgres_auth(struct str body, uint32_t *method, struct str *rest)
{
	if (body.len < 4) {
		return false;
	}
	*method = be32(body.s);
	*rest = str_n(body.s + 4, body.len - 4);
	return true;
}

bool answer_postgres_sasl(struct str list, struct str mechanism)
{
	struct str one;

	while (text_of(&list, &one) && one.len > 0) {
		if (str_eq(one, mechanism)) {
			return true;
		}
	}
	return false;
}

bool answer_postgres_value(struct str body, struct str *ret)
{
	uint32_t len;

	if (body.len < 6 || (body.s[0] == 0 && body.s[1] == 0)) {
		return false;
	}
	len = be32(body.s + 2);
	if (len > body.len - 6) { /* NULL is the greatest */
		return false;
	}
	*ret = str_n(body.s + 6, len);
	return true;
}

/* --- MySQL ---------------------------------------------------------------------------------- */

ssize_t answer_mysql(struct str got, struct answer_mysql *ret)
{
	uint32_t len;

	if (got.len < 4) {
		return 0;
	}
	len = le(got.s, 3);
	if (len == 0 || len > MESSAGE_MAX) {
		return ANSWER_BAD;
	}
	if (got.len < 4 + (size_t)len) {
		return 0;
	}
	*ret = (struct answer_mysql){ (uint8_t)got.s[3], str_n(got.s + 4, len) };
	return 4 + (ssize_t)len;
}

#define GREETING_FIXED 31 /* bytes from the connection's number to the second part of the nonce */

bool answer_mysql_greeting(struct str body, struct answer_mysql_greeting *ret)
{
	struct str rest = str_n(body.s + 1, body.len - 1);
	const char *p;

	*ret = (struct answer_mysql_greeting){ 0 };
	if (body.s[0] != 10 || !text_of(&rest, &ret->version) || rest.len < GREETING_FIXED + 12) {
		return false;
	}
	p = rest.s;
	memcpy(ret->nonce, p + 4, 8);
	ret->capabilities = le(p + 13, 2) | le(p + 18, 2) << 16;
	memcpy(ret->nonce + 8, p + GREETING_FIXED, 12);
	rest = str_n(p + GREETING_FIXED + 12, rest.len - GREETING_FIXED - 12);
	if (rest.len > 0 && rest.s[0] == '\0') { /* that ends the nonce */
		rest = str_n(rest.s + 1, rest.len - 1);
	}
	if (!text_of(&rest, &ret->plugin)) {
		ret->plugin = rest; /* early versions forgot the NUL */
	}
	return true;
}

bool answer_mysql_error(struct str body, struct answer_mysql_error *ret)
{
	*ret = (struct answer_mysql_error){ 0 };
	if (body.len < 3 || (uint8_t)body.s[0] != 0xff) {
		return false;
	}
	ret->number = le(body.s + 1, 2);
	ret->text = str_n(body.s + 3, body.len - 3);
	if (ret->text.len >= 6 && ret->text.s[0] == '#') {
		ret->state = str_n(ret->text.s + 1, 5);
		ret->text = str_n(ret->text.s + 6, ret->text.len - 6);
	}
	return true;
}

bool answer_mysql_switch(struct str body, struct str *plugin, uint8_t nonce[20])
{
	struct str rest = str_n(body.s + 1, body.len - 1);

	memset(nonce, 0, 20);
	if ((uint8_t)body.s[0] != 0xfe || !text_of(&rest, plugin)) {
		return false;
	}
	if (rest.len > 0) {
		memcpy(nonce, rest.s, MIN(rest.len, (size_t)20));
	}
	return true;
}
