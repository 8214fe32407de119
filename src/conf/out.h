/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a tree of values as YAML or JSON; with no key (or NULL) and depth 0 a bare value. */
#ifndef CONF_OUT_H
#define CONF_OUT_H

#include "base/buf.h"

struct out {
	struct buf *b;
	bool json;
	bool secrets; /* shown as they are, not as *** */
	bool bare;    /* values only: keys are left out, maps are { } on one line */
	unsigned depth;
	bool some;    /* the open map or list has members already */
};

void out_open(struct out *o, const char *key);
void out_open_named(struct out *o, struct str key);
void out_close(struct out *o);
/* A text, quoted where it must be. */
void out_text(struct out *o, const char *key, struct str text);
void out_text_named(struct out *o, struct str key, struct str text);
/* A word that JSON has in quotes and YAML without: durations, sizes. */
void out_word(struct out *o, const char *key, const char *word);
/* A number or true or false. */
void out_literal(struct out *o, const char *key, const char *text);
void out_count(struct out *o, const char *key, uint64_t n);
/* A list of texts on one line. */
void out_list_open(struct out *o, const char *key);
void out_item(struct out *o, struct str text);
void out_item_count(struct out *o, uint64_t n);
void out_list_close(struct out *o);

#endif
