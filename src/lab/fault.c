/* SPDX-License-Identifier: Apache-2.0 */
/* Faults: links, processes, frames between hosts. One row of a table each. The keeper. */
#include <nftables/libnftables.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/keeper.h"

struct fault {
	struct keeper *k;
	struct host *h; /* NULL where the fault is about all */
	const json_t *request;
	uint64_t at_ns;
	char *why;
	size_t why_size;
};

static int fail(struct fault *f, int err, const char *text)
{
	snprintf(f->why, f->why_size, "%s: %s", f->h ? f->h->plan->name : "lab", text);
	return err;
}

/* --- links ---------------------------------------------------------------------------------- */

static int link_set(struct fault *f, struct host *h, bool up)
{
	for (unsigned i = 0; i < h->plan->ninterfaces; i++) {
		if (netlink_link_set(f->k->net, h->ports[i], up) != OK)
			return fail(f, ERR_SYSTEM, netlink_error(f->k->net));
	}
	f->at_ns = clock_mono();
	h->cut = !up;
	return OK;
}

static int do_cut(struct fault *f)
{
	return link_set(f, f->h, false);
}

static int do_mend(struct fault *f)
{
	return link_set(f, f->h, true);
}

/* --- processes ------------------------------------------------------------------------------ */

static int signal_all(struct fault *f, struct host *h, int signal)
{
	if (lab_procs_signal_all(f->k, h, signal, &f->at_ns) != OK)
		return fail(f, ERR_TIMEOUT, "its processes do not end or stop");
	h->frozen = signal == SIGSTOP;
	return OK;
}

static int do_kill(struct fault *f)
{
	return signal_all(f, f->h, SIGKILL);
}

static int do_freeze(struct fault *f)
{
	return signal_all(f, f->h, SIGSTOP);
}

static int do_thaw(struct fault *f)
{
	return signal_all(f, f->h, SIGCONT);
}

/* The daemon's parent: the first program of a node. */
static pid_t daemon_pid(const struct host *h)
{
	return h->plan->kind == LAB_NODE && h->nprograms > 0 && !h->programs[0].whoami
	           ? h->programs[0].pid
	           : 0;
}

static int signal_parent(struct fault *f, int signal)
{
	pid_t pid = daemon_pid(f->h);

	if (pid == 0)
		return fail(f, ERR_UNEXPECTED, "no daemon runs there");
	kill(pid, signal);
	f->at_ns = clock_mono();
	return OK;
}

static int do_kill_role(struct fault *f)
{
	const char *role = json_string_value(json_object_get(f->request, "role"));
	unsigned n;

	if (!role)
		return fail(f, ERR_INVALID, "kill-role needs a \"role\"");
	if (strcmp(role, "parent") == 0)
		return signal_parent(f, SIGKILL);
	n = lab_procs_signal_role(f->h, role, SIGKILL);
	f->at_ns = clock_mono();
	if (n > 0)
		return OK;
	snprintf(f->why, f->why_size, "%s: no role \"%s\" runs there", f->h->plan->name, role);
	return ERR_NOT_FOUND;
}

static int do_terminate(struct fault *f)
{
	return signal_parent(f, SIGTERM);
}

static int do_start(struct fault *f)
{
	bool ended = false;

	lab_keeper_reap(f->k);
	for (unsigned i = 0; i < f->h->nprograms; i++)
		ended = ended || f->h->programs[i].pid == 0;
	if (!ended)
		return fail(f, ERR_UNEXPECTED,
		            f->h->nprograms ? "what the lab runs there runs already"
		                            : "the lab runs nothing there");
	f->at_ns = clock_mono();
	f->h->frozen = false;
	return lab_program_start(f->h, false, f->why, f->why_size);
}

/* --- frames --------------------------------------------------------------------------------- */

/* The pairs of the bridge's ports that exchange nothing, as nft(8) has them. */
static unsigned blocked_ports(const struct keeper *k, struct buf *b)
{
	unsigned n = 0;

	for (unsigned from = 0; from < k->plan.nhosts; from++) {
		for (unsigned to = 0; to < k->plan.nhosts; to++) {
			if (!k->blocked[from * k->plan.nhosts + to])
				continue;
			for (unsigned i = 0; i < k->plan.hosts[from].ninterfaces; i++) {
				for (unsigned j = 0; j < k->plan.hosts[to].ninterfaces; j++)
					buf_printf(b, "%s\"h%u-%u\" . \"h%u-%u\"", n++ ? ", " : "",
					           from, i, to, j);
			}
		}
	}
	return n;
}

/* Puts the whole list into force, in one transaction. */
static int blocks_apply(struct fault *f)
{
	struct keeper *k = f->k;
	struct buf b = BUF_INIT, ports = BUF_INIT;
	int err = OK;

	if (!k->nft) {
		k->nft = nft_ctx_new(NFT_CTX_DEFAULT);
		if (!k->nft)
			return fail(f, ERR_NOMEM, "nftables: out of memory");
		nft_ctx_buffer_error(k->nft);
		nft_ctx_buffer_output(k->nft);
	}
	buf_adds(&b, "add table bridge lab\n"
	             "add chain bridge lab forward { type filter hook forward priority 0; }\n"
	             "flush chain bridge lab forward\n");
	if (blocked_ports(k, &ports) > 0)
		buf_printf(&b, "add rule bridge lab forward iifname . oifname { %s } drop\n",
		           buf_cstr(&ports));
	if (b.failed || ports.failed)
		err = fail(f, ERR_NOMEM, "out of memory");
	else if (nft_run_cmd_from_buffer(k->nft, buf_cstr(&b)) != 0)
		err = fail(f, ERR_SYSTEM, nft_ctx_get_error_buffer(k->nft));
	f->at_ns = clock_mono();
	buf_free(&ports);
	buf_free(&b);
	return err;
}

static int block_set(struct fault *f, bool on)
{
	unsigned n = f->k->plan.nhosts, from = (unsigned)(f->h - f->k->hosts);
	const char *name = json_string_value(json_object_get(f->request, "to"));
	int to = name ? lab_plan_host(&f->k->plan, name) : -1;

	if ((name && to < 0) || (on && !name))
		return fail(f, ERR_NOT_FOUND, "\"to\" names no host of the lab");
	for (unsigned i = 0; i < n; i++) {
		if (to < 0 || (unsigned)to == i)
			f->k->blocked[from * n + i] = on;
	}
	return blocks_apply(f);
}

static int do_block(struct fault *f)
{
	return block_set(f, true);
}

static int do_pass(struct fault *f)
{
	return block_set(f, false);
}

static int do_pass_all(struct fault *f)
{
	unsigned n = f->k->plan.nhosts;
	int err = OK;

	for (unsigned i = 0; i < n; i++) {
		struct host *h = &f->k->hosts[i];

		if (h->cut && link_set(f, h, true) != OK)
			err = ERR_SYSTEM;
		if (h->frozen && signal_all(f, h, SIGCONT) != OK)
			err = ERR_SYSTEM;
	}
	if (memchr(f->k->blocked, 1, (size_t)n * n)) {
		memset(f->k->blocked, 0, (size_t)n * n);
		if (blocks_apply(f) != OK)
			err = ERR_SYSTEM;
	}
	f->at_ns = clock_mono();
	return err;
}

/* --- the table ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	bool of_all; /* needs no host */
	int (*fn)(struct fault *f);
} faults[] = {
	{ "cut", false, do_cut },
	{ "mend", false, do_mend },
	{ "kill", false, do_kill },
	{ "kill-role", false, do_kill_role },
	{ "freeze", false, do_freeze },
	{ "thaw", false, do_thaw },
	{ "terminate", false, do_terminate },
	{ "start", false, do_start },
	{ "block", false, do_block },
	{ "pass", false, do_pass },
	{ "pass-all", true, do_pass_all },
};

int lab_fault(struct keeper *k, const json_t *request, uint64_t *ret_ns, char *why, size_t why_size)
{
	const char *name = json_string_value(json_object_get(request, "fault"));
	const char *host = json_string_value(json_object_get(request, "host"));
	struct fault f = { .k = k, .request = request, .why = why, .why_size = why_size };
	int at = host ? lab_plan_host(&k->plan, host) : -1, err;

	for (size_t i = 0; name && i < ARRAY_LEN(faults); i++) {
		if (strcmp(faults[i].name, name) != 0)
			continue;
		if (at < 0 && !faults[i].of_all) {
			snprintf(why, why_size, "there is no host \"%s\" in the lab",
			         host ? host : "");
			return ERR_NOT_FOUND;
		}
		f.h = at >= 0 ? &k->hosts[at] : NULL;
		err = faults[i].fn(&f);
		*ret_ns = f.at_ns;
		return err;
	}
	snprintf(why, why_size, "there is no fault \"%s\"", name ? name : "");
	return ERR_NOT_FOUND;
}
