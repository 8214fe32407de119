/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conditions "pool.NAME" and "check.NAME": what the role check publishes on the board. Servers
 * that no probe has proven yet count as well until it is known better. Role vrrp, its one thread.
 */
#include "base/check.h"
#include "vrrp/track_impl.h"

/* --- pool.NAME ------------------------------------------------------------------------------ */

static uint64_t pool_look(struct track_cond *c, uint64_t now)
{
	const struct conf_pool *pool = &track_conf_of(c)->pools[c->conf->index];
	uint32_t proven = 0;
	uint32_t assumed = 0;

	for (uint32_t i = 0; i < pool->nservers; i++) {
		union server_word word =
		    board_server_word(board_server(track_env_of(c)->board, pool->servers[i].slot));

		if (word.order != ORDER_READY || word.ejected != 0)
			continue;
		proven += word.state == SERVER_UP;
		assumed += word.state == SERVER_UNPROVED;
	}
	if (proven >= c->min)
		track_verdict(c, true, true, "%s", "");
	else if (proven + assumed >= c->min)
		track_verdict(c, false, true, "not all servers have been probed yet");
	else
		track_verdict(c, true, false, "%u of %u servers in service, at least %u %s needed",
		              proven + assumed, pool->nservers, c->min, c->min == 1 ? "is" : "are");
	return now + TRACK_EVERY;
}

const struct track_kind track_pool = { .look = pool_look };

/* --- check.NAME ----------------------------------------------------------------------------- */

static uint64_t check_look(struct track_cond *c, uint64_t now)
{
	const struct conf_pool *check = &track_conf_of(c)->checks[c->conf->index];
	struct board_server *b = board_server(track_env_of(c)->board, check->servers[0].slot);
	struct board_server copy;

	switch (board_server_word(b).state) {
	case SERVER_UP:
		track_verdict(c, true, true, "%s", "");
		break;
	case SERVER_DOWN:
		copy = board_server_read(b);
		track_verdict(c, true, false, "%s", copy.reason);
		break;
	default:
		track_verdict(c, false, true, "not probed yet");
	}
	return now + TRACK_EVERY;
}

const struct track_kind track_check = { .look = check_look };
