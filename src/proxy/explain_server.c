/* SPDX-License-Identifier: Apache-2.0 */
/* Which server of a pool a request would be sent to now: each one's state with its reason, its
 * share, and the pick. Control role. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/balance.h"
#include "proxy/explain.h"

struct candidates {
	const struct conf_pool *pool;
	struct board *board;
	uint64_t *words;
	uint16_t *weights;
	uint32_t *active;
	uint32_t sum; /* of the weights */
	unsigned eligible;
	bool panic;
	bool full; /* somebody was skipped because of it */
};

/* Requests on a server now, by all proxies that run. */
static uint32_t active_on(struct board *b, uint32_t slot)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < BOARD_INSTANCES; i++)
		n += atomic_load_explicit(&board_live(b, i, slot)->active, memory_order_relaxed);
	return n;
}

static uint32_t limit_of(const struct conf_pool *p, unsigned server)
{
	uint32_t own = p->servers[server].max_connections;

	return own != 0 ? own : p->max_connections;
}

static uint32_t load(void *arg, unsigned server)
{
	struct candidates *c = arg;

	return c->active[server];
}

static bool is_full(void *arg, unsigned server)
{
	struct candidates *c = arg;
	uint32_t limit = limit_of(c->pool, server);

	if (limit == 0 || c->active[server] < limit)
		return false;
	c->full = true;
	return true;
}

/* The reason that check wrote, read whole. */
static void read_reason(struct board_server *s, char out[sizeof(s->reason)])
{
	for (unsigned turns = 0; turns < 100; turns++) {
		uint32_t seq = atomic_load_explicit(&s->detail_seq, memory_order_acquire);

		memcpy(out, s->reason, sizeof(s->reason));
		atomic_thread_fence(memory_order_acquire);
		if ((seq & 1) == 0 && atomic_load(&s->detail_seq) == seq)
			break;
	}
	out[sizeof(s->reason) - 1] = '\0';
}

static const char *state_of(union server_word w)
{
	if (w.order == ORDER_DRAIN || w.order == ORDER_DISABLE)
		return server_order_name[w.order];
	return server_state_name[w.state < SERVER_STATES ? w.state : SERVER_UNPROVED];
}

/* Also when what is open on it is ended, or how much was. */
static void why_ordered(const struct board_server *bs, struct buf *why)
{
	uint64_t end = atomic_load(&bs->end_wall_ms);
	uint64_t now = clock_wall_ms();
	uint32_t ended = atomic_load(&bs->ended);
	char span[32];

	buf_adds(why, "takes nothing new by order");
	clock_format_span(end > now ? (end - now) * NS_PER_MS : 0, span);
	if (end != 0)
		buf_printf(why, "; what is open is ended in %s", span);
	else if (ended > 0)
		buf_printf(why, "; its time is over: %u ended", ended);
}

static void why_server(struct candidates *c, unsigned i, struct buf *why)
{
	const struct conf_server *s = &c->pool->servers[i];
	struct board_server *bs = board_server(c->board, s->slot);
	union server_word w = { .word = c->words[i] };
	char reason[sizeof(bs->reason)];

	read_reason(bs, reason);
	buf_adds(why, reason);
	if (reason[0] != '\0')
		buf_adds(why, "; ");
	if (c->weights[i] > 0) {
		buf_printf(why, "takes %.3g%% by weight", 100.0 * c->weights[i] / (double)c->sum);
		if (w.state == SERVER_UP && w.ramp >= 1 && w.ramp < 100)
			buf_printf(why, " (slow start at %u%%)", w.ramp);
		if (is_full(c, i))
			buf_printf(why, "; full: %u requests", c->active[i]);
		else if (c->active[i] > 0)
			buf_printf(why, "; %u requests now", c->active[i]);
	} else if (w.order != ORDER_READY) {
		why_ordered(bs, why);
	} else if (s->weight == 0) {
		buf_adds(why, "takes nothing: weight 0");
	} else if (w.state == SERVER_UP && w.ejected == 0 && s->backup) {
		buf_adds(why, "backup: rests while another server is up");
	} else {
		buf_adds(why, w.state == SERVER_UNPROVED ? "not proved yet" : "takes nothing");
	}
}

static void say_server(struct candidates *c, unsigned i, struct buf *out)
{
	const struct conf_server *s = &c->pool->servers[i];
	struct buf why = BUF_INIT;

	why_server(c, i, &why);
	buf_adds(out, i > 0 ? ",{\"id\":" : "{\"id\":");
	buf_json(out, s->id);
	buf_adds(out, ",\"address\":");
	buf_json(out, s->address_text);
	buf_printf(out, ",\"state\":\"%s\",\"backup\":%s,\"weight\":%u,\"active\":%u,\"why\":",
	           state_of((union server_word){ .word = c->words[i] }),
	           s->backup ? "true" : "false", s->weight, c->active[i]);
	buf_json(out, buf_str(&why));
	buf_addc(out, '}');
	buf_free(&why);
}

static void say_pool(const struct candidates *c, struct buf *out)
{
	struct buf why = BUF_INIT;

	buf_printf(&why, "%u of %u servers eligible, %s", c->eligible, c->pool->nservers,
	           balance_table[c->pool->balance]->name);
	if (c->panic)
		buf_printf(&why,
		           "; fewer than %u%% are up, so those that are down are used as well",
		           c->pool->panic_threshold);
	buf_adds(out, ",\"pool\":{\"name\":");
	buf_json(out, c->pool->name);
	buf_adds(out, ",\"why\":");
	buf_json(out, buf_str(&why));
	buf_addc(out, '}');
	buf_free(&why);
}

/* In the words of the proxy's own answer. */
static void say_nobody(const struct candidates *c, struct buf *out)
{
	unsigned down = 0, draining = 0, disabled = 0;
	struct buf answer = BUF_INIT;
	char reason[sizeof(((struct board_server *)0)->reason)] = "";

	for (unsigned i = 0; i < c->pool->nservers; i++) {
		union server_word w = { .word = c->words[i] };

		draining += w.order == ORDER_DRAIN;
		disabled += w.order == ORDER_DISABLE;
		if (w.order != ORDER_READY || w.state == SERVER_UP)
			continue;
		down++;
		if (reason[0] == '\0')
			read_reason(board_server(c->board, c->pool->servers[i].slot), reason);
	}
	if (c->full)
		buf_printf(&answer,
		           "waits for a free connection, at most %.3gs, then 503: all servers of "
		           "pool %.*s are full",
		           (double)c->pool->queue_timeout / (double)NS_PER_S,
		           STR_ARG(c->pool->name));
	else
		buf_printf(&answer, "503: no healthy server in pool %.*s (%u down%s%s",
		           STR_ARG(c->pool->name), down, reason[0] != '\0' ? ": " : "", reason);
	if (!c->full && draining + disabled > 0)
		buf_printf(&answer, "; %u draining, %u disabled", draining, disabled);
	if (!c->full)
		buf_addc(&answer, ')');
	buf_adds(out, ",\"answer\":");
	buf_json(out, buf_str(&answer));
	buf_free(&answer);
}

static void why_picked(const struct candidates *c, unsigned picked, uint64_t key, struct buf *why)
{
	static const char *const words[] = {
		[BALANCE_ROUND_ROBIN] = "one of them: each in turn, by weight",
		[BALANCE_LEAST_CONN] = "fewest requests for its weight",
		[BALANCE_RANDOM_TWO] = "one of them: the less loaded of two at random",
		[BALANCE_SOURCE_HASH] = "by the hash of the client's address",
		[BALANCE_HEADER_HASH] = "by the hash of header ",
	};
	enum conf_balance algorithm = c->pool->balance;

	if (c->eligible == 1) {
		buf_adds(why, "the only one that is eligible");
	} else if (algorithm >= BALANCE_SOURCE_HASH && key == 0) {
		buf_adds(why, "one of them: there is nothing to hash, so any at random");
	} else {
		buf_adds(why, words[algorithm]);
		if (algorithm == BALANCE_HEADER_HASH)
			buf_addstr(why, c->pool->hash_header);
	}
	if (c->active[picked] > 0)
		buf_printf(why, "; %u requests now", c->active[picked]);
	if (c->full)
		buf_adds(why, "; others are full");
}

static int say_picked(struct candidates *c, uint64_t key, struct buf *out)
{
	struct balance *b = balance_new(c->pool, random_u64());
	struct buf why = BUF_INIT;
	int picked;

	if (b == NULL)
		return ERR_NOMEM;
	balance_update(b, c->weights);
	c->full = false;
	picked = balance_pick(b, &(struct balance_pick){
	                             .hash = key, .skip = is_full, .load = load, .arg = c });
	balance_free(b);
	if (picked < 0) {
		say_nobody(c, out);
		return OK;
	}
	why_picked(c, (unsigned)picked, key, &why);
	buf_adds(out, ",\"server\":{\"id\":");
	buf_json(out, c->pool->servers[picked].id);
	buf_adds(out, ",\"address\":");
	buf_json(out, c->pool->servers[picked].address_text);
	buf_adds(out, ",\"why\":");
	buf_json(out, buf_str(&why));
	buf_addc(out, '}');
	buf_free(&why);
	return OK;
}

int explain_pool(const struct conf_pool *pool, struct board *b, const struct http_head *h,
                 const struct net_addr *client, struct buf *out)
{
	size_t n = MAX(pool->nservers, 1);
	struct candidates c = {
		.pool = pool,
		.board = b,
		.words = calloc(n, sizeof(c.words[0])),
		.weights = calloc(n, sizeof(c.weights[0])),
		.active = calloc(n, sizeof(c.active[0])),
	};
	int err = ERR_NOMEM;

	if (c.words == NULL || c.weights == NULL || c.active == NULL)
		goto end;
	for (unsigned i = 0; i < pool->nservers; i++) {
		c.words[i] = board_server_word(board_server(b, pool->servers[i].slot)).word;
		c.active[i] = active_on(b, pool->servers[i].slot);
	}
	/* It loses track of a pointer in a structure. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	c.eligible = balance_weights(pool, c.words, c.weights, &c.panic);
	for (unsigned i = 0; i < pool->nservers; i++)
		c.sum += c.weights[i];
	say_pool(&c, out);
	buf_adds(out, ",\"servers\":[");
	for (unsigned i = 0; i < pool->nservers; i++)
		say_server(&c, i, out);
	buf_addc(out, ']');
	err = say_picked(&c, balance_key(pool, h, client), out);
end:
	free(c.words);
	free(c.weights);
	free(c.active);
	return err;
}
