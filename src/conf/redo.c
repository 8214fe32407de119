/* SPDX-License-Identifier: Apache-2.0 */
/* What changes of options touch, in words. */
#include "base/check.h"
#include "conf/schema.h"

const char *redo_text(enum redo redo)
{
	static const char *const text[] = {
#define REDO_TEXT(name, words) words,
		REDO_ROWS(REDO_TEXT)
#undef REDO_TEXT
	};

	CHECK((size_t)redo < ARRAY_LEN(text));
	return text[redo];
}
