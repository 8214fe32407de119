/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates on the board: what is written is read, and how near an end is. */
#include "rows.h"

#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "stat/board.h"
#include "stat/cert.h"

#define DAY 86400ULL

struct stage_case {
	const char *name;
	uint64_t life, left; /* days */
	enum cert_stage stage;
};

static const struct stage_case stages[] = {
	{ "well", 90, 80, CERT_STAGE_WELL },
	{ "two_weeks", 90, 14, CERT_STAGE_WELL },
	{ "below_two_weeks", 90, 13, CERT_STAGE_SOON },
	{ "week", 90, 7, CERT_STAGE_SOON },
	{ "below_week", 90, 6, CERT_STAGE_URGENT },
	{ "over", 90, 0, CERT_STAGE_OVER },
	{ "short_lived", 6, 3, CERT_STAGE_WELL }, /* of six days, renewed every other */
	{ "short_lived_late", 6, 1, CERT_STAGE_SOON },
};

static void test_stage(void **state)
{
	const struct stage_case *c = *state;

	assert_int_equal(cert_stage_of(1000 * DAY, (1000 + c->life) * DAY,
	                               (1000 + c->life - c->left) * DAY),
	                 c->stage);
}

static void test_table(void **state)
{
	struct board *b;
	static struct board_cert v[2] = { { .origin = "/a.pem", .serving = 1 },
		                          { .origin = "/b.pem", .problem = "broken" } };
	struct board_certs *t;
	int fd;

	(void)state;
	assert_int_equal(board_create(&b, &fd), OK);
	assert_null(board_certs_read(b)); /* nobody has written yet */
	board_certs_write(b, v, 2, 3, 7, "/ca.pem");
	t = board_certs_read(b);
	assert_non_null(t);
	assert_int_equal(t->n, 2);
	assert_int_equal(t->more, 3);
	assert_int_equal(t->number, 7);
	assert_string_equal(t->authority, "/ca.pem");
	assert_string_equal(t->v[1].problem, "broken");
	free(t);
	board_certs(b)->seq++; /* as a writer that died leaves it */
	board_certs_write(b, v, 1, 0, 8, "");
	t = board_certs_read(b);
	assert_int_equal(t->n, 1);
	assert_int_equal(board_certs(b)->seq % 2, 0);
	assert_string_equal(t->authority, "");
	free(t);
	memset(board_certs(b)->v[0].origin, 'x', sizeof(v[0].origin)); /* no end */
	t = board_certs_read(b);
	assert_int_equal(strlen(t->v[0].origin), sizeof(v[0].origin) - 1);
	free(t);
	board_unmap(b);
	close(fd);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, stages, test_stage);
	rows_add(&r, "table", test_table, NULL);
	return rows_run(&r, "board_certs");
}
