/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of strangers to the control API: the bytes of a request, by TCP or (first byte odd) by
 * the control socket, over a board and a configuration. Whatever comes, there is an answer, JSON is
 * JSON, and nothing is changed over TCP without the token.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/node_fixture.h"
#include "base/clock.h"

static const char yaml[] = "listeners: { web: { bind: \"127.0.0.1:80\" } }\n"
                           "pools:\n"
                           "  app: { servers: { a: \"10.0.0.1:80\", b: \"10.0.0.2:80\" } }\n"
                           "routes: { all: { to: app } }\n"
                           "nodes: { lb1: { address: 10.77.0.11 }, lb2: { address: "
                           "10.77.0.12 } }\n"
                           "virtual_ips:\n"
                           "  web: { address: 10.77.0.100/24, interface: eth0, router_id: 51,\n"
                           "         priority: { lb1: 200, lb2: 100 } }\n"
                           "checks: { disk: { exec: [/bin/true] } }\n"
                           "control: { bind: \"127.0.0.1:8404\", token: open-sesame }\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int explain(const struct conf *c, struct board *b, const struct explain_query *q,
                   struct buf *out)
{
	(void)c;
	(void)b;
	buf_adds(out, "{\"url\": ");
	buf_json(out, q->url);
	for (uint32_t i = 0; i < q->nheaders; i++) {
		buf_adds(out, ", ");
		buf_json(out, q->headers[i].name);
		buf_adds(out, ": ");
		buf_json(out, q->headers[i].value);
	}
	buf_adds(out, "}");
	return OK;
}

static struct node_fixture *node(void)
{
	static struct node_fixture f;

	if (f.board == NULL) {
		node_open(&f, yaml);
		node_state(&f, "app/a", SERVER_UP, ORDER_READY);
		node_condition(node_vip(&f, 0, "web", VIP_ACTIVE), "proxy", false, "hangs");
		stat_request(board_block(f.board, 0, 0, BOARD_SERVER, node_server(&f, "app/a")),
		             STAT_GET, 200, NS_PER_MS);
	}
	return &f;
}

static void check_answer(const struct api_request *q, const struct api_answer *ans)
{
	json_t *j;

	CHECK(ans->status >= 200 && ans->status < 600 && ans->type != NULL);
	CHECK(!ans->body.failed);
	if (strcmp(ans->type, "application/json") != 0)
		return;
	j = json_loadb(ans->body.p, ans->body.len, JSON_ALLOW_NUL, NULL);
	CHECK(j != NULL || str_eq(q->path, STR("/api/v1/config")));
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head head;
	static const struct http_limits limits = { 16384, 16384, 128 };
	struct api api = node_api(node());
	struct api_request q = { 0 };
	struct api_answer ans = { 0 };
	struct api_change change;
	const struct http_field *auth;
	size_t scanned = 0;
	char *text;
	int n;

	if (size < 1)
		return 0;
	/* A copy of exactly the size, so that a byte read behind it is seen. */
	text = malloc(size);
	CHECK(text != NULL);
	memcpy(text, data + 1, size - 1);
	n = http_parse_request(&head, text, size - 1, &limits, &scanned);
	if (n > 0) {
		auth = http_field(&head, HTTP_FIELD_AUTHORIZATION);
		q = (struct api_request){ .method = head.method_text,
			                  .path = head.path,
			                  .query = head.query,
			                  .host = head.host,
			                  .body = str_n(text + n, size - 1 - (size_t)n),
			                  .authorization = auth != NULL ? auth->value : STR_NONE,
			                  .local = (data[0] & 1) != 0 };
		api.explain = explain;
		if (api_handle(&api, &q, &ans, &change) == ERR_AGAIN)
			CHECK(q.local || memmem(text, size - 1, "open-sesame", 11) != NULL);
		else
			check_answer(&q, &ans);
		buf_free(&ans.body);
	}
	free(text);
	return 0;
}
