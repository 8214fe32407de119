/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the service manager: datagrams on paths and abstract names, intervals. */
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

#include "base/clock.h"
#include "core/notify.h"

static int sock = -1;
static char dir[] = "/tmp/holdfast-notify-XXXXXX";
static char path[64];

static int setup(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/notify", dir);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return bind(sock, (struct sockaddr *)&un, sizeof(un));
}

static int teardown(void **state)
{
	(void)state;
	close(sock);
	unlink(path);
	rmdir(dir);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

static const char *told(void)
{
	static char text[512];
	ssize_t n = recv(sock, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void tells_readiness_with_its_pid(void **state)
{
	char want[128];

	(void)state;
	notify_ready("serving");
	snprintf(want, sizeof(want), "READY=1\nMAINPID=%d\nSTATUS=serving", (int)getpid());
	assert_string_equal(told(), want);
}

static void tells_reloading_with_the_time(void **state)
{
	const char *text;

	(void)state;
	notify_reloading();
	text = told();
	assert_non_null(strstr(text, "RELOADING=1\nMONOTONIC_USEC="));
	assert_true(strtoull(strchr(strchr(text, '\n'), '=') + 1, NULL, 10) <=
	            clock_mono() / NS_PER_US);
}

static void tells_the_rest(void **state)
{
	(void)state;
	notify_stopping("bye");
	assert_string_equal(told(), "STOPPING=1\nSTATUS=bye");
	notify_watchdog();
	assert_string_equal(told(), "WATCHDOG=1");
}

static void abstract_names_work(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char name[64];
	char text[64];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	size_t len;

	(void)state;
	snprintf(name, sizeof(name), "@holdfast-notify-test-%d", (int)getpid());
	len = strlen(name);
	memcpy(un.sun_path, name, len);
	un.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&un,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	                 0);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_watchdog();
	assert_int_equal(recv(fd, text, sizeof(text), 0), 10);
	close(fd);
}

static void nobody_to_tell_is_well(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify_ready(NULL);
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_ready(NULL);
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	notify_ready(NULL);
	assert_string_equal(told(), "");
}

static void the_watchdog_is_fed_at_half_its_time(void **state)
{
	char pid[32];

	(void)state;
	assert_int_equal(notify_watchdog_interval(), 0);
	setenv("WATCHDOG_USEC", "3000000", 1);
	assert_int_equal(notify_watchdog_interval(), 1500 * NS_PER_MS);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_interval(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_interval(), 1500 * NS_PER_MS);
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_watchdog_interval(), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(tells_readiness_with_its_pid),
		T(tells_reloading_with_the_time),
		T(tells_the_rest),
		T(abstract_names_work),
		T(nobody_to_tell_is_well),
		T(the_watchdog_is_fed_at_half_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
