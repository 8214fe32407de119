/* SPDX-License-Identifier: Apache-2.0 */
/* Helper processes; see helper.h. Main thread of the parent. */
#include "core/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/role_fds.h"
#include "net/sock.h"

/* Out of the way of the places that descriptors are to have. */
static int aside(int fd)
{
	return fcntl(fd, F_DUPFD, ROLE_FD_NUMBER_PARENT + 1 + HELPER_MAX_FDS);
}

static void child(int pair, const char *const *argv, const int *fds, unsigned nfds)
{
	const int null = open("/dev/null", O_RDONLY);
	const unsigned first = ROLE_FD_NUMBER_PARENT;
	int from[1 + HELPER_MAX_FDS];
	sigset_t none;

	from[0] = aside(pair);
	for (unsigned i = 0; i < nfds; i++)
		from[1 + i] = aside(fds[i] >= 0 ? fds[i] : null);
	for (unsigned i = 0; i <= nfds; i++) {
		if (dup2(from[i], (int)(first + i)) < 0)
			_exit(126);
	}
	close_range(first + 1 + nfds, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* of no use without its parent */
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	_exit(126);
}

int helper_start(struct helper *h, const char *const *argv, const int *fds, unsigned nfds)
{
	int pair[2];
	pid_t pid;

	CHECK(nfds <= HELPER_MAX_FDS);
	if (net_pair(pair) != OK)
		return ERR_SYSTEM;
	pid = fork();
	if (pid == 0)
		child(pair[1], argv, fds, nfds);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return ERR_SYSTEM;
	}
	*h = (struct helper){ .pid = pid, .fd = pair[0] };
	return OK;
}

bool helper_wait(const struct helper *h, uint64_t timeout_ns)
{
	uint64_t end = clock_mono() + timeout_ns;
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	int n;

	do {
		uint64_t now = clock_mono();

		n = poll(&p, 1, now >= end ? 0 : (int)((end - now) / NS_PER_MS) + 1);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

void helper_end(struct helper *h)
{
	if (h->pid <= 0)
		return;
	kill(h->pid, SIGKILL);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(h->fd);
	*h = (struct helper){ .fd = -1 };
}
