/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of JSON. */
#include "control/jw.h"

#include "base/clock.h"

static void key_of(struct jw *w, const char *key)
{
	if (w->more)
		buf_addc(w->out, ',');
	w->more = true;
	if (key == NULL)
		return;
	buf_json(w->out, str_from(key));
	buf_addc(w->out, ':');
}

void jw_open(struct jw *w, const char *key, char bracket)
{
	key_of(w, key);
	buf_addc(w->out, bracket);
	w->more = false;
}

void jw_close(struct jw *w, char bracket)
{
	buf_addc(w->out, bracket);
	w->more = true;
}

void jw_str(struct jw *w, const char *key, struct str s)
{
	key_of(w, key);
	buf_json(w->out, s);
}

void jw_text(struct jw *w, const char *key, const char *s)
{
	jw_str(w, key, str_from(s));
}

void jw_u64(struct jw *w, const char *key, uint64_t n)
{
	key_of(w, key);
	buf_addu(w->out, n);
}

void jw_bool(struct jw *w, const char *key, bool b)
{
	key_of(w, key);
	buf_adds(w->out, b ? "true" : "false");
}

void jw_time(struct jw *w, const char *key, uint64_t wall_ms)
{
	char text[32];

	if (wall_ms == 0) {
		key_of(w, key);
		buf_adds(w->out, "null");
		return;
	}
	clock_format_utc(wall_ms, text);
	jw_text(w, key, text);
}
