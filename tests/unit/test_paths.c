/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of a node. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/node.h"
#include "core/paths.h"

static void a_state_folder_holds_everything(void **state)
{
	struct paths p;

	(void)state;
	assert_int_equal(paths_find("/srv/state", &p), OK);
	assert_string_equal(p.run, "/srv/state");
	assert_string_equal(p.keep, "/srv/state");
}

static void a_relative_one_becomes_absolute(void **state)
{
	struct paths p;
	char cwd[400];
	char want[512];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "%s/here", cwd);
	assert_int_equal(paths_find("here", &p), OK);
	assert_string_equal(p.run, want);
}

static void a_long_one_is_refused(void **state)
{
	char dir[PATHS_DIR + 10];
	struct paths p;

	(void)state;
	memset(dir, 'x', sizeof(dir) - 1);
	dir[0] = '/';
	dir[sizeof(dir) - 1] = '\0';
	assert_int_equal(paths_find(dir, &p), ERR_TOO_LARGE);
}

static void defaults_depend_on_the_user(void **state)
{
	struct paths p;

	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_STATE_HOME", "relative is ignored", 1);
	setenv("HOME", "/home/u", 1);
	assert_int_equal(paths_find(NULL, &p), OK);
	if (geteuid() == 0) {
		assert_string_equal(p.run, "/run/holdfast");
		assert_string_equal(p.keep, "/var/lib/holdfast");
	} else {
		assert_string_equal(p.run, "/run/user/7/holdfast");
		assert_string_equal(p.keep, "/home/u/.local/state/holdfast");
	}
}

static void folders_are_made_and_a_file_in_the_way_is_told(void **state)
{
	char dir[] = "/tmp/holdfast-paths-XXXXXX";
	char deep[128];
	char why[600];
	char cmd[200];
	struct stat st;
	struct paths p;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(deep, sizeof(deep), "%s/a/b", dir);
	assert_int_equal(paths_find(deep, &p), OK);
	assert_int_equal(paths_make(&p, why, sizeof(why)), OK);
	assert_int_equal(paths_make(&p, why, sizeof(why)), OK);
	snprintf(deep, sizeof(deep), "%s/a/b/roles", dir);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(rmdir(deep), 0);
	close(open(deep, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(paths_make(&p, why, sizeof(why)), ERR_SYSTEM);
	assert_non_null(strstr(why, "/roles: Not a directory"));
	snprintf(cmd, sizeof(cmd), "rm -r '%s'", dir);
	assert_int_equal(system(cmd), 0);
}

static void the_control_socket_is_in_the_run_folder(void **state)
{
	char out[600];

	(void)state;
	assert_string_equal(node_control_socket("/s", out, sizeof(out)), "/s/control.sock");
	assert_string_equal(node_control_socket("/s", out, 5), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_folder_holds_everything),
		cmocka_unit_test(a_relative_one_becomes_absolute),
		cmocka_unit_test(a_long_one_is_refused),
		cmocka_unit_test(defaults_depend_on_the_user),
		cmocka_unit_test(folders_are_made_and_a_file_in_the_way_is_told),
		cmocka_unit_test(the_control_socket_is_in_the_run_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
