/* SPDX-License-Identifier: Apache-2.0 */
/* Visiting the blocks of a configuration: see walk.h. */
#include "conf/walk.h"

#include <string.h>

bool walk_foreign(const struct walk *w)
{
	return w->mode == WALK_MAP;
}

void walk_check(struct walk *w, bool well)
{
	w->bad = w->bad || (w->mode == WALK_MAP && !well);
}

/* Takes `bytes` at the next position for what *pointer points at. */
static void *take(struct walk *w, void *pointer, size_t bytes, const void *source)
{
	uintptr_t value;
	void *at = (void *)source;

	memcpy(&value, pointer, sizeof(value));
	switch (w->mode) {
	case WALK_MEASURE:
		break;
	case WALK_PACK:
		at = w->base + w->pos;
		memcpy(at, source, bytes);
		value = w->pos;
		memcpy(pointer, &value, sizeof(value));
		break;
	case WALK_MAP:
		at = w->base + w->pos;
		if (w->bad || value != w->pos || w->pos > w->size || bytes > w->size - w->pos) {
			w->bad = true;
			value = 0;
			at = NULL;
		}
		memcpy(pointer, &at, sizeof(at));
		break;
	}
	w->pos += w->bad ? 0 : bytes;
	return at;
}

void *walk_block(struct walk *w, const void *pointer, size_t count, size_t size)
{
	void *field = (void *)pointer, *source;
	size_t bytes;

	memcpy(&source, field, sizeof(source));
	if (__builtin_mul_overflow(count, size, &bytes) || (count && w->bad)) {
		w->bad = true;
		bytes = 0;
	}
	if (bytes == 0) {
		walk_check(w, source == NULL || count);
		if (w->mode != WALK_MEASURE) {
			memset(field, 0, sizeof(void *));
		}
		return NULL;
	}
	w->pos = walk_align(w->pos);
	return take(w, field, bytes, source);
}

void walk_str(struct walk *w, struct str *s)
{
	size_t bytes = s->len + 1;
	char *at;

	if (w->mode == WALK_MAP) {
		if (s->len >= w->size) {
			w->bad = true;
		}
		at = take(w, &s->s, w->bad ? 0 : bytes, NULL);
		if (w->bad || at[s->len] != '\0') {
			w->bad = true;
			*s = STR_NONE;
		}
		return;
	}
	if (w->mode == WALK_PACK) {
		at = w->base + w->pos;
		memcpy(at, s->s ? s->s : "", s->len);
		at[s->len] = '\0';
		s->s = (const char *)w->pos;
	}
	w->pos += bytes;
}

void walk_list(struct walk *w, struct conf_list *l)
{
	struct str *v = walk_block(w, &l->v, l->n, sizeof(*v));

	for (uint32_t i = 0; v && i < l->n; i++) {
		walk_str(w, &v[i]);
	}
}

void walk_rows(struct walk *w, const struct rows *rows, void *object)
{
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->type->walk) {
			r->type->walk(r, object, w);
		}
	}
}

char *walk_items(struct walk *w, const struct row *row, void *object)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	size_t size = row->sub->size;
	char *v;

	walk_check(w, n <= row->max);
	v = walk_block(w, ROW_AT(void *, row, object), n, size);
	for (uint32_t i = 0; v && i < n; i++) {
		walk_rows(w, row->sub, v + i * size);
	}
	return v;
}
