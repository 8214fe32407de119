/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values that stand in a configuration file, as text: durations, sizes, numbers. All return OK
 * or ERR_INVALID with a static sentence for the user in *ret_why.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "base/arena.h"
#include "base/str.h"

/* "40ms", "2s", "1.5s", "1h30m", "0"; units us, ms, s, m, h, d. Nanoseconds. */
int value_duration(struct str text, uint64_t *ret, const char **ret_why);
/* "512B", "16KiB", "1MiB", "2GiB", "0"; also KB, MB, GB (decimal). Bytes. */
int value_size(struct str text, uint64_t *ret, const char **ret_why);
/* The shortest text that value_size reads back: "16KiB". */
const char *value_size_format(uint64_t bytes, char out[32]);
/* true, false, yes, no, on, off. */
int value_bool(struct str text, bool *ret, const char **ret_why);
/* "30%", "30". At most 100. */
int value_percent(struct str text, uint64_t *ret, const char **ret_why);
/* A share of one: "0.25", "25%", "1". */
int value_share(struct str text, double *ret, const char **ret_why);
/* "0660": octal, at most 0777. */
int value_mode(struct str text, uint64_t *ret, const char **ret_why);

/* Checks of texts. NULL when well, else why not. */
const char *value_is_name(struct str text);       /* of a listener, route, pool, server */
const char *value_is_url_path(struct str text);   /* "/x", no query */
const char *value_is_probe_path(struct str text); /* "/x?y" */
const char *value_is_method(struct str text);
const char *value_is_field_name(struct str text);
const char *value_is_field_value(struct str text);
const char *value_is_host(struct str text);       /* "shop.test", "*.shop.test", "[::1]" */
const char *value_is_host_field(struct str text); /* for a Host field: a port may follow */
const char *value_is_word(struct str text);       /* not empty, no control bytes */
const char *value_is_web_url(struct str text);    /* "https://host/path" */
const char *value_is_interface(struct str text);  /* a name that Linux allows */
const char *value_is_log_path(struct str text);   /* "stderr" or an absolute path */

/*
 * Replaces ${NAME} and ${NAME:-default} by the environment ("$${" stands for "${"). OK, ERR_NOMEM,
 * ERR_INVALID with *ret_why (in the arena). Without "${" *ret is the text itself.
 */
int value_expand(struct arena *a, struct str text, struct str *ret, const char **ret_why);

#endif
