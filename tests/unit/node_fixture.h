/* SPDX-License-Identifier: Apache-2.0 */
/* A board and a configuration as the control role has them, without any process. */
#ifndef TESTS_NODE_FIXTURE_H
#define TESTS_NODE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "control/api.h"

struct node_fixture {
	struct board *board;
	struct conf *conf;
	int board_fd;
	int image_fd;
	uint32_t generation;
};

static inline void node_slot(struct node_fixture *f, enum board_kind kind, struct str name,
                             uint32_t *slot)
{
	CHECK(board_slot(f->board, kind, name, f->generation, slot) == OK);
}

/* Puts another configuration in force, as a reload does. */
static inline void node_load(struct node_fixture *f, const char *yaml)
{
	struct conf_problems problems = { 0 };
	struct conf_loaded *loaded = NULL;

	if (conf_load_text(str_from(yaml), "test.yaml", false, &problems, &loaded) != OK) {
		fputs(buf_cstr(&problems.text), stderr);
		abort();
	}
	if (f->conf != NULL) {
		conf_image_unmap(f->conf);
		close(f->image_fd);
	}
	CHECK(conf_image_write(loaded, &f->image_fd) == OK);
	CHECK(conf_image_map(f->image_fd, &f->conf) == OK);
	conf_free(loaded);
	buf_free(&problems.text);
	f->conf->generation = ++f->generation;
	for (uint32_t i = 0; i < f->conf->nlisteners; i++) {
		struct conf_listener *l = (struct conf_listener *)&f->conf->listeners[i];

		node_slot(f, BOARD_LISTENER, l->name, &l->slot);
	}
	for (uint32_t i = 0; i < f->conf->nroutes; i++) {
		struct conf_route *r = (struct conf_route *)&f->conf->routes[i];

		node_slot(f, BOARD_ROUTE, r->name, &r->slot);
	}
	for (uint32_t i = 0; i < f->conf->npools; i++) {
		struct conf_pool *p = (struct conf_pool *)&f->conf->pools[i];

		node_slot(f, BOARD_POOL, p->name, &p->slot);
		for (uint32_t k = 0; k < p->nservers; k++) {
			struct conf_server *s = (struct conf_server *)&p->servers[k];

			node_slot(f, BOARD_SERVER, s->id, &s->slot);
		}
	}
	for (uint32_t i = 0; i < f->conf->nchecks; i++) {
		struct conf_server *s = (struct conf_server *)f->conf->checks[i].servers;

		node_slot(f, BOARD_SERVER, s->id, &s->slot);
	}
	f->conf->self = conf_node_self(f->conf, "lb1", NULL, NULL, 0);
	for (int kind = 0; kind < BOARD_KINDS; kind++)
		board_sweep(f->board, (enum board_kind)kind, f->generation);
}

static inline void node_role(struct node_fixture *f, unsigned at, const char *name)
{
	struct board_role *r = &board_node(f->board)->roles[at];

	snprintf(r->name, sizeof(r->name), "%s", name);
	r->pid = 100 + (int)at;
	r->ready = 1;
	r->since_wall_ms = 1700000000000;
}

static inline void node_open(struct node_fixture *f, const char *yaml)
{
	struct board_node *n;

	*f = (struct node_fixture){ .image_fd = -1 };
	CHECK(board_create(&f->board, &f->board_fd) == OK);
	n = board_node(f->board);
	snprintf(n->node, sizeof(n->node), "lb1");
	snprintf(n->version, sizeof(n->version), "1.2.3");
	snprintf(n->conf_path, sizeof(n->conf_path), "/etc/holdfast.yaml");
	n->started_wall_ms = 1700000000000;
	n->loaded_wall_ms = 1700000001500;
	node_role(f, 0, "proxy");
	node_role(f, 1, "check");
	node_role(f, 2, "control");
	node_load(f, yaml);
}

static inline void node_close(struct node_fixture *f)
{
	conf_image_unmap(f->conf);
	close(f->image_fd);
	board_unmap(f->board);
	close(f->board_fd);
}

static inline struct api node_api(const struct node_fixture *f)
{
	return (struct api){ .board = f->board, .conf = f->conf, .image_fd = f->image_fd };
}

/* The slot of "pool/server". */
static inline uint32_t node_server(const struct node_fixture *f, const char *id)
{
	const struct conf_pool *pool;
	const struct conf_server *s = conf_probed_find(f->conf, str_from(id), &pool);

	CHECK(s != NULL);
	return s->slot;
}

static inline void node_state(struct node_fixture *f, const char *id, enum server_state state,
                              enum server_order order)
{
	struct board_server *s = board_server(f->board, node_server(f, id));
	union server_word w = { .state = (uint8_t)state, .order = (uint8_t)order, .ramp = 100 };

	atomic_store(&s->word, w.word);
	snprintf(s->reason, sizeof(s->reason), "because of \"%s\"", id);
	s->since_wall_ms = 1700000002000;
}

/* What the role vrrp publishes about a virtual IP; changes to it go between board_vip_begin and
 * _end, or before anybody reads. */
static inline struct board_vip *node_vip(struct node_fixture *f, unsigned at, const char *name,
                                         enum vip_state state)
{
	struct board_vip *v = board_vip(f->board, at);

	board_vip_begin(v);
	snprintf(v->name, sizeof(v->name), "%s", name);
	snprintf(v->interface, sizeof(v->interface), "eth0");
	snprintf(v->reason, sizeof(v->reason), "because of \"%s\"", name);
	v->state = (uint8_t)state;
	v->priority = 200;
	v->base = 200;
	v->since_wall_ms = 1700000003000;
	board_vip_end(v);
	atomic_store(&v->used, 1);
	return v;
}

static inline void node_condition(struct board_vip *v, const char *name, bool well,
                                  const char *reason)
{
	struct board_condition *c = &v->conditions[v->nconditions++];

	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
	c->known = 1;
	c->well = well;
	c->since_wall_ms = 1700000004000;
}

#endif
