/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration file: units, numbers, environment variables. */
#include "conf/value.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit durations[] = {
	{ "us", NS_PER_US },
	{ "ms", NS_PER_MS },
	{ "s", NS_PER_S },
	{ "m", 60 * NS_PER_S },
	{ "h", 3600 * NS_PER_S },
	{ "d", 86400 * NS_PER_S },
	{ NULL, 0 },
};

static const struct unit sizes[] = {
	{ "B", 1 },
	{ "KiB", 1ULL << 10 },
	{ "MiB", 1ULL << 20 },
	{ "GiB", 1ULL << 30 },
	{ "TiB", 1ULL << 40 },
	{ "KB", 1000 },
	{ "MB", 1000000 },
	{ "GB", 1000000000 },
	{ NULL, 0 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One number with its unit at the start of *text, added to *sum; takes it off *text. */
static int take_unit(struct str *text, const struct unit *units, uint64_t *sum)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	const char *unit;
	size_t i = 0, n;

	for (; i < text->len && is_digit(text->s[i]); i++) {
		if (whole > UINT32_MAX) {
			return ERR_TOO_LARGE;
		}
		whole = whole * 10 + (uint64_t)(text->s[i] - '0');
	}
	if (i == 0) {
		return ERR_INVALID;
	}
	if (i + 1 < text->len && text->s[i] == '.' && is_digit(text->s[i + 1])) {
		for (i++; i < text->len && is_digit(text->s[i]); i++) {
			if (scale < 1000000) {
				fraction = fraction * 10 + (uint64_t)(text->s[i] - '0');
				scale *= 10;
			}
		}
	}
	unit = text->s + i;
	for (n = 0; i + n < text->len && is_alpha(unit[n]);) {
		n++;
	}
	for (; units->name; units++) {
		uint64_t part;

		if (!str_eq(str_n(unit, n), str_from(units->name))) {
			continue;
		}
		if (__builtin_mul_overflow(whole, units->factor, &part) ||
		    __builtin_add_overflow(*sum, part, sum)) {
			return ERR_TOO_LARGE;
		}
		part = (uint64_t)((unsigned __int128)fraction * units->factor / scale);
		if (__builtin_add_overflow(*sum, part, sum)) {
			return ERR_TOO_LARGE;
		}
		*text = str_n(unit + n, text->len - i - n);
		return OK;
	}
	return n ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
}

int value_duration(struct str text, uint64_t *ret, const char **ret_why)
{
	uint64_t sum = 0;
	int err;

	if (str_eq(text, STR("0"))) {
		*ret = 0;
		return OK;
	}
	do {
		err = take_unit(&text, durations, &sum);
	} while (err == OK && text.len);
	*ret = sum;
	switch (err) {
	case OK:
		return OK;
	case ERR_TOO_LARGE:
		*ret_why = "is too long";
		break;
	case ERR_NOT_FOUND:
		*ret_why = "needs a unit: ms, s, m, h or d, like 30s";
		break;
	case ERR_UNSUPPORTED:
		*ret_why = "has an unknown unit: us, ms, s, m, h and d are known";
		break;
	default:
		*ret_why = "is not a duration, like 30s";
	}
	return ERR_INVALID;
}

int value_size(struct str text, uint64_t *ret, const char **ret_why)
{
	uint64_t sum = 0;
	int err;

	if (str_eq(text, STR("0"))) {
		*ret = 0;
		return OK;
	}
	err = take_unit(&text, sizes, &sum);
	*ret = sum;
	if (err == OK && text.len == 0) {
		return OK;
	}
	*ret_why = err == ERR_TOO_LARGE     ? "is too large"
	           : err == ERR_NOT_FOUND   ? "needs a unit: B, KiB, MiB or GiB, like 16KiB"
	           : err == ERR_UNSUPPORTED ? "has an unknown unit: B, KiB, MiB and GiB are known"
	                                    : "is not a size, like 16KiB";
	return ERR_INVALID;
}

const char *value_size_format(uint64_t bytes, char out[32])
{
	const struct unit *u = &sizes[4];
	struct buf b = BUF_INIT;

	while (u > sizes && (bytes == 0 || bytes % u->factor != 0)) {
		u--;
	}
	buf_printf(&b, bytes == 0 ? "0" : "%llu%s", (unsigned long long)(bytes / u->factor),
	           u->name);
	memcpy(out, buf_cstr(&b), MIN(b.len + 1, 32));
	out[31] = '\0';
	buf_free(&b);
	return out;
}

int value_bool(struct str text, bool *ret, const char **ret_why)
{
	static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no",
		                                                                  "off" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (str_eq_nocase(text, str_from(yes[i]))) {
			*ret = true;
			return OK;
		}
		if (str_eq_nocase(text, str_from(no[i]))) {
			*ret = false;
			return OK;
		}
	}
	*ret_why = "is neither true nor false";
	return ERR_INVALID;
}

int value_percent(struct str text, uint64_t *ret, const char **ret_why)
{
	if (text.len && text.s[text.len - 1] == '%') {
		text.len--;
	}
	if (str_to_u64(text, 100, ret) == OK) {
		return OK;
	}
	*ret_why = "is not a percentage between 0% and 100%";
	return ERR_INVALID;
}

int value_share(struct str text, double *ret, const char **ret_why)
{
	bool percent = text.len && text.s[text.len - 1] == '%';
	double value = 0, scale = 1;
	bool point = false, digits = false;

	text.len -= percent;
	for (size_t i = 0; i < MIN(text.len, 20); i++) {
		if (text.s[i] == '.' && !point) {
			point = true;
		} else if (is_digit(text.s[i])) {
			digits = true;
			scale *= point ? 10 : 1;
			value = value * 10 + (text.s[i] - '0');
		} else {
			digits = false;
			break;
		}
	}
	value = value / scale / (percent ? 100 : 1);
	if (!digits || text.len > 20 || value > 1) {
		*ret_why = "is not a share between 0 and 1, like 0.1 or 10%";
		return ERR_INVALID;
	}
	*ret = value;
	return OK;
}

int value_mode(struct str text, uint64_t *ret, const char **ret_why)
{
	uint64_t mode = 0;

	for (size_t i = 0; i < text.len && i < 5; i++) {
		if (text.s[i] < '0' || text.s[i] > '7') {
			mode = 01000;
			break;
		}
		mode = mode * 8 + (uint64_t)(text.s[i] - '0');
	}
	if (text.len == 0 || text.len > 5 || mode > 0777) {
		*ret_why = "is not an octal file mode, like 0660";
		return ERR_INVALID;
	}
	*ret = mode;
	return OK;
}

static bool is_variable(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!is_alpha(name.s[i]) && name.s[i] != '_' && (i == 0 || !is_digit(name.s[i]))) {
			return false;
		}
	}
	return name.len > 0;
}

/* One ${…} whose inside is given. */
static int expand_one(struct arena *a, struct str inside, struct buf *out, const char **ret_why)
{
	const char *dash = memmem(inside.s, inside.len, ":-", 2), *value;
	struct str name = dash ? str_n(inside.s, (size_t)(dash - inside.s)) : inside;
	struct str copy;

	if (!is_variable(name)) {
		*ret_why =
		    arena_printf(a, "\"${%.*s}\" names no environment variable", STR_ARG(inside));
		return ERR_INVALID;
	}
	copy = arena_str(a, name);
	if (!copy.s) {
		return ERR_NOMEM;
	}
	value = getenv(copy.s);
	if (value && (value[0] || !dash)) {
		buf_adds(out, value);
	} else if (dash) {
		buf_add(out, dash + 2, inside.len - name.len - 2);
	} else {
		*ret_why = arena_printf(a,
		                        "the environment variable %s is not set; ${%s:-default} "
		                        "would give a default",
		                        copy.s, copy.s);
		return ERR_INVALID;
	}
	return OK;
}

int value_expand(struct arena *a, struct str text, struct str *ret, const char **ret_why)
{
	struct buf out = { .max = 1024 * 1024 };
	int err = OK;

	*ret = text;
	if (!memmem(text.s, text.len, "${", 2)) {
		return OK;
	}
	for (size_t i = 0; i < text.len && err == OK; i++) {
		const char *end;

		if (text.len - i > 2 && memcmp(text.s + i, "$${", 3) == 0) {
			buf_adds(&out, "${");
			i += 2;
		} else if (text.len - i > 1 && memcmp(text.s + i, "${", 2) == 0) {
			end = memchr(text.s + i, '}', text.len - i);
			if (!end) {
				*ret_why = "\"${\" without \"}\"";
				err = ERR_INVALID;
				break;
			}
			err = expand_one(a, str_n(text.s + i + 2, (size_t)(end - text.s) - i - 2),
			                 &out, ret_why);
			i = (size_t)(end - text.s);
		} else {
			buf_addc(&out, text.s[i]);
		}
	}
	if (err == OK) {
		*ret = arena_str(a, buf_str(&out));
		err = out.failed || !ret->s ? ERR_NOMEM : OK;
	}
	if (err == ERR_INVALID && !*ret_why) {
		err = ERR_NOMEM;
	}
	buf_free(&out);
	return err;
}
