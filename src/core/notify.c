/* SPDX-License-Identifier: Apache-2.0 */
/* The datagrams of sd_notify(3). Main thread of the parent. */
#include "core/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

static void send_text(const struct buf *b)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, strlen(path));
	if (path[0] == '@')
		un.sun_path[0] = '\0'; /* abstract: the length counts, not a NUL */
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (sendto(fd, b->p, b->len, MSG_NOSIGNAL, (struct sockaddr *)&un, len) < 0)
		log_debug("notify", path, "cannot notify the service manager: %s", strerror(errno));
	close(fd);
}

static void send_state(const char *state, const char *status)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, state);
	if (status)
		buf_printf(&b, "\nSTATUS=%s", status);
	if (!b.failed)
		send_text(&b);
	buf_free(&b);
}

void notify_ready(const char *status)
{
	char state[64];

	snprintf(state, sizeof(state), "READY=1\nMAINPID=%d", (int)getpid());
	send_state(state, status);
}

void notify_reloading(void)
{
	char state[96];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
	         (unsigned long long)(clock_mono() / NS_PER_US));
	send_state(state, NULL);
}

void notify_stopping(const char *status)
{
	send_state("STOPPING=1", status);
}

void notify_watchdog(void)
{
	send_state("WATCHDOG=1", NULL);
}

uint64_t notify_watchdog_interval(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t v;

	if (!usec || str_to_u64(str_from(usec), UINT64_MAX / NS_PER_US, &v) != OK)
		return 0;
	if (pid && strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	return v * NS_PER_US / 2;
}
