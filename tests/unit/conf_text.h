/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a configuration from memory, for tests; the file is called f.yaml. */
#ifndef TESTS_CONF_TEXT_H
#define TESTS_CONF_TEXT_H

#include <string.h>

#include "base/err.h"
#include "conf/conf.h"

#define LISTENER "listeners:\n  http: { bind: \"*:80\" }\n"
#define POOL \
	"pools:\n  web:\n    check: { http: /health }\n" \
	"    servers: { a: 10.0.0.21:80, b: 10.0.0.22:80 }\n"
#define ROUTE   "routes:\n  all: { to: web }\n"
#define MINIMAL LISTENER POOL ROUTE

struct loaded {
	struct conf_problems problems;
	struct conf_loaded *l; /* NULL: refused */
};

static inline struct loaded load_text_n(const char *text, size_t len)
{
	struct loaded t = { 0 };
	int err = conf_load_text(str_n(text, len), "f.yaml", false, &t.problems, &t.l);

	assert_true(err == OK ? t.l != NULL : t.l == NULL);
	assert_true((err == OK) == (t.problems.errors == 0));
	return t;
}

static inline void unload(struct loaded *t)
{
	buf_free(&t->problems.text);
	conf_free(t->l);
}

/* A text that must load without an error. */
static inline struct loaded load_well(const char *text)
{
	struct loaded t = load_text_n(text, strlen(text));

	if (!t.l) {
		print_error("%s", buf_cstr(&t.problems.text));
	}
	assert_non_null(t.l);
	return t;
}

static inline void assert_has(struct loaded *t, const char *part)
{
	if (!strstr(buf_cstr(&t->problems.text), part)) {
		print_error("missing: %s\nin: %s", part, buf_cstr(&t->problems.text));
		fail();
	}
}

#endif
