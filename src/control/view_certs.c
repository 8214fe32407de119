/* SPDX-License-Identifier: Apache-2.0 */
/* What the API says about certificates. Role control. */
#include <stdlib.h>

#include "base/clock.h"
#include "control/api.h"
#include "control/jw.h"

#define PARTS_MAX 20 /* of the health's: a folder of thousands must not make it unreadable */

static void put_cert(struct jw *w, const struct board_cert *c, uint64_t now_ms)
{
	char print[2 * sizeof(c->fingerprint) + 1];

	for (size_t i = 0; i < sizeof(c->fingerprint); i++) {
		print[2 * i] = "0123456789abcdef"[c->fingerprint[i] >> 4];
		print[2 * i + 1] = "0123456789abcdef"[c->fingerprint[i] & 15];
	}
	print[sizeof(print) - 1] = '\0';
	jw_open(w, NULL, '{');
	jw_text(w, "listener", c->listener);
	jw_text(w, "from", cert_from_name[c->from]);
	jw_text(w, "origin", c->origin);
	jw_text(w, "names", c->names);
	jw_u64(w, "name_count", c->nnames);
	jw_bool(w, "serving", c->serving != 0);
	if (c->serving) {
		jw_text(w, "key", c->key);
		jw_time(w, "not_before", c->not_before * 1000);
		jw_time(w, "not_after", c->not_after * 1000);
		jw_u64(w, "days_left",
		       c->not_after * 1000 > now_ms ? (c->not_after - now_ms / 1000) / 86400 : 0);
		jw_text(w, "stage", cert_stage_name[c->stage]);
		jw_text(w, "sha256", print);
	}
	jw_text(w, "problem", c->problem);
	jw_text(w, "note", c->note);
	jw_close(w, '}');
}

void view_certificates(const struct api *a, struct jw *w)
{
	struct board_certs *t = board_certs_read(a->board);
	uint64_t now_ms = clock_wall_ms();

	jw_open(w, "certificates", '[');
	for (uint32_t i = 0; t != NULL && i < t->n; i++)
		put_cert(w, &t->v[i], now_ms);
	jw_close(w, ']');
	jw_u64(w, "certificates_more", t != NULL ? t->more : 0);
	jw_text(w, "authority", t != NULL ? t->authority : "");
	free(t);
}

/* --- health --------------------------------------------------------------------------------- */

static bool is_ill(const struct board_cert *c)
{
	return c->problem[0] != '\0' || (c->serving && c->stage >= CERT_STAGE_URGENT);
}

uint32_t view_certs_ill(const struct api *a, view_cert_fn *tell, void *arg)
{
	struct board_certs *t = board_certs_read(a->board);
	uint32_t n = 0;

	for (uint32_t i = 0; t != NULL && i < t->n; i++) {
		const struct board_cert *c = &t->v[i];

		if (is_ill(c) && n++ < PARTS_MAX)
			tell(arg, c->origin,
			     c->problem[0] != '\0'           ? c->problem
			     : c->stage == CERT_STAGE_URGENT ? "it is about to expire"
			                                     : "it has expired");
	}
	free(t);
	return n > PARTS_MAX ? n - PARTS_MAX : 0;
}
