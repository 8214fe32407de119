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
	const struct conf_server *s = conf_server_find(f->conf, str_from(id), &pool);

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

#endif
