/* SPDX-License-Identifier: Apache-2.0 */
/* Servers behind the balancer that die, hang, flap; and all of them at once. */
#include "base/err.h"
#include "drill/scenario.h"

#define START_LIMIT (10 * NS_PER_S)
#define FLAPS       3
#define FLAP_NS     (700 * NS_PER_MS)

/* The first server that carries traffic. NULL with why. */
static struct drill_server *victim(struct drill *d)
{
	for (unsigned i = 0; i < d->nservers; i++) {
		if (!d->servers[i].backup)
			return &d->servers[i];
	}
	drill_fail(d, ERR_UNSUPPORTED, "no server of the pool has a host of its own in the lab");
	return NULL;
}

static int kill_server(struct drill *d, struct drill_server *s)
{
	s->down = true;
	return drill_fault(d, s->host, "kill", NULL, NULL);
}

static int start_servers(struct drill *d)
{
	int err = OK;

	for (unsigned i = 0; i < d->nservers && err == OK; i++) {
		if (d->servers[i].down)
			err = drill_start(d, d->servers[i].host, START_LIMIT);
		d->servers[i].down = false;
	}
	return err;
}

/* --- server-death --------------------------------------------------------------------------- */

static int death(struct drill *d)
{
	struct drill_server *s = victim(d);

	if (!s)
		return ERR_UNSUPPORTED;
	return d->pool_servers > 1 ? kill_server(d, s)
	                           : drill_fail(d, ERR_UNSUPPORTED, "the pool has one server only");
}

const struct drill_scenario drill_server_death = {
	.name = "server-death",
	.what = "a server behind the balancer is killed",
	.means =
	    "One of the web servers crashes. What it was answering is sent to another one where "
	    "that is safe, and nobody is sent to it any more.",
	.lab_only = true,
	.limits = { .outage = 250 * NS_PER_MS,
	            .failed = 0,
	            .recovery = 30 * NS_PER_S,
	            .split_brain = 50 * NS_PER_MS },
	.inject = death,
	.mend = start_servers,
};

/* --- server-hang ---------------------------------------------------------------------------- */

static int hang(struct drill *d)
{
	const struct drill_server *s = victim(d);

	if (!s)
		return ERR_UNSUPPORTED;
	return d->pool_servers > 1 ? drill_fault(d, s->host, "freeze", NULL, NULL)
	                           : drill_fail(d, ERR_UNSUPPORTED, "the pool has one server only");
}

static int wake(struct drill *d)
{
	const struct drill_server *s = victim(d);

	return s ? drill_fault(d, s->host, "thaw", NULL, NULL) : ERR_UNSUPPORTED;
}

const struct drill_scenario drill_server_hang = {
	.name = "server-hang",
	.what = "a server behind the balancer hangs: it takes connections and answers nothing",
	.means =
	    "One of the web servers hangs. Until the checks have found that out, the requests that "
	    "it got wait; then nobody is sent to it any more.",
	.lab_only = true,
	/* Those that it holds when it is found out are lost or late; the others go on. */
	.limits = { .outage = NS_PER_S,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 30 * NS_PER_S,
	            .split_brain = 50 * NS_PER_MS },
	.inject = hang,
	.mend = wake,
	.watch_ns = 10 * NS_PER_S,
};

/* --- all-servers-death ---------------------------------------------------------------------- */

static int all_die(struct drill *d)
{
	int err = OK;

	if (d->nservers == 0 || d->nservers < d->pool_servers)
		return drill_fail(d, ERR_UNSUPPORTED,
		                  "some servers of the pool run on the nodes themselves");
	for (unsigned i = 0; i < d->nservers && err == OK; i++)
		err = kill_server(d, &d->servers[i]);
	return err;
}

const struct drill_scenario drill_all_servers_death = {
	.name = "all-servers-death",
	.what = "all servers die: one node still holds the address and says so with status 503",
	.means =
	    "Everything behind the balancer is down. Users get an honest answer at once (\"try "
	    "again later\") instead of a connection that hangs.",
	.lab_only = true,
	.limits = { .outage = NS_PER_S,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 30 * NS_PER_S,
	            .split_brain = 250 * NS_PER_MS },
	.outage_checks = true, /* until then each answer says that its server did not (502) */
	.expected_status = 503,
	.inject = all_die,
	.mend = start_servers,
	.watch_ns = 8 * NS_PER_S,
};

/* --- flapping-server ------------------------------------------------------------------------ */

static int flap(struct drill *d)
{
	struct drill_server *s = victim(d);
	int err = OK;

	if (!s)
		return ERR_UNSUPPORTED;
	if (d->pool_servers < 2)
		return drill_fail(d, ERR_UNSUPPORTED, "the pool has one server only");
	for (unsigned i = 0; i < FLAPS && err == OK; i++) {
		err = kill_server(d, s);
		drill_sleep(FLAP_NS);
		if (err == OK)
			err = start_servers(d);
		drill_sleep(FLAP_NS);
	}
	return err;
}

const struct drill_scenario drill_flapping_server = {
	.name = "flapping-server",
	.what = "a server dies and comes back again and again",
	.means =
	    "One of the web servers restarts in a loop. Users must not be tossed about with it.",
	.lab_only = true,
	.limits = { .outage = 250 * NS_PER_MS,
	            .failed = 0,
	            .recovery = 60 * NS_PER_S,
	            .split_brain = 50 * NS_PER_MS },
	.inject = flap,
	.watch_ns = 2 * NS_PER_S,
};
