/* SPDX-License-Identifier: Apache-2.0 */
/* Families about certificates. */
#include <stdlib.h>
#include <string.h>

#include "control/metrics_impl.h"

static char *labels_of(const struct board_cert *c)
{
	struct buf labels = BUF_INIT;

	metrics_label(&labels, "listener", str_from(c->listener));
	metrics_label(&labels, "name", str_n(c->names, strcspn(c->names, ",")));
	metrics_label(&labels, "from", str_from(cert_from_name[c->from]));
	metrics_label(&labels, "origin", str_from(c->origin));
	buf_cstr(&labels);
	return buf_take(&labels);
}

void metrics_certs(const struct api *a, struct buf *out)
{
	struct board_certs *t = board_certs_read(a->board);
	uint32_t n = t != NULL ? t->n : 0;
	char **labels = calloc(n + 1, sizeof(*labels));

	out->failed |= labels == NULL;
	if (labels == NULL || n == 0) {
		free(labels);
		free(t);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		labels[i] = labels_of(&t->v[i]);
		out->failed |= labels[i] == NULL;
	}
	metrics_head(out, "holdfast_certificate_expiry_timestamp_seconds", "gauge",
	             "when the certificate in service expires, Unix time");
	for (uint32_t i = 0; i < n; i++) {
		if (t->v[i].serving && labels[i] != NULL)
			metrics_line(out, STR("holdfast_certificate_expiry_timestamp_seconds"),
			             labels[i], t->v[i].not_after);
	}
	metrics_head(out, "holdfast_certificate_problem", "gauge",
	             "whether what the certificate's source holds now is not taken");
	for (uint32_t i = 0; i < n; i++) {
		if (labels[i] != NULL)
			metrics_line(out, STR("holdfast_certificate_problem"), labels[i],
			             t->v[i].problem[0] != '\0');
	}
	for (uint32_t i = 0; i < n; i++)
		free(labels[i]);
	free(labels);
	free(t);
}
