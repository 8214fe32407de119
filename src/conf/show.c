/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration, defaults included, as a file that loads again (but for secrets). */
#include "conf/schema.h"

void conf_show(const struct conf *c, bool json, struct buf *out)
{
	struct emit e = { .b = out, .json = json };

	emit_open(&e, NULL);
	print_rows(&schema_root, c, &e);
	emit_close(&e);
	if (json) {
		buf_addc(out, '\n');
	}
}
