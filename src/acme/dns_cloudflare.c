/* SPDX-License-Identifier: Apache-2.0 */
/* Records by Cloudflare's API, version 4: the zone is looked up by its name, then TXT records are
 * made, or found and removed. Role acme, a job's thread. */
#include <jansson.h>
#include <stdio.h>

#include "acme/dns.h"
#include "acme/http.h"
#include "base/err.h"

#define TTL 60

struct api {
	struct dns_task *t;
	CURL *curl;
};

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* What the API says itself. */
static void say_why(struct dns_task *t, const struct http_call *c, const json_t *j)
{
	const json_t *e = json_array_get(json_object_get(j, "errors"), 0);

	if (c->err != OK)
		snprintf(t->why, sizeof(t->why), "%s", c->why);
	else if (e)
		snprintf(t->why, sizeof(t->why), "%.300s (code %lld, status %u)",
		         text_of(e, "message"),
		         (long long)json_integer_value(json_object_get(e, "code")), c->status);
	else
		snprintf(t->why, sizeof(t->why), "status %u, and no reason", c->status);
}

/* NULL: it failed, why is set. body: "" for none. */
static json_t *call(struct api *a, const char *method, const char *path, struct str body)
{
	const struct conf_issuer *issuer = a->t->issuer;
	char url[1024];
	struct http_call c = {
		.method = method,
		.url = url,
		.type = body.len > 0 ? "application/json" : NULL,
		.token = issuer->cloudflare_token.s,
		.body = body,
		.clear = str_starts(issuer->cloudflare_api, STR("http://")),
	};
	json_t *j = NULL;
	int n = snprintf(url, sizeof(url), "%.*s%s", STR_ARG(issuer->cloudflare_api), path);

	if (n < 0 || (size_t)n >= sizeof(url)) {
		snprintf(a->t->why, sizeof(a->t->why), "the URL is too long");
		return NULL;
	}
	acme_http_call(&a->curl, a->t->job, &c);
	if (c.err == OK && c.answer.len > 0)
		j = json_loadb(c.answer.p, c.answer.len, JSON_REJECT_DUPLICATES, NULL);
	if (c.err != OK || c.status < 200 || c.status > 299 ||
	    !json_is_true(json_object_get(j, "success"))) {
		say_why(a->t, &c, j);
		json_decref(j);
		j = NULL;
	}
	buf_free(&c.answer);
	return j;
}

/* Ids become part of a path: letters and digits alone. */
static bool take_id(const json_t *j, char out[64])
{
	const char *id = text_of(j, "id");
	size_t len = strlen(id);

	if (len == 0 || len >= 64 ||
	    strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != len)
		return false;
	memcpy(out, id, len + 1);
	return true;
}

/* The zone with the longest name that the record's name ends with. */
static int find_zone(struct api *a, char zone[64])
{
	char path[400];

	for (const char *name = strchr(a->t->name, '.'); name && strchr(name + 1, '.');
	     name = strchr(name + 1, '.')) {
		json_t *j;
		bool found;

		snprintf(path, sizeof(path), "/zones?name=%s", name + 1);
		j = call(a, "GET", path, STR(""));
		if (!j)
			return ERR_REFUSED;
		found = take_id(json_array_get(json_object_get(j, "result"), 0), zone);
		json_decref(j);
		if (found)
			return OK;
	}
	snprintf(a->t->why, sizeof(a->t->why),
	         "the account has no zone for it, or the token may not see it");
	return ERR_NOT_FOUND;
}

/* The id of the record with that text; "" where there is none. Texts may come back in quotes. */
static int find_record(struct api *a, const char *zone, char id[64])
{
	char path[600];
	const json_t *r;
	json_t *j;
	size_t k;

	id[0] = '\0';
	snprintf(path, sizeof(path), "/zones/%s/dns_records?type=TXT&name=%s&per_page=100", zone,
	         a->t->name);
	j = call(a, "GET", path, STR(""));
	if (!j)
		return ERR_REFUSED;
	json_array_foreach (json_object_get(j, "result"), k, r) {
		struct str content = str_from(text_of(r, "content"));

		if (content.len >= 2 && content.s[0] == '"' && content.s[content.len - 1] == '"')
			content = str_n(content.s + 1, content.len - 2);
		if (str_eq(content, str_from(a->t->value)) && take_id(r, id))
			break;
	}
	json_decref(j);
	return OK;
}

static int add(struct api *a, const char *zone)
{
	struct buf body = BUF_INIT;
	char path[128];
	json_t *j;

	snprintf(path, sizeof(path), "/zones/%s/dns_records", zone);
	buf_adds(&body, "{\"type\":\"TXT\",\"name\":");
	buf_json(&body, str_from(a->t->name));
	buf_printf(&body, ",\"content\":\"\\\"%s\\\"\",\"ttl\":%d}", a->t->value, TTL);
	j = call(a, "POST", path, buf_str(&body));
	buf_free(&body);
	json_decref(j);
	return j ? OK : ERR_REFUSED;
}

static int delete (struct api *a, const char *zone, const char *id)
{
	char path[256];
	json_t *j;

	snprintf(path, sizeof(path), "/zones/%s/dns_records/%s", zone, id);
	j = call(a, "DELETE", path, STR(""));
	json_decref(j);
	return j ? OK : ERR_REFUSED;
}

static int set(struct dns_task *t)
{
	struct api a = { .t = t };
	char zone[64];
	char id[64] = "";
	int err = find_zone(&a, zone);

	if (err == OK)
		err = find_record(&a, zone, id);
	if (err == OK && t->remove && id[0])
		err = delete (&a, zone, id);
	else if (err == OK && !t->remove && !id[0])
		err = add(&a, zone);
	if (a.curl)
		curl_easy_cleanup(a.curl);
	return err;
}

const struct dns_provider dns_cloudflare = { "cloudflare", set };
