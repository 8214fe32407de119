/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server sends to a probe over HTTP/2. The first byte chooses the question, the second how
 * long the pieces are in which the rest comes. The question ends with one verdict at most, and
 * nothing of it is left.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "check/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf_check checks[] = {
	{ .probe = PROBE_HTTP, .http = STR("/"), .method = STR("GET") },
	{ .probe = PROBE_HTTP, .http = STR("/"), .method = STR("GET"), .match = STR("needle") },
	{ .probe = PROBE_HTTP, .http = STR("/"), .method = STR("HEAD"), .match = STR("x") },
	{ .probe = PROBE_GRPC },
};

static unsigned verdicts;

static void on_done(struct probe *p, const struct probe_result *result)
{
	size_t i;

	(void)p;
	verdicts++;
	for (i = 0; result->text[i] != '\0'; i++)
		CHECK(result->text[i] >= ' ' && result->text[i] < 127);
	CHECK(i > 0);
}

/* As the part that talks does: what is not taken is offered again, with more. */
static void receive(struct probe *p, const uint8_t *data, size_t size, size_t piece)
{
	size_t from = 0, to = 0;

	while (p->running && to < size) {
		char *copy; /* of exactly that size, so that a sanitizer sees what is read beyond */
		size_t n;

		to = MIN(size, to + piece);
		copy = malloc(to - from);
		CHECK(copy != NULL);
		memcpy(copy, data + from, to - from);
		n = p->ops->take(p, str_n(copy, to - from));
		CHECK(n <= to - from);
		from += n;
		free(copy);
	}
	if (p->running)
		p->ops->ended(p);
	CHECK(!p->running && p->h2 == NULL && p->store == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct net_addr address = { .in = { .sin_family = AF_INET }, .len = 16 };
	static struct probe_text text;
	static struct arena arena;
	static struct loop *loop;
	struct probe_env env;
	struct probe p;

	if (size < 2)
		return 0;
	if (loop == NULL) {
		loop = loop_new();
		CHECK(loop != NULL && probe_http_text(&checks[0], &arena, &text) == OK);
		text.http2 = true;
		for (size_t i = 0; i < ARRAY_LEN(checks); i++)
			checks[i].expect[1] = ~0ULL; /* 164 … 227 */
	}
	verdicts = 0;
	probe_env_init(&env, loop, 0);
	probe_init(&p, &env, on_done);
	probe_ask(&p, &checks[data[0] % ARRAY_LEN(checks)], &text, &address, "a/b");
	p.running = true; /* without a connection: what is sent goes nowhere */
	p.ops->opened(&p);
	receive(&p, data + 2, size - 2, data[1] > 0 ? data[1] : 65536);
	CHECK(verdicts == 1);
	flow_free(&p.s.out); /* what it said */
	probe_stop(&p);
	probe_env_free(&env);
	return 0;
}
