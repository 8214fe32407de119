/* SPDX-License-Identifier: Apache-2.0 */
/* The self-test of the binary: what a node needs of this machine, in a few milliseconds. */
#include "core/self_test.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/conf.h"
#include "core/spawn.h"
#include "net/loop.h"
#include "net/sock.h"
#include "stat/board.h"

static const char smallest[] = "listeners:\n"
                               "  http: { bind: \"127.0.0.1:1\" }\n"
                               "pools:\n"
                               "  web:\n"
                               "    servers: { a: \"127.0.0.1:2\" }\n"
                               "routes:\n"
                               "  all: { to: web }\n";

static int test_conf(void)
{
	struct conf_problems problems = { 0 };
	struct conf_loaded *loaded = NULL;
	struct conf *mapped = NULL;
	char path[64];
	int file = memfd_create("self-test.yaml", MFD_CLOEXEC);
	int image = -1;
	int err;

	if (file < 0 || write(file, smallest, sizeof(smallest) - 1) != sizeof(smallest) - 1)
		return ERR_SYSTEM;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	err = conf_load(path, false, &problems, &loaded);
	if (err == OK)
		err = conf_image_write(loaded, &image);
	if (err == OK)
		err = conf_image_map(image, &mapped);
	if (err == OK)
		err = mapped->nlisteners == 1 && mapped->npools == 1 ? OK : ERR_UNEXPECTED;
	if (mapped)
		conf_image_unmap(mapped);
	if (image >= 0)
		close(image);
	conf_free(loaded);
	buf_free(&problems.text);
	close(file);
	return err;
}

static int test_board(void)
{
	struct board *b;
	int fd;
	int err = board_create(&b, &fd);

	if (err != OK)
		return err;
	board_unmap(b);
	close(fd);
	return OK;
}

static int test_loop(void)
{
	struct loop *l = loop_new();
	int err = l ? loop_turn(l, 0) : ERR_SYSTEM;

	if (l)
		loop_free(l);
	return err;
}

static int test_processes(void)
{
	int pair[2];
	int fd = spawn_pidfd(getpid());

	if (fd < 0 || net_pair(pair) != OK)
		return ERR_SYSTEM;
	close(fd);
	close(pair[0]);
	close(pair[1]);
	return OK;
}

int self_test_main(void)
{
	static const struct {
		const char *what;
		int (*test)(void);
	} tests[] = {
		{ "event loop", test_loop },
		{ "shared memory", test_board },
		{ "configuration", test_conf },
		{ "processes", test_processes },
	};

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		int err = tests[i].test();

		if (err != OK) {
			printf("holdfast %s: self-test failed: %s: %s\n", HOLDFAST_VERSION,
			       tests[i].what, err_text(err));
			return 1;
		}
	}
	printf("holdfast %s: self-test passed\n", HOLDFAST_VERSION);
	return 0;
}
