/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a configuration: collected with its place, printed all at once, sorted by
 * place, each with the source line and a caret under the column.
 */
#ifndef CONF_PROBLEM_H
#define CONF_PROBLEM_H

#include "base/arena.h"
#include "base/buf.h"

struct place {
	uint32_t line;   /* from 1; 0: the file as a whole */
	uint32_t column; /* from 1, in characters */
	uint32_t width;  /* characters to underline; 0: one */
	uint32_t file;   /* index in problem_list.files */
};

struct source {
	const char *path; /* as the user wrote it */
	struct str text;
};

enum severity { SEVERITY_ERROR, SEVERITY_WARNING };

struct problem {
	struct place at;
	enum severity severity;
	uint32_t order; /* of its finding: breaks ties */
	const char *text;
};

#define PROBLEM_MAX_FILES 256
#define PROBLEM_MAX_KEPT  1000 /* of each severity; further ones are counted */
#define PROBLEM_MAX_SHOWN 50   /* of each severity */

struct problem_list {
	struct arena arena;
	struct source files[PROBLEM_MAX_FILES];
	uint32_t nfiles;
	struct problem *v;
	uint32_t n, cap;
	uint32_t errors, warnings;
};

void problem_add(struct problem_list *l, enum severity severity, struct place at, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));
#define problem_error(l, at, ...)   problem_add(l, SEVERITY_ERROR, at, __VA_ARGS__)
#define problem_warning(l, at, ...) problem_add(l, SEVERITY_WARNING, at, __VA_ARGS__)

/* Appends every problem as a compiler prints it. */
void problem_print(struct problem_list *l, bool colour, struct buf *out);
void problem_free(struct problem_list *l);

/* "did you mean": the candidate that is closest to a word. */
struct guess {
	struct str word;
	struct str best;
	unsigned distance;
};

void guess_init(struct guess *g, struct str word);
void guess_try(struct guess *g, struct str candidate);
/* "; did you mean \"x\"?", or "" where nothing is close. Written to out. */
const char *guess_text(const struct guess *g, char out[128]);

#endif
