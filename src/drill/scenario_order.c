/* SPDX-License-Identifier: Apache-2.0 */
/* What people do to a node on purpose: nobody may notice. And the crash of its proxy. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "drill/scenario.h"

#define STOP_LIMIT (90 * NS_PER_S) /* open requests may finish first */

#define ON_PURPOSE \
	{ \
		.outage = 250 * NS_PER_MS, .failed = 0, .recovery = 60 * NS_PER_S, \
		.split_brain = 250 * NS_PER_MS \
	}

static int order_at(struct drill *d, unsigned node, const char *const *argv)
{
	struct buf out = BUF_INIT;
	int status = drill_order(d, node, argv, &out);
	int err = OK;

	if (status != 0)
		err = drill_fail(d, ERR_REFUSED, "%s: holdfast %s: %s", d->nodes[node].name,
		                 argv[0], buf_cstr(&out));
	buf_free(&out);
	return err;
}

/* --- proxy-crash ---------------------------------------------------------------------------- */

/* As the node's status names it; 0: it does not answer, or there is none. */
static pid_t proxy_of(const struct drill_node *n)
{
	json_t *status = NULL;
	const json_t *r;
	pid_t pid = 0;
	size_t i;

	if (lab_node_get(n->socket, "/api/v1/status", 2000, &status) != OK)
		return 0;
	json_array_foreach (json_object_get(status, "roles"), i, r) {
		const char *name = json_string_value(json_object_get(r, "name"));

		if (name && strcmp(name, "proxy") == 0)
			pid = (pid_t)json_integer_value(json_object_get(r, "pid"));
	}
	json_decref(status);
	return pid;
}

static int proxy_crash(struct drill *d)
{
	int n = drill_active(d);

	if (n < 0)
		return ERR_UNSUPPORTED;
	d->victim = proxy_of(&d->nodes[n]);
	if (d->in_lab)
		return drill_fault(d, d->nodes[n].name, "kill-role", "role", "proxy");
	if (d->victim <= 1 || kill(d->victim, SIGKILL) != 0)
		return drill_fail(d, ERR_DENIED, "the proxy of %s cannot be killed from here",
		                  d->nodes[n].name);
	drill_fault_now(d);
	return OK;
}

/* Also before one was killed. */
static bool proxy_is_back(struct drill *d)
{
	pid_t pid = d->victim > 0 ? proxy_of(&d->nodes[d->active]) : 0;

	if (d->victim == 0 || (pid > 0 && pid != d->victim))
		return true;
	drill_fail(d, OK, "the proxy of %s has not been started again", d->nodes[d->active].name);
	return false;
}

const struct drill_scenario drill_proxy_crash = {
	.name = "proxy-crash",
	.what = "the process that carries the traffic of the active node is killed",
	.means =
	    "The part of Holdfast that serves users crashes. It is started again at once, and who "
	    "comes meanwhile waits a moment; nobody is turned away.",
	.limits = { .outage = 500 * NS_PER_MS,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 15 * NS_PER_S,
	            .split_brain = 250 * NS_PER_MS },
	.none_refused = true,
	.inject = proxy_crash,
	.well = proxy_is_back,
};

/* --- graceful-stop -------------------------------------------------------------------------- */

static int graceful_stop(struct drill *d)
{
	int n = drill_active(d);

	if (n < 0)
		return ERR_UNSUPPORTED;
	if (!d->in_lab) { /* who would start it again? the same for its users: */
		drill_fault_now(d);
		return order_at(d, (unsigned)n, (const char *[]){ "drain", "--node", NULL });
	}
	if (drill_standby(d) < 0)
		return ERR_UNSUPPORTED;
	d->nodes[n].down = true;
	return drill_fault(d, d->nodes[n].name, "terminate", NULL, NULL);
}

static int come_back(struct drill *d)
{
	if (!d->in_lab)
		return order_at(d, 0, (const char *[]){ "ready", "--node", NULL });
	return drill_start(d, drill_node_name(d, (unsigned)d->active), STOP_LIMIT);
}

const struct drill_scenario drill_graceful_stop = {
	.name = "graceful-stop",
	.what = "the active node is told to end (SIGTERM), and started again",
	.means =
	    "A machine is shut down for maintenance. It gives its address to another one first and "
	    "finishes what it has begun: no user notices.",
	.limits = ON_PURPOSE,
	.none_refused = true,
	.keeps_streams = true,
	.inject = graceful_stop,
	.mend = come_back,
};

/* --- switchover ----------------------------------------------------------------------------- */

static int switch_to(struct drill *d, unsigned at, const char *to)
{
	char vip[CONF_MAX_NAME + 1];

	snprintf(vip, sizeof(vip), "%.*s", STR_ARG(d->conf->vips[d->vip].name));
	if (to)
		return order_at(d, at, (const char *[]){ "switchover", vip, "--to", to, NULL });
	return order_at(d, at, (const char *[]){ "switchover", vip, NULL });
}

static int switchover(struct drill *d)
{
	int n = drill_active(d);

	if (d->conf->nvips == 0)
		return drill_fail(d, ERR_UNSUPPORTED, "the file has no virtual IP");
	if (n < 0 || (d->in_lab && drill_standby(d) < 0))
		return ERR_UNSUPPORTED;
	drill_fault_now(d);
	return switch_to(d, (unsigned)n, NULL);
}

static int switch_back(struct drill *d)
{
	int holder = d->in_lab ? drill_holder(d) : -1;

	if (!d->in_lab)
		return OK; /* it stays where it is: as the person who switches wants it */
	if (holder == d->active)
		return OK; /* it has come back by itself */
	if (holder < 0)
		return drill_fail(d, ERR_UNEXPECTED, "nobody holds the address");
	return switch_to(d, (unsigned)holder, drill_node_name(d, (unsigned)d->active));
}

const struct drill_scenario drill_switchover = {
	.name = "switchover",
	.what = "the address is handed to the other node on purpose, and back",
	.means = "Somebody moves the service to another machine while users are at it. No request "
	         "fails, and downloads that have begun end well.",
	.limits = ON_PURPOSE,
	.none_refused = true,
	.keeps_streams = true,
	.inject = switchover,
	.mend = switch_back,
};

/* --- reload --------------------------------------------------------------------------------- */

static int reload_all(struct drill *d)
{
	int err = OK;

	for (unsigned i = 0; i < d->nnodes && err == OK; i++)
		err = order_at(d, i, (const char *[]){ "reload", NULL });
	return err;
}

static int reload(struct drill *d)
{
	char host[64];

	snprintf(host, sizeof(host), "drill-%u.invalid", ++d->changes);
	/* A lab that runs the user's own file, and production, load it again as it is. */
	if (d->change[0] != '\0' && drill_change(d, host) != OK)
		return drill_fail(d, ERR_SYSTEM, "%s cannot be written", d->change);
	drill_fault_now(d);
	return reload_all(d);
}

const struct drill_scenario drill_reload = {
	.name = "reload",
	.what = "the file is changed and loaded again on every node",
	.means = "The configuration changes under load. No request fails, no connection is cut.",
	.harmless = true,
	.limits = ON_PURPOSE,
	.none_refused = true,
	.keeps_streams = true,
	.inject = reload,
};

static int bad_reload(struct drill *d)
{
	struct buf out = BUF_INIT, text = BUF_INIT;
	int status = 0, err;

	if (d->change[0] == '\0')
		return drill_fail(
		    d, ERR_UNSUPPORTED,
		    "the nodes run your own file, which a drill does not touch: let the "
		    "drill bring up its lab itself (-c FILE)");
	buf_adds(&text, "routes: { holdfast-drill: { host: drill.invalid, to: no-such-pool } }\n");
	err = buf_write_file(&text, d->change, 0644);
	drill_fault_now(d);
	for (unsigned i = 0; i < d->nnodes && err == OK; i++) {
		status = drill_order(d, i, (const char *[]){ "reload", NULL }, &out);
		if (status != 1)
			err = drill_fail(d, ERR_UNEXPECTED,
			                 "%s took a file that is wrong (exit status %d): %s",
			                 d->nodes[i].name, status, buf_cstr(&out));
	}
	buf_free(&text);
	buf_free(&out);
	return err;
}

static int good_again(struct drill *d)
{
	int err = drill_change(d, "drill-0.invalid");

	return err == OK ? reload_all(d) : drill_fail(d, err, "%s cannot be written", d->change);
}

const struct drill_scenario drill_bad_reload = {
	.name = "bad-reload",
	.what = "a file with a mistake is loaded: it must be refused, and nothing change",
	.means =
	    "Somebody makes a mistake in the configuration. It is refused with its reason, and the "
	    "service goes on as it was.",
	.lab_only = true, /* a mistake in production's file would outlive a drill that is killed */
	.limits = ON_PURPOSE,
	.none_refused = true,
	.keeps_streams = true,
	.inject = bad_reload,
	.mend = good_again,
};

/* --- upgrade -------------------------------------------------------------------------------- */

static int upgrade(struct drill *d)
{
	int n = drill_active(d), err;

	if (n < 0)
		return ERR_UNSUPPORTED;
	drill_fault_now(d);
	err = order_at(d, (unsigned)n, (const char *[]){ "upgrade", NULL });
	for (unsigned i = 0; i < d->nnodes && err == OK; i++) {
		if (i != (unsigned)n)
			err = order_at(d, i, (const char *[]){ "upgrade", NULL });
	}
	return err;
}

const struct drill_scenario drill_upgrade = {
	.name = "upgrade",
	.what = "the binary is replaced on every node, the active one first",
	.means =
	    "A new version of Holdfast is taken into service while users are at it. No request "
	    "fails, no connection is cut.",
	.limits = ON_PURPOSE,
	.none_refused = true,
	.keeps_streams = true,
	.inject = upgrade,
};
