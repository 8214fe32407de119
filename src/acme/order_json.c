/* SPDX-License-Identifier: Apache-2.0 */
/* What an authority's answers say (RFC 8555 section 7.1). It is asked for by its URL and still a
 * stranger: sizes, characters and whom a name belongs to are looked at. Role acme. */
#include <jansson.h>
#include <stdio.h>

#include "acme/order.h"
#include "base/check.h"
#include "base/err.h"

static json_t *parse(struct str body)
{
	json_t *j = body.len > 0 && body.len <= ORDER_MAX_ANSWER
	                ? json_loadb(body.s, body.len, JSON_REJECT_DUPLICATES, NULL)
	                : NULL;

	if (j && !json_is_object(j)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

/* A member that is text; "" where it is none. Texts with NUL are refused by jansson. */
static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* For people: cut, and without control characters. */
static void add_text(char *out, size_t size, const char *s)
{
	size_t len = strlen(out);

	for (; *s && len + 1 < size; s++)
		out[len++] = (unsigned char)*s < ' ' || *s == 0x7f ? ' ' : *s;
	while (len > 0 && *s && ((unsigned char)out[len - 1] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	out[len] = '\0';
}

/* --- problems ------------------------------------------------------------------------------- */

static const char *short_type(const char *type)
{
	static const char prefix[] = "urn:ietf:params:acme:error:";

	return strncmp(type, prefix, sizeof(prefix) - 1) == 0 ? type + sizeof(prefix) - 1 : type;
}

static void read_problem(const json_t *j, struct order_problem *ret)
{
	const json_t *sub;
	size_t i;

	*ret = (struct order_problem){ 0 };
	add_text(ret->type, sizeof(ret->type), short_type(text_of(j, "type")));
	add_text(ret->text, sizeof(ret->text), text_of(j, "detail"));
	json_array_foreach (json_object_get(j, "subproblems"), i, sub) {
		if (i == 4)
			break;
		add_text(ret->text, sizeof(ret->text), "; ");
		add_text(ret->text, sizeof(ret->text),
		         text_of(json_object_get(sub, "identifier"), "value"));
		add_text(ret->text, sizeof(ret->text), ": ");
		add_text(ret->text, sizeof(ret->text), text_of(sub, "detail"));
	}
	if (ret->text[0] == '\0')
		add_text(ret->text, sizeof(ret->text),
		         ret->type[0] ? ret->type : "the authority gives no reason");
}

void acme_order_read_problem(unsigned status, struct str body, struct order_problem *ret)
{
	json_t *j = parse(body);

	*ret = (struct order_problem){ 0 };
	if (j && (json_object_get(j, "type") || json_object_get(j, "detail")))
		read_problem(j, ret);
	else
		snprintf(ret->text, sizeof(ret->text), "status %u without a reason", status);
	json_decref(j);
}

/* --- URLs ----------------------------------------------------------------------------------- */

/* One that may be asked: in clear text only where the directory is. */
static bool take_url(const struct conf_issuer *issuer, const json_t *j, const char *key,
                     char out[ORDER_MAX_URL])
{
	const char *s = key ? text_of(j, key) : json_string_value(j);
	bool clear = str_starts(issuer->directory, STR("http://"));
	size_t len = s ? strlen(s) : 0;

	if (len == 0 || len >= ORDER_MAX_URL ||
	    (strncmp(s, "https://", 8) != 0 && !(clear && strncmp(s, "http://", 7) == 0)))
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f)
			return false;
	}
	memcpy(out, s, len + 1);
	return true;
}

/* --- objects -------------------------------------------------------------------------------- */

int acme_order_read_directory(struct order_session *s, struct str body, char *why, size_t size)
{
	json_t *j = parse(body);
	bool well = j && take_url(s->issuer, j, "newNonce", s->new_nonce) &&
	            take_url(s->issuer, j, "newAccount", s->new_account) &&
	            take_url(s->issuer, j, "newOrder", s->new_order);

	s->wants_eab =
	    json_is_true(json_object_get(json_object_get(j, "meta"), "externalAccountRequired"));
	if (!well)
		snprintf(why, size, "what lies at %.*s is no directory of ACME",
		         STR_ARG(s->issuer->directory));
	json_decref(j);
	return well ? OK : ERR_INVALID;
}

void acme_order_read_account(const struct order_session *s, struct str body, bool *ret_differs)
{
	json_t *j = parse(body);
	const json_t *contact = json_object_get(j, "contact");
	const char *have = json_string_value(json_array_get(contact, 0));

	*ret_differs = json_is_array(contact) && s->issuer->email.len > 0 &&
	               (!have || strncmp(have, "mailto:", 7) != 0 ||
	                !str_eq_nocase(str_from(have + 7), s->issuer->email));
	json_decref(j);
}

static int read_auths(struct order *o, const json_t *list)
{
	if (json_array_size(list) == 0 || json_array_size(list) > o->hosts->n)
		return ERR_INVALID;
	for (o->nauths = 0; o->nauths < json_array_size(list); o->nauths++) {
		struct order_auth *a = &o->auths[o->nauths];

		memset(a, 0, sizeof(*a));
		if (!take_url(o->s->issuer, json_array_get(list, o->nauths), NULL, a->url))
			return ERR_INVALID;
	}
	return OK;
}

int acme_order_read_order(struct order *o, struct str body, char *ret_status, size_t status_size,
                          struct order_problem *problem, char *why, size_t size)
{
	json_t *j = parse(body);
	int err = j ? OK : ERR_INVALID;

	ret_status[0] = '\0';
	add_text(ret_status, status_size, text_of(j, "status"));
	if (err == OK && o->nauths == 0)
		err = read_auths(o, json_object_get(j, "authorizations"));
	if (err == OK && !take_url(o->s->issuer, j, "finalize", o->finalize))
		err = ERR_INVALID;
	if (err == OK && strcmp(ret_status, "valid") == 0 &&
	    !take_url(o->s->issuer, j, "certificate", o->certificate))
		err = ERR_INVALID;
	read_problem(json_object_get(j, "error"), problem);
	if (err != OK)
		snprintf(why, size, "the authority answers with something that is no order");
	json_decref(j);
	return err;
}

/* Of one of our hosts: its name becomes part of a path. */
static bool take_host(const struct order *o, const json_t *j, struct order_auth *a)
{
	const json_t *id = json_object_get(j, "identifier");
	struct str name = str_from(text_of(id, "value"));

	if (strcmp(text_of(id, "type"), "dns") != 0)
		return false;
	for (uint32_t i = 0; i < o->hosts->n; i++) {
		struct str host = o->hosts->v[i];

		if (str_starts(host, STR("*.")))
			host = str_n(host.s + 2, host.len - 2);
		if (str_eq_nocase(host, name) && host.len < sizeof(a->host)) {
			memcpy(a->host, host.s, host.len);
			a->host[host.len] = '\0';
			return true;
		}
	}
	return false;
}

/* RFC 8555 section 8.1: the base64url alphabet alone, so that it may be a file's name. */
static bool take_token(const char *token, char out[ACME_MAX_TOKEN + 1])
{
	size_t len = strlen(token);

	if (len == 0 || len > ACME_MAX_TOKEN ||
	    strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
	        len)
		return false;
	memcpy(out, token, len + 1);
	return true;
}

static const json_t *find_challenge(const struct order *o, const json_t *j)
{
	static const char *const types[] = { "http-01", "tls-alpn-01", "dns-01" };
	const json_t *c;
	size_t i;

	json_array_foreach (json_object_get(j, "challenges"), i, c) {
		if (o->s->issuer->challenge < ARRAY_LEN(types) &&
		    strcmp(text_of(c, "type"), types[o->s->issuer->challenge]) == 0)
			return c;
	}
	return NULL;
}

int acme_order_read_auth(const struct order *o, struct order_auth *a, struct str body,
                         char *ret_status, size_t status_size, struct order_problem *problem,
                         char *why, size_t size)
{
	json_t *j = parse(body);
	const json_t *c = find_challenge(o, j);
	bool pending;
	int err = ERR_INVALID;

	ret_status[0] = '\0';
	add_text(ret_status, status_size, text_of(j, "status"));
	pending = strcmp(ret_status, "pending") == 0;
	read_problem(json_object_get(c, "error"), problem);
	if (!j || ret_status[0] == '\0')
		snprintf(why, size,
		         "the authority answers with something that is no authorization");
	else if (!take_host(o, j, a))
		snprintf(why, size, "the authority wants a host proved that was not asked for");
	else if (pending && !c)
		snprintf(why, size, "the authority does not offer this challenge for \"%s\"",
		         a->host);
	else if (pending && (!take_url(o->s->issuer, c, "url", a->challenge) ||
	                     !take_token(text_of(c, "token"), a->token)))
		snprintf(why, size, "the challenge for \"%s\" has no proper token or URL", a->host);
	else
		err = OK;
	json_decref(j);
	return err;
}
