/* SPDX-License-Identifier: Apache-2.0 */
/* Types that only checks have: the kinds that are asked for by "true", and bytes with escapes. */
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

/* --- `tcp: true`; row->min is the kind -------------------------------------------------------- */

static void probe_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;
	bool on;

	(void)object; /* the kind is found out when all keys are known */
	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (value_bool(text, &on, &why) != OK || !on) {
		load_refuse(l, row, n, text, "is not \"true\": leave the check out to have none");
	}
}

static void probe_print(const struct row *row, const void *object, struct emit *o)
{
	if (((const struct conf_check *)object)->probe == row->min) {
		emit_literal(o, row->name, "true");
	}
}

static void probe_schema(const struct row *row, struct buf *out)
{
	(void)row;
	buf_adds(out, "\"const\": true");
}

static void probe_walk(const struct row *row, void *object, struct walk *w)
{
	(void)row;
	walk_check(w, ((const struct conf_check *)object)->probe < PROBE_KINDS);
}

const struct row_type type_probe = { "true", probe_read, probe_print, probe_schema, probe_walk };

/* --- `grpc: true`, or a service --------------------------------------------------------------- */

static void grpc_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;
	bool on;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (value_bool(text, &on, &why) == OK) {
		if (!on) {
			load_refuse(l, row, n, text,
			            "is neither \"true\" nor a service: leave the check out to "
			            "have none");
		}
		return;
	}
	why = row->check(text);
	if (why) {
		load_refuse(l, row, n, text, why);
		return;
	}
	*ROW_AT(struct str, row, object) = text;
}

static void grpc_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_check *c = object;

	if (c->probe == PROBE_GRPC && c->grpc.len) {
		emit_text(o, row->name, c->grpc);
	} else if (c->probe == PROBE_GRPC) {
		emit_literal(o, row->name, "true");
	}
}

static void grpc_schema(const struct row *row, struct buf *out)
{
	(void)row;
	buf_adds(out, "\"anyOf\": [{\"const\": true}, {\"type\": \"string\"}]");
}

static void grpc_walk(const struct row *row, void *object, struct walk *w)
{
	walk_str(w, ROW_AT(struct str, row, object));
}

const struct row_type type_probe_grpc = { "true or a service", grpc_read, grpc_print, grpc_schema,
	                                  grpc_walk };

/* --- bytes with escapes ----------------------------------------------------------------------- */

#define ESCAPED_MAX 4096

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of the escape whose letter stands at s (left: bytes from there); -1: none. */
static int unescape(const char *s, size_t left, size_t *used)
{
	*used = 1;
	switch (*s) {
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case '0':
		return 0;
	case '\\':
		return '\\';
	case 'x':
		*used = 3;
		return left < 3 || hex(s[1]) < 0 || hex(s[2]) < 0 ? -1 : hex(s[1]) << 4 | hex(s[2]);
	default:
		return -1;
	}
}

static void escaped_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct str text;
	size_t len = 0;
	char *out;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (text.len == 0 || text.len > ESCAPED_MAX) {
		load_refuse(l, row, n, text, "is not 1 to 4096 bytes long");
		return;
	}
	out = load_alloc(l, text.len + 1, 1);
	for (size_t i = 0; out && i < text.len; i++) {
		size_t used = 0;
		int byte = (unsigned char)text.s[i];

		if (byte == '\\') {
			byte = i + 1 < text.len ? unescape(text.s + i + 1, text.len - i - 1, &used)
			                        : -1;
		}
		if (byte < 0) {
			load_refuse(l, row, n, text,
			            "has an escape that is none of \\r \\n \\t \\0 \\xHH \\\\");
			return;
		}
		out[len++] = (char)byte;
		i += used;
	}
	if (out) {
		*ROW_AT(struct str, row, object) = str_n(out, len);
	}
}

static void escaped_print(const struct row *row, const void *object, struct emit *o)
{
	struct str text = *ROW_CAT(struct str, row, object);
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.s[i];

		if (c == '\r') {
			buf_adds(&b, "\\r");
		} else if (c == '\n') {
			buf_adds(&b, "\\n");
		} else if (c == '\t') {
			buf_adds(&b, "\\t");
		} else if (c == '\\') {
			buf_adds(&b, "\\\\");
		} else if (c < ' ' || c >= 127) {
			buf_printf(&b, "\\x%02x", c);
		} else {
			buf_addc(&b, (char)c);
		}
	}
	if (text.len) {
		emit_text(o, row->name, buf_str(&b));
	}
	buf_free(&b);
}

static void escaped_schema(const struct row *row, struct buf *out)
{
	(void)row;
	buf_adds(out, "\"type\": [\"string\", \"number\", \"boolean\"]");
}

const struct row_type type_escaped = { "text with escapes", escaped_read, escaped_print,
	                               escaped_schema, grpc_walk };
