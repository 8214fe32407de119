/* SPDX-License-Identifier: Apache-2.0 */
/* What the API and the exposition say about certificates that the role acme orders: it writes that
 * to a file in the state folder. Role control. */
#include <jansson.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "control/jw.h"
#include "control/metrics_impl.h"
#include "tls/acme_dir.h"

#define MAX_FILE (1u << 20)

/* The array of certificates; NULL where there is none. */
static json_t *load(const struct api *a)
{
	char path[1024];
	struct buf b = BUF_INIT;
	json_t *root = NULL;
	json_t *list;

	if (a->state_dir == NULL || a->conf->nissuers == 0)
		return NULL;
	snprintf(path, sizeof(path), "%s/" ACME_DIR_STATUS, a->state_dir);
	if (buf_read_file(&b, path, MAX_FILE) == OK)
		root = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	buf_free(&b);
	list = json_object_get(root, "certificates");
	list = json_is_array(list) ? json_incref(list) : NULL;
	json_decref(root);
	return list;
}

static struct str text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return str_from(s ? s : "");
}

static uint64_t number(const json_t *j, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(j, key));

	return n > 0 ? (uint64_t)n : 0;
}

/* The file may be older than the configuration. */
static bool is_ours(const struct api *a, const json_t *j)
{
	for (uint32_t i = 0; i < a->conf->nissuers; i++) {
		if (str_eq(a->conf->issuers[i].name, text(j, "issuer")))
			return true;
	}
	return false;
}

void view_acme(const struct api *a, struct jw *w)
{
	static const char *const words[] = { "issuer", "name", "state", "error", "error_type" };
	static const char *const times[] = { "not_after", "issued", "next", "failed" };
	static const char *const counts[] = { "failures", "orders", "failures_total" };
	json_t *list = load(a);
	const json_t *j;
	const json_t *host;
	size_t i;
	size_t k;

	jw_open(w, "acme", '[');
	json_array_foreach (list, i, j) {
		if (!is_ours(a, j))
			continue;
		jw_open(w, NULL, '{');
		for (k = 0; k < ARRAY_LEN(words); k++)
			jw_str(w, words[k], text(j, words[k]));
		jw_open(w, "hosts", '[');
		json_array_foreach (json_object_get(j, "hosts"), k, host) {
			const char *s = json_string_value(host);

			jw_str(w, NULL, str_from(s ? s : ""));
		}
		jw_close(w, ']');
		for (k = 0; k < ARRAY_LEN(times); k++)
			jw_time(w, times[k], number(j, times[k]) * 1000);
		for (k = 0; k < ARRAY_LEN(counts); k++)
			jw_u64(w, counts[k], number(j, counts[k]));
		jw_close(w, '}');
	}
	jw_close(w, ']');
	json_decref(list);
}

/* --- the exposition ------------------------------------------------------------------------- */

static void family(const struct api *a, const json_t *list, const char *name, const char *type,
                   const char *help, const char *member, struct buf *out)
{
	const json_t *j;
	size_t i;

	metrics_head(out, name, type, help);
	json_array_foreach (list, i, j) {
		struct buf labels = BUF_INIT;

		if (!is_ours(a, j))
			continue;
		metrics_label(&labels, "issuer", text(j, "issuer"));
		metrics_label(&labels, "certificate", text(j, "name"));
		metrics_line(out, str_from(name), buf_cstr(&labels), number(j, member));
		buf_free(&labels);
	}
}

void metrics_acme(const struct api *a, struct buf *out)
{
	json_t *list = load(a);

	if (list == NULL)
		return;
	family(a, list, "holdfast_acme_not_after_seconds", "gauge",
	       "when the certificate that the issuer gave ends, Unix time; 0: there is none",
	       "not_after", out);
	family(a, list, "holdfast_acme_next_order_seconds", "gauge",
	       "when the certificate is ordered next, Unix time", "next", out);
	family(a, list, "holdfast_acme_failures", "gauge",
	       "orders that have failed since the last one that did not", "failures", out);
	family(a, list, "holdfast_acme_issued_total", "counter", "certificates that were issued",
	       "orders", out);
	family(a, list, "holdfast_acme_failed_total", "counter", "orders that failed",
	       "failures_total", out);
	json_decref(list);
}
