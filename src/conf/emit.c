/* SPDX-License-Identifier: Apache-2.0 */
/* YAML and JSON output of configuration values. */
#include "conf/emit.h"

#include "base/check.h"

static bool plain_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || c == '/' || c == '+' || c == '=' || c == '~';
}

/* Whether YAML (1.1 and 1.2 alike) reads the text back as that text without quotes. */
static bool is_plain(struct str s)
{
	static const char *const words[] = { "true", "false", "yes",  "no", "on",   "off", "null",
		                             "y",    "n",     "none", "~",  ".inf", ".nan" };
	bool numeric = true;
	unsigned dots = 0;

	if (s.len == 0 || s.s[0] == '-' || s.s[0] == '~' || s.s[0] == '=' || s.s[0] == '+') {
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];

		if (!plain_char(c) && !(c == ':' && i > 0 && i + 1 < s.len)) {
			return false;
		}
		dots += c == '.';
		numeric = numeric && ((c >= '0' && c <= '9') || strchr(".:_-+xXeEaAbBcCdDfFoO", c));
	}
	if (numeric && dots < 2 && ((s.s[0] >= '0' && s.s[0] <= '9') || s.s[0] == '.')) {
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq_nocase(s, str_from(words[i]))) {
			return false;
		}
	}
	return true;
}

/* "${" would be read as a variable. */
static void quoted(struct emit *o, struct str s)
{
	struct buf escaped = BUF_INIT;

	if (s.len < 2 || !memmem(s.s, s.len, "${", 2)) {
		buf_json(o->b, s);
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (i + 1 < s.len && s.s[i] == '$' && s.s[i + 1] == '{') {
			buf_addc(&escaped, '$');
		}
		buf_addc(&escaped, s.s[i]);
	}
	buf_json(o->b, buf_str(&escaped));
	buf_free(&escaped);
}

static void text(struct emit *o, struct str s)
{
	if (!o->json && is_plain(s)) {
		buf_addstr(o->b, s);
	} else {
		quoted(o, s);
	}
}

static void indent(struct emit *o)
{
	for (unsigned i = 0; i < o->depth; i++) {
		buf_adds(o->b, "  ");
	}
}

/* What stands before a value: comma, line break, indentation and key. */
static void begin(struct emit *o, struct str key)
{
	if (o->bare) {
		buf_adds(o->b, o->some ? ", " : "");
	} else if (o->json) {
		buf_adds(o->b, o->some ? ",\n" : o->depth ? "\n" : "");
		indent(o);
	} else if (o->depth) {
		o->depth--;
		indent(o);
		o->depth++;
	}
	if (key.s && !(o->bare && o->depth == 0)) {
		text(o, key);
		buf_adds(o->b, ": ");
	}
	o->some = true;
}

static void end(struct emit *o)
{
	if (!o->json && !o->bare) {
		buf_addc(o->b, '\n');
	}
}

void emit_open_named(struct emit *o, struct str key)
{
	begin(o, key);
	if (o->json || o->bare) {
		buf_addc(o->b, '{');
		buf_adds(o->b, o->bare ? " " : "");
	} else if (key.s && o->b->len) {
		o->b->p[o->b->len - 1] = '\n'; /* the space after the colon */
	}
	o->depth++;
	o->some = false;
}

void emit_open(struct emit *o, const char *key)
{
	emit_open_named(o, str_from(key));
}

void emit_close(struct emit *o)
{
	o->depth--;
	if (o->bare) {
		buf_adds(o->b, o->some ? " }" : "}");
	} else if (o->json) {
		if (o->some) {
			buf_addc(o->b, '\n');
			indent(o);
		}
		buf_addc(o->b, '}');
	} else if (!o->some && o->b->len >= 2 && o->b->p[o->b->len - 1] == '\n') {
		o->b->len--;
		buf_adds(o->b, " {}\n");
	}
	o->some = true;
}

void emit_text_named(struct emit *o, struct str key, struct str value)
{
	begin(o, key);
	text(o, value);
	end(o);
}

void emit_text(struct emit *o, const char *key, struct str value)
{
	emit_text_named(o, str_from(key), value);
}

void emit_word(struct emit *o, const char *key, const char *word)
{
	begin(o, str_from(key));
	if (o->json) {
		buf_json(o->b, str_from(word));
	} else {
		buf_adds(o->b, word);
	}
	end(o);
}

void emit_literal_named(struct emit *o, struct str key, const char *literal)
{
	begin(o, key);
	buf_adds(o->b, literal);
	end(o);
}

void emit_literal(struct emit *o, const char *key, const char *literal)
{
	emit_literal_named(o, str_from(key), literal);
}

void emit_count(struct emit *o, const char *key, uint64_t n)
{
	begin(o, str_from(key));
	buf_printf(o->b, "%llu", (unsigned long long)n);
	end(o);
}

void emit_list_open(struct emit *o, const char *key)
{
	begin(o, str_from(key));
	buf_addc(o->b, '[');
	o->some = false;
}

void emit_item(struct emit *o, struct str item)
{
	buf_adds(o->b, o->some ? ", " : "");
	text(o, item);
	o->some = true;
}

bool emit_item_open(struct emit *o)
{
	bool was_bare = o->bare;

	buf_adds(o->b, o->some ? ", { " : "{ ");
	o->bare = true;
	o->depth++;
	o->some = false;
	return was_bare;
}

void emit_item_close(struct emit *o, bool was_bare)
{
	o->bare = was_bare;
	o->depth--;
	buf_adds(o->b, " }");
	o->some = true;
}

void emit_list_close(struct emit *o)
{
	buf_addc(o->b, ']');
	o->some = true;
	end(o);
}
