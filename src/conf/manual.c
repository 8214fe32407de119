/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page holdfast.yaml(5), in man(7), from the schema rows. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "conf/schema.h"
#include "conf/value.h"

static const char intro[] =
    ".TH HOLDFAST.YAML 5 \"\" \"holdfast " HOLDFAST_VERSION "\" \"File formats\"\n.ad l\n"
    ".SH NAME\n"
    "holdfast.yaml \\- configuration of holdfast\n"
    ".SH DESCRIPTION\n"
    "One YAML file describes what a node does. Named things (listeners, routes, pools, servers) "
    "are maps, so that each has one name in diffs, metrics, logs and commands. "
    ".B holdfast check\n"
    "validates a file,\n"
    ".B holdfast show\n"
    "prints it with all defaults,\n"
    ".B holdfast diff\n"
    "tells what a reload would change, and\n"
    ".B holdfast schema\n"
    "gives a JSON Schema to editors. A file with an error is refused as a whole, with all its "
    "errors named.\n"
    ".SH EXAMPLE\n"
    ".nf\n"
    "listeners:\n"
    "  http: { bind: \"*:80\" }\n"
    "pools:\n"
    "  web:\n"
    "    check: { http: /health }\n"
    "    servers: { a: 10.0.0.21:80, b: 10.0.0.22:80 }\n"
    "routes:\n"
    "  all: { to: web }\n"
    ".fi\n"
    ".SH VALUES\n"
    ".TP\n"
    ".B durations\n"
    "carry a unit: us, ms, s, m, h or d, as in 40ms, 1.5s or 1h30m.\n"
    ".TP\n"
    ".B sizes\n"
    "carry a unit: B, KiB, MiB, GiB, or the decimal KB, MB, GB.\n"
    ".TP\n"
    ".B variables\n"
    "${NAME} stands for an environment variable, ${NAME:\\-default} for one with a default, "
    "$${ for ${ itself, in any value.\n"
    ".TP\n"
    ".B secrets\n"
    "may be taken from elsewhere: file:PATH reads a file, cred:NAME a credential of systemd. "
    "They are shown as ***.\n"
    ".TP\n"
    ".B files\n"
    "with relative paths are looked for beside the file that names them.\n"
    ".TP\n"
    ".B names\n"
    "have up to 59 letters, digits, \"_\", \".\" and \"\\-\", and start with a letter or a "
    "digit.\n"
    ".PP\n"
    "Anchors, aliases, tags, duplicate keys and several documents in one file are errors.\n";

static const char outro[] = ".SH SEE ALSO\n"
                            ".BR holdfast (1)\n";

/* Text in which nothing is a request or an escape. */
static void add_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\') {
			buf_adds(out, "\\e");
		} else if (*text == '-') {
			buf_adds(out, "\\-");
		} else if (*text == ':' && text[1] != '\0' && text[1] != ' ') {
			buf_adds(out, ":\\:"); /* a long list may be broken there */
		} else {
			buf_addc(out, *text);
		}
	}
}

static void format_bound(const struct row *row, uint64_t v, char out[32])
{
	if (row->type == &type_duration) {
		clock_format_conf(v, out);
	} else if (row->type == &type_size) {
		value_size_format(v, out);
	} else {
		snprintf(out, 32, "%llu%s", (unsigned long long)v,
		         row->type == &type_percent ? "%" : "");
	}
}

static bool has_bounds(const struct row *row)
{
	return row->type == &type_duration || row->type == &type_size || row->type == &type_count ||
	       row->type == &type_percent || row->type == &type_retries;
}

static void add_facts(const struct row *row, struct buf *out)
{
	char low[32], high[32];

	if (row->choices) {
		for (unsigned i = 0; row->choices[i]; i++) {
			buf_adds(out, i ? " | " : "");
			add_text(out, row->choices[i]);
		}
	} else {
		add_text(out, row->type->name);
	}
	if (row->sub && row->sub->brief_doc) {
		buf_printf(out, " or %s", row->sub->brief_doc);
	}
	if (has_bounds(row)) {
		format_bound(row, row->min, low);
		format_bound(row, row->max, high);
		buf_printf(out, ", %s to %s", low, high);
		if (row->zero || row->flags & ROW_UNSET) {
			buf_printf(out, " or %s", row->zero ? row->zero : row->def);
		}
	}
	if (row->def) {
		buf_adds(out, "; default ");
		add_text(out, row->def);
	}
	if (row->flags & ROW_REQUIRED) {
		buf_adds(out, "; required");
	}
}

static void add_rows(struct buf *out, const struct rows *rows, const char *path, unsigned depth);

static void add_row(struct buf *out, const struct row *r)
{
	buf_adds(out, ".TP\n.B ");
	add_text(out, r->name);
	buf_adds(out, "\n(");
	add_facts(r, out);
	buf_adds(out, ")\n.br\n");
	add_text(out, r->doc);
	if (!r->sub && r->redo != REDO_NOTHING) {
		buf_adds(out, "\nOn change: ");
		add_text(out, redo_text(r->redo));
		buf_addc(out, '.');
	}
	buf_addc(out, '\n');
}

static void add_keys(struct buf *out, const struct rows *rows)
{
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->flags & ROW_INLINE) {
			add_keys(out, r->sub);
		} else if (!(r->flags & (ROW_HIDDEN | ROW_LATER))) {
			add_row(out, r);
		}
	}
}

/* The rows of one map, then one section for each map in it. */
static void add_rows(struct buf *out, const struct rows *rows, const char *path, unsigned depth)
{
	char below[256];

	CHECK(depth < 8);
	add_keys(out, rows);
	for (const struct row *r = rows->v; r->name; r++) {
		if (!r->sub || r->flags & (ROW_HIDDEN | ROW_LATER | ROW_INLINE)) {
			continue;
		}
		snprintf(below, sizeof(below), "%s%s%s%s", path, path[0] ? "." : "", r->name,
		         r->type == &type_map     ? ".NAME"
		         : r->type == &type_items ? "[]"
		                                  : "");
		buf_adds(out, ".SS ");
		add_text(out, below);
		buf_addc(out, '\n');
		if (r->sub->doc) {
			add_text(out, r->sub->doc);
			buf_addc(out, '\n');
		}
		add_rows(out, r->sub, below, depth + 1);
	}
}

void conf_manual(struct buf *out)
{
	buf_adds(out, intro);
	buf_adds(out, ".SH OPTIONS\n");
	add_rows(out, &schema_root, "", 0);
	buf_adds(out, outro);
}
