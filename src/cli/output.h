/* SPDX-License-Identifier: Apache-2.0 */
/* What commands print for people: tables with colour, numbers and times in short. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/buf.h"

enum out_colour { OUT_PLAIN, OUT_DIM, OUT_BOLD, OUT_GREEN, OUT_YELLOW, OUT_RED };

#define OUT_COLUMNS 12

struct out_cell {
	char *text; /* owned by the table */
	enum out_colour colour;
};

/* Rows of cells; columns get the width of their widest cell. */
struct out_table {
	const char *const *heads; /* ends with NULL; a head that starts with '>' aligns right */
	unsigned columns;
	struct out_cell *cells;
	size_t n, cap; /* cells */
	bool failed;   /* out of memory */
};

/* heads must outlive the table. */
void out_table_init(struct out_table *t, const char *const *heads);
/* The next cell, row by row. Control bytes in it become '?'. */
void out_cell(struct out_table *t, enum out_colour colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends the table with two spaces before each row and frees it. Columns that are empty in every
 * row are left out. width: characters of a line, longer ones are cut; 0: unlimited. */
void out_table_write(struct out_table *t, bool colour, unsigned width, struct buf *out);

/* Text in a colour, where colour is wanted. */
void out_text(struct buf *out, bool colour, enum out_colour c, const char *text);
/* "950", "12.3k", "4.5M": at most 5 characters. Returns out. */
const char *out_number(double n, char out[16]);
/* "350us", "12.0ms", "1.50s" from microseconds; "-" for 0. Returns out. */
const char *out_latency(double us, char out[16]);
/* "12s", "3m", "2h5m", "4d" between two wall-clock times in ms; "" where then is 0. */
const char *out_ago(uint64_t then_ms, uint64_t now_ms, char out[32]);
/* Columns of the terminal on fd; 0 when it is none. rows may be NULL. */
unsigned out_terminal(int fd, unsigned *rows);

#endif
