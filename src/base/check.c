/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a process whose assertion does not hold. Any role, any thread. */
#include "base/check.h"

#include <execinfo.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK_FRAMES 32

void check_failed(const char *file, int line, const char *what)
{
	static atomic_flag busy = ATOMIC_FLAG_INIT;
	void *frames[CHECK_FRAMES];
	int n;

	/* Only the first thread reports; one that fails inside backtrace() ends at once. */
	if (!atomic_flag_test_and_set(&busy)) {
		dprintf(STDERR_FILENO, "holdfast: bug at %s:%d: this does not hold: %s\n", file,
		        line, what);
		n = backtrace(frames, CHECK_FRAMES);
		backtrace_symbols_fd(frames, n, STDERR_FILENO);
	}
	abort();
}
