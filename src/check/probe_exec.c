/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exec probe: a program of the user's says whether a server is well, by its exit status 0. This
 * role may start nothing; the parent runs the program and ends it at its time limit.
 */
#include "check/probe.h"

#include "base/clock.h"
#include "base/err.h"

enum { EXEC_IDLE, EXEC_WAITING };

static void exec_start(struct probe *p)
{
	struct probe_env *env = p->env;
	int err;

	p->exec_id = ++env->last_exec;
	err = env->exec != NULL ? env->exec(env, p->exec_id, p->server) : ERR_UNSUPPORTED;
	if (err != OK) {
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, "program not run: %s", err_text(err));
		return;
	}
	p->phase = EXEC_WAITING;
	TAILQ_INSERT_TAIL(&env->execs, p, waits);
}

static void exec_io(struct probe *p, uint32_t events)
{
	(void)p;
	(void)events;
}

static void exec_stop(struct probe *p)
{
	if (p->phase == EXEC_WAITING) {
		TAILQ_REMOVE(&p->env->execs, p, waits);
		p->phase = EXEC_IDLE;
	}
}

/* The parent ends the program in time; silence beyond that is the parent's. */
static enum fail_why exec_timed_out(const struct probe *p)
{
	(void)p;
	return FAIL_LOCAL;
}

bool probe_executed(struct probe_env *env, uint32_t id, int status, const char *output)
{
	struct probe *p;

	TAILQ_FOREACH (p, &env->execs, waits) {
		if (p->exec_id == id) {
			break;
		}
	}
	if (p == NULL) {
		return false;
	}
	exec_stop(p);
	if (status == 0) {
		probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
	} else if (status > 0) {
		probe_verdict(p, PROBE_FAILED, FAIL_EXIT, "exit %d%s%.60s", status,
		              output[0] != '\0' ? ": " : "", output);
	} else {
		probe_verdict(p, PROBE_FAILED, FAIL_EXIT, "program failed%s%.50s",
		              output[0] != '\0' ? ": " : "", output);
	}
	return true;
}

const struct probe_ops probe_exec = {
	.name = "exec",
	.start = exec_start,
	.io = exec_io,
	.stop = exec_stop,
	.timed_out = exec_timed_out,
	.grace = 30 * NS_PER_S, /* programs may wait for their turn */
};
