/* SPDX-License-Identifier: Apache-2.0 */
/* The API's table of resources and what each answers. Role control. */
#include "control/api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "control/api_impl.h"

#define IMAGE_MAX (512U << 20)

void api_error(struct api_answer *ans, unsigned status, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	buf_free(&ans->body);
	ans->status = status;
	ans->type = API_JSON;
	buf_adds(&ans->body, "{\"error\":");
	buf_json(&ans->body, buf_str(&text));
	buf_adds(&ans->body, "}\n");
	buf_free(&text);
}

/* --- query strings -------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One character of a query, escapes undone; *at moves behind it. -1: a broken escape or a NUL. */
static int query_char(struct str s, size_t *at)
{
	char c = s.s[(*at)++];
	int high;
	int low;

	if (c == '+')
		return ' ';
	if (c != '%')
		return c != '\0' ? (unsigned char)c : -1;
	if (s.len - *at < 2)
		return -1;
	high = hex_digit(s.s[*at]);
	low = hex_digit(s.s[*at + 1]);
	*at += 2;
	return high < 0 || low < 0 || (high | low) == 0 ? -1 : high << 4 | low;
}

static int query_decode(struct str value, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < value.len;) {
		int c = query_char(value, &i);

		if (c < 0)
			return ERR_SYNTAX;
		if (n + 1 >= size)
			return ERR_TOO_LARGE;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return OK;
}

/* The value of the nth pair with that key, still encoded. */
static bool query_nth(struct str query, const char *key, unsigned nth, struct str *ret)
{
	while (query.s != NULL) {
		struct str pair = str_split(query, '&', &query);
		struct str value;
		struct str name = str_split(pair, '=', &value);

		if (!str_eq(name, str_from(key)) || nth-- > 0)
			continue;
		*ret = value.s != NULL ? value : STR("");
		return true;
	}
	return false;
}

int api_query(struct str query, const char *key, char *out, size_t size)
{
	struct str value;

	out[0] = '\0';
	if (!query_nth(query, key, 0, &value))
		return ERR_NOT_FOUND;
	return query_decode(value, out, size);
}

/* A number in the query; *ret stays where there is none. */
static int query_number(struct str query, const char *key, uint64_t *ret)
{
	char text[32];
	int err = api_query(query, key, text, sizeof(text));

	if (err == ERR_NOT_FOUND)
		return OK;
	return err != OK ? err : str_to_u64(str_from(text), UINT64_MAX - 1, ret);
}

/* --- reading -------------------------------------------------------------------------------- */

#define VIEW(name) \
	static int get_##name(const struct api *a, const struct api_request *q, \
	                      struct api_answer *ans, struct api_change *change) \
	{ \
		(void)q; \
		(void)change; \
		view_##name(a, &ans->body); \
		return OK; \
	}

VIEW(status)
VIEW(roles)
VIEW(stats)

static int get_health(const struct api *a, const struct api_request *q, struct api_answer *ans,
                      struct api_change *change)
{
	(void)q;
	(void)change;
	if (view_health(a, &ans->body) == HEALTH_UNHEALTHY)
		ans->status = 503;
	return OK;
}

static int get_metrics(const struct api *a, const struct api_request *q, struct api_answer *ans,
                       struct api_change *change)
{
	(void)q;
	(void)change;
	ans->type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_write(a, &ans->body);
	return OK;
}

static int get_events(const struct api *a, const struct api_request *q, struct api_answer *ans,
                      struct api_change *change)
{
	uint64_t since = 0;
	uint64_t limit = 1000;

	(void)change;
	if (query_number(q->query, "since", &since) != OK ||
	    query_number(q->query, "limit", &limit) != OK) {
		api_error(ans, 400, "since and limit are numbers");
		return OK;
	}
	view_events(a, since, MIN(limit, BOARD_EVENTS), &ans->body);
	return OK;
}

/* The configuration's image as it lies, secrets included: for the control socket only. */
static int get_image(const struct api *a, struct api_answer *ans)
{
	char bytes[65536];
	struct stat st;
	ssize_t n;

	if (a->image_fd < 0 || fstat(a->image_fd, &st) != 0 || st.st_size > IMAGE_MAX) {
		api_error(ans, 503, "the image of the configuration is not at hand");
		return OK;
	}
	ans->type = "application/octet-stream";
	for (off_t at = 0; at < st.st_size; at += n) {
		n = pread(a->image_fd, bytes, sizeof(bytes), at);
		if (n <= 0) {
			api_error(ans, 500, "cannot read the image of the configuration: %s",
			          n < 0 ? strerror(errno) : "it is cut short");
			return OK;
		}
		buf_add(&ans->body, bytes, (size_t)n);
	}
	return OK;
}

static int get_config(const struct api *a, const struct api_request *q, struct api_answer *ans,
                      struct api_change *change)
{
	char format[16];

	(void)change;
	if (api_query(q->query, "format", format, sizeof(format)) == ERR_NOT_FOUND)
		strcpy(format, "json");
	if (strcmp(format, "image") == 0 && q->local)
		return get_image(a, ans);
	if (strcmp(format, "image") == 0) {
		api_error(ans, 403, "the image holds secrets: it is given to the control socket");
	} else if (strcmp(format, "json") == 0 || strcmp(format, "yaml") == 0) {
		ans->type = format[0] == 'y' ? "application/yaml" : API_JSON;
		conf_show(a->conf, format[0] == 'j', &ans->body);
	} else {
		api_error(ans, 400, "format is json, yaml or image");
	}
	return OK;
}

/* "Name: value" and "Name:value" alike. */
static bool explain_header(struct explain_query *e, char *text)
{
	struct str value;
	struct str name = str_split(str_from(text), ':', &value);

	value = str_trim(value);
	if (value.s == NULL || !http_is_token(name) || !http_is_value(value))
		return false;
	e->headers[e->nheaders++] = (struct conf_match_header){ .name = name, .value = value };
	return true;
}

static int get_explain(const struct api *a, const struct api_request *q, struct api_answer *ans,
                       struct api_change *change)
{
	char url[2048];
	char method[32] = "";
	char client[128] = "";
	char listener[128] = "";
	char header[EXPLAIN_MAX_HEADERS][512];
	struct explain_query e = { 0 };
	struct str text;
	int err = api_query(q->query, "url", url, sizeof(url));

	(void)change;
	for (int i = 0; i < 3 && err == OK; i++) {
		static const char *const keys[] = { "method", "client", "listener" };
		char *const outs[] = { method, client, listener };
		const size_t sizes[] = { sizeof(method), sizeof(client), sizeof(listener) };

		err = api_query(q->query, keys[i], outs[i], sizes[i]);
		err = err == ERR_NOT_FOUND ? OK : err;
	}
	for (unsigned i = 0; err == OK && query_nth(q->query, "header", i, &text); i++) {
		err = i < EXPLAIN_MAX_HEADERS ? query_decode(text, header[i], sizeof(header[i]))
		                              : ERR_TOO_LARGE;
		if (err == OK && !explain_header(&e, header[i]))
			err = ERR_SYNTAX;
	}
	if (err != OK || url[0] == '\0') {
		api_error(ans, 400,
		          "explain takes url=…, and may take method=, client=, listener= and "
		          "header=Name:value: %s",
		          err == OK || err == ERR_NOT_FOUND ? "url is missing" : err_text(err));
		return OK;
	}
	e.url = str_from(url);
	e.method = str_from(method);
	e.client = str_from(client);
	e.listener = str_from(listener);
	if (a->explain == NULL)
		api_error(ans, 501, "this node cannot explain");
	else if (a->explain(a->conf, a->board, &e, &ans->body) != OK)
		ans->status = 400;
	return OK;
}

/* --- the table ------------------------------------------------------------------------------ */

static const struct endpoint {
	const char *path;
	bool change; /* POST; else GET and HEAD */
	endpoint_fn *fn;
} endpoints[] = {
	{ "/api/v1/status", false, get_status },
	{ "/api/v1/stats", false, get_stats },
	{ "/api/v1/events", false, get_events },
	{ "/api/v1/explain", false, get_explain },
	{ "/api/v1/config", false, get_config },
	{ "/api/v1/roles", false, get_roles },
	{ "/api/v1/connections", false, api_get_connections },
	{ "/api/v1/reload", true, api_post_reload },
	{ "/api/v1/upgrade", true, api_post_upgrade },
	{ "/api/v1/order", true, api_post_order },
	{ "/api/v1/switchover", true, api_post_switchover },
	{ "/health", false, get_health },
	{ "/metrics", false, get_metrics },
};

static void not_found(struct api_answer *ans)
{
	struct buf list = BUF_INIT;

	for (unsigned i = 0; i < ARRAY_LEN(endpoints); i++)
		buf_printf(&list, " %s", endpoints[i].path);
	api_error(ans, 404, "no such resource; there are%s", buf_cstr(&list));
	buf_free(&list);
}

int api_handle(const struct api *a, const struct api_request *q, struct api_answer *ans,
               struct api_change *change)
{
	const struct endpoint *e = NULL;
	bool post = str_eq(q->method, STR("POST"));
	bool get = str_eq(q->method, STR("GET")) || str_eq(q->method, STR("HEAD"));

	*ans = (struct api_answer){ .status = 200, .type = API_JSON };
	*change = (struct api_change){ 0 };
	for (unsigned i = 0; i < ARRAY_LEN(endpoints) && e == NULL; i++) {
		if (str_eq(q->path, str_from(endpoints[i].path)))
			e = &endpoints[i];
	}
	if (e == NULL) {
		not_found(ans);
		return OK;
	}
	if (e->change ? !post : !get) {
		api_error(ans, 405, "%s takes %s", e->path, e->change ? "POST" : "GET");
		ans->extra = e->change ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
		return OK;
	}
	if (e->change && !api_may_change(a->conf, q, ans))
		return OK;
	return e->fn(a, q, ans, change);
}
