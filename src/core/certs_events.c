/* SPDX-License-Identifier: Apache-2.0 */
/* What has become of certificates: the new table against the one on the board, an event for each
 * difference. Main thread of the parent. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "core/certs_helper.h"
#include "core/parent.h"

#define EVENTS_MAX \
	200 /* of one kind in one go: a folder of thousands must not fill the journal \
	     */

/* By what a line is found again. */
static int compare(const void *a, const void *b)
{
	const struct board_cert *x = a, *y = b;
	int order = strcmp(x->origin, y->origin);

	return order ? order : strcmp(x->listener, y->listener);
}

static const char *day(uint64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d", &tm) == 0)
		snprintf(out, 32, "?");
	return out;
}

struct told {
	unsigned taken, refused, ending;
};

static bool may_tell(unsigned *n)
{
	return ++*n <= EVENTS_MAX;
}

static void tell_taken(const struct board_cert *e, bool first, struct told *t)
{
	char until[32];

	if (!may_tell(&t->taken))
		return;
	if (first)
		log_info("certificate_taken", e->origin, "for %s, until %s (%s)%s%s",
		         e->names[0] ? e->names : "no name", day(e->not_after, until), e->key,
		         e->note[0] ? "; " : "", e->note);
	else
		log_notice("certificate_taken", e->origin, "a new one for %s, until %s (%s)%s%s",
		           e->names[0] ? e->names : "no name", day(e->not_after, until), e->key,
		           e->note[0] ? "; " : "", e->note);
}

static void tell_refused(const struct board_cert *e, struct told *t)
{
	char until[32];

	if (!may_tell(&t->refused))
		return;
	if (e->serving && e->from == CERT_FROM_ACME)
		log_warning("certificate_refused", e->origin, "%s", e->problem);
	else if (e->serving)
		log_warning("certificate_refused", e->origin,
		            "%s; the one in service stays, until %s", e->problem,
		            day(e->not_after, until));
	else
		log_error("certificate_refused", e->origin, "%s", e->problem);
}

static void tell_ending(const struct board_cert *e, struct told *t)
{
	char until[32];

	if (!may_tell(&t->ending))
		return;
	if (e->stage == CERT_STAGE_OVER)
		log_error("certificate_expires", e->origin, "the certificate for %s expired on %s",
		          e->names, day(e->not_after, until));
	else
		log_warning("certificate_expires", e->origin,
		            "the certificate for %s expires on %s: nobody has renewed it", e->names,
		            day(e->not_after, until));
}

static void tell(const struct board_cert *e, const struct board_cert *old, bool first,
                 struct told *t)
{
	bool same = old && old->serving && e->serving &&
	            memcmp(old->fingerprint, e->fingerprint, sizeof(e->fingerprint)) == 0;

	if (e->problem[0] && e->stage != CERT_STAGE_OVER &&
	    (!old || strcmp(old->problem, e->problem) != 0))
		tell_refused(e, t);
	else if (e->problem[0] && !same && e->stage != CERT_STAGE_OVER)
		tell_refused(e, t);
	if (e->serving && !same && !e->problem[0])
		tell_taken(e, first, t);
	else if (e->serving && old && old->problem[0] && !e->problem[0])
		log_notice("certificate_taken", e->origin, "its source is well again");
	if (e->serving && e->note[0] && same && strcmp(old->note, e->note) != 0)
		log_warning("certificate", e->origin, "%s", e->note);
	if (e->serving && e->stage > CERT_STAGE_WELL && (!same || old->stage < e->stage))
		tell_ending(e, t);
}

static void tell_gone(const struct board_certs *old, struct board_cert *v, uint32_t n,
                      struct told *t)
{
	for (uint32_t i = 0; i < old->n; i++) {
		if (old->v[i].serving && !bsearch(&old->v[i], v, n, sizeof(*v), compare) &&
		    may_tell(&t->taken))
			log_notice("certificate_removed", old->v[i].origin,
			           "for %s: it is not served any more", old->v[i].names);
	}
}

void certs_report(struct parent *p, struct certs_answer *a)
{
	struct board_certs *old = board_certs_read(p->board);
	struct board_cert *sorted = calloc(a->nentries + 1, sizeof(*sorted));
	struct told t = { 0 };
	uint32_t n;

	if (!sorted) {
		free(old);
		return;
	}
	/* Of what finds no room on the board nothing is known the next time. */
	n = MIN(a->nentries, (uint32_t)BOARD_MAX_CERTS);
	memcpy(sorted, a->entries, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	if (old)
		qsort(old->v, old->n, sizeof(*old->v), compare);
	for (uint32_t i = 0; i < n; i++) {
		const struct board_cert *e = &a->entries[i];

		tell(e, old ? bsearch(e, old->v, old->n, sizeof(*e), compare) : NULL, !old, &t);
	}
	if (old)
		tell_gone(old, sorted, n, &t);
	if (t.taken > EVENTS_MAX || t.refused > EVENTS_MAX)
		log_notice("certificates", NULL,
		           "%u taken or removed, %u refused: `holdfast status` has all of them",
		           t.taken, t.refused);
	if (a->authority[0] && (!old || strcmp(old->authority, a->authority) != 0))
		log_notice("authority", NULL,
		           "certificates of `tls: internal` are signed by the authority in %s: "
		           "clients that trust it trust them",
		           a->authority);
	board_certs_write(p->board, a->entries, a->nentries, a->more, a->number, a->authority);
	free(sorted);
	free(old);
}
