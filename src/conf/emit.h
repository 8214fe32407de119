/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a tree of values as YAML or JSON; with no key (or NULL) and depth 0 a bare value. */
#ifndef CONF_EMIT_H
#define CONF_EMIT_H

#include "base/buf.h"

struct emit {
	struct buf *b;
	bool json;
	bool exact; /* for comparison: secrets as they are, what files hold, resolved addresses */
	bool bare;  /* values only: keys are left out, maps are { } on one line */
	unsigned depth;
	bool some; /* the open map or list has members already */
};

void emit_open(struct emit *o, const char *key);
void emit_open_named(struct emit *o, struct str key);
void emit_close(struct emit *o);
/* A text, quoted where it must be. */
void emit_text(struct emit *o, const char *key, struct str text);
void emit_text_named(struct emit *o, struct str key, struct str text);
/* A word that JSON has in quotes and YAML without: durations, sizes. */
void emit_word(struct emit *o, const char *key, const char *word);
/* A number or true or false. */
void emit_literal(struct emit *o, const char *key, const char *text);
void emit_literal_named(struct emit *o, struct str key, const char *text);
void emit_count(struct emit *o, const char *key, uint64_t n);
/* A list of texts on one line. */
void emit_list_open(struct emit *o, const char *key);
void emit_item(struct emit *o, struct str text);
void emit_list_close(struct emit *o);
/* A map in a list, on one line too; what open returns is for close. */
bool emit_item_open(struct emit *o);
void emit_item_close(struct emit *o, bool was_bare);

#endif
