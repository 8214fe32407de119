/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a configuration file: no crash, an error says so; what loads can be packed, mapped,
 * shown and loaded again as the same.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf_loaded *load(struct str text)
{
	struct conf_problems problems = { 0 };
	struct conf_loaded *l = NULL;
	int err = conf_load_text(text, "fuzz.yaml", false, &problems, &l);

	if ((err == OK) != (l != NULL) || (err == OK) != (problems.errors == 0) ||
	    (err != OK && problems.text.len == 0)) {
		abort();
	}
	buf_free(&problems.text);
	return l;
}

/* Secrets are shown as ***, so that what is shown is not the same, or not even valid. */
static bool has_secret(const struct conf *c)
{
	bool has = c->control.token.len > 0;

	for (uint32_t i = 0; i < c->nvips; i++) {
		has = has || c->vips[i].password.len || c->vips[i].notify.webhook.len;
	}
	return has;
}

static void use(const struct conf *c)
{
	struct buf text = BUF_INIT, diff = BUF_INIT;
	struct conf_loaded *again;

	for (int json = 0; json < 2; json++) {
		text.len = 0;
		conf_show(c, json, &text);
		again = load(buf_str(&text));
		if (!has_secret(c) && (!again || conf_diff(c, conf_of(again), json, &diff) != 0)) {
			abort();
		}
		conf_free(again);
	}
	buf_free(&text);
	buf_free(&diff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_loaded *l = load(str_n((const char *)data, size));
	struct conf *c = NULL;
	int fd;

	if (l) {
		if (conf_image_write(l, &fd) != OK || conf_image_map(fd, &c) != OK) {
			abort();
		}
		close(fd);
		conf_free(l);
		use(c);
		conf_image_unmap(c);
	}
	return 0;
}
