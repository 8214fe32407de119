/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests; see http.h. Role acme, a job's thread. */
#include "acme/http.h"

#include <stdio.h>
#include <time.h>

#include "acme/order.h"
#include "base/err.h"

void acme_http_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

uint64_t acme_http_retry_after(struct str value, uint64_t now)
{
	char text[64];
	uint64_t n;
	time_t t;

	if (str_to_u64(value, UINT32_MAX, &n) == OK)
		return n;
	snprintf(text, sizeof(text), "%.*s", STR_ARG(value));
	t = curl_getdate(text, NULL);
	return t > 0 && (uint64_t)t > now ? (uint64_t)t - now : 0;
}

/* --- what comes ----------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	buf_add(&c->answer, data, size * n);
	return c->answer.failed ? 0 : size * n; /* 0 ends it */
}

static bool field(struct str line, struct str name, struct str *ret)
{
	if (line.len <= name.len || line.s[name.len] != ':' ||
	    !str_eq_nocase(str_n(line.s, name.len), name))
		return false;
	*ret = str_trim(str_n(line.s + name.len + 1, line.len - name.len - 1));
	return true;
}

static void keep(char *out, size_t size, struct str value)
{
	out[0] = '\0';
	if (value.len < size && !memchr(value.s, '\0', value.len)) {
		memcpy(out, value.s, value.len);
		out[value.len] = '\0';
	}
}

static size_t on_field(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;
	struct str line = str_n(data, size * n);
	struct str value;

	while (line.len > 0 && (line.s[line.len - 1] == '\n' || line.s[line.len - 1] == '\r'))
		line.len--;
	if (field(line, STR("replay-nonce"), &value))
		keep(c->nonce, sizeof(c->nonce), value);
	else if (field(line, STR("location"), &value))
		keep(c->location, sizeof(c->location), value);
	else if (field(line, STR("retry-after"), &value))
		c->retry_after = acme_http_retry_after(value, (uint64_t)time(NULL));
	return size * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
	(void)a;
	(void)b;
	(void)d;
	(void)e;
	return acme_job_stopped(arg) ? 1 : 0;
}

/* --- the request ---------------------------------------------------------------------------- */

static struct curl_slist *fields(const struct http_call *c)
{
	struct curl_slist *list = NULL;
	char text[1024];

	if (c->type != NULL) {
		snprintf(text, sizeof(text), "Content-Type: %s", c->type);
		list = curl_slist_append(list, text);
	}
	if (c->token != NULL && strlen(c->token) < sizeof(text) - 32) {
		snprintf(text, sizeof(text), "Authorization: Bearer %s", c->token);
		list = curl_slist_append(list, text);
	}
	return list;
}

static void set_options(CURL *curl, struct acme_job *job, struct http_call *c, char *error)
{
	curl_easy_setopt(curl, CURLOPT_URL, c->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, c->clear ? "http,https" : "https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)HTTP_TOTAL_S);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "holdfast/" HOLDFAST_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, job);
	if (c->ca != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca);
	if (strcmp(c->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else if (c->type != NULL) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->body.s ? c->body.s : "");
	}
	if (strcmp(c->method, "DELETE") == 0)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
}

void acme_http_call(CURL **curl, struct acme_job *job, struct http_call *c)
{
	struct curl_slist *list = fields(c);
	char error[CURL_ERROR_SIZE] = "";
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long status = 0;

	c->answer = BUF_INIT;
	c->answer.max = ORDER_MAX_ANSWER;
	c->status = 0;
	c->nonce[0] = c->location[0] = '\0';
	c->retry_after = 0;
	if (*curl == NULL)
		*curl = curl_easy_init();
	if (*curl != NULL) {
		curl_easy_reset(*curl); /* keeps the connection */
		set_options(*curl, job, c, error);
		curl_easy_setopt(*curl, CURLOPT_HTTPHEADER, list);
		rc = curl_easy_perform(*curl);
		curl_easy_getinfo(*curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_setopt(*curl, CURLOPT_HTTPHEADER, NULL);
		curl_easy_setopt(*curl, CURLOPT_ERRORBUFFER, NULL);
	}
	curl_slist_free_all(list);
	c->status = (unsigned)status;
	c->err = rc == CURLE_OK ? OK : ERR_SYSTEM;
	if (rc == CURLE_SSL_CACERT_BADFILE && c->ca != NULL)
		snprintf(c->why, sizeof(c->why),
		         "the authorities in %s cannot be read: the user that roles run as has to, "
		         "and they are PEM",
		         c->ca);
	else if (c->answer.failed)
		snprintf(c->why, sizeof(c->why), "its answer is longer than %d KiB",
		         ORDER_MAX_ANSWER / 1024);
	else
		snprintf(c->why, sizeof(c->why), "%s",
		         rc == CURLE_OK ? ""
		         : error[0]     ? error
		                        : curl_easy_strerror(rc));
}
