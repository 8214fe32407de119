/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The redis probe: AUTH where the check has a password, PING, and ROLE where it wants one. What the
 * server refuses (-LOADING, -MASTERDOWN, -NOAUTH) is a failure in its words. Redis and what speaks
 * as it does. Main thread of the role check.
 */
#include <stdio.h>

#include "base/buf.h"
#include "check/answer.h"
#include "check/probe.h"

enum { REDIS_AUTH, REDIS_PING, REDIS_ROLE };

static void add_text(struct buf *b, struct str text)
{
	buf_printf(b, "$%zu\r\n", text.len);
	buf_addstr(b, text);
	buf_adds(b, "\r\n");
}

static void redis_opened(struct probe *p)
{
	const struct conf_check *c = p->check;
	struct buf b = BUF_INIT;

	p->phase = REDIS_PING;
	if (c->password.len > 0) {
		p->phase = REDIS_AUTH;
		buf_adds(&b, c->login.len > 0 ? "*3\r\n" : "*2\r\n");
		add_text(&b, STR("AUTH"));
		if (c->login.len > 0) {
			add_text(&b, c->login);
		}
		add_text(&b, c->password);
	}
	buf_adds(&b, "*1\r\n$4\r\nPING\r\n");
	if (c->role != CHECK_ROLE_ANY) {
		buf_adds(&b, "*1\r\n$4\r\nROLE\r\n");
	}
	probe_say(p, buf_cstr(&b), b.len);
	buf_free(&b);
}

static void finish(struct probe *p, const char *wrong)
{
	static const char quit[] = "*1\r\n$4\r\nQUIT\r\n";

	probe_bye(p, quit, sizeof(quit) - 1);
	if (wrong != NULL) {
		probe_ill(p, FAIL_STATUS, "%s", wrong);
	} else {
		probe_well(p);
	}
}

static void judge_role(struct probe *p, struct str role)
{
	bool primary = str_eq(role, STR("master"));
	char words[ANSWER_WORDS], text[80];

	if (primary || str_eq(role, STR("slave"))) {
		finish(p, primary == (p->check->role == CHECK_ROLE_PRIMARY) ? NULL
		          : primary ? "is a primary, not a replica"
		                    : "is a replica, not the primary");
		return;
	}
	(void)snprintf(text, sizeof(text), "its role is %s", answer_words(role, words));
	finish(p, text);
}

static size_t redis_take(struct probe *p, struct str got)
{
	struct answer_redis r;
	ssize_t n = answer_redis(got, &r);
	char words[ANSWER_WORDS];

	if (n == ANSWER_BAD) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of Redis");
		return 0;
	}
	if (n == 0) {
		return 0;
	}
	if (r.kind == '-') {
		finish(p, answer_words(r.text, words));
	} else if (p->phase == REDIS_AUTH) {
		p->phase = REDIS_PING;
	} else if (p->phase == REDIS_ROLE) {
		judge_role(p, r.text);
	} else if (r.kind != '+' || !str_eq(r.text, STR("PONG"))) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer to PING");
	} else if (p->check->role != CHECK_ROLE_ANY) {
		p->phase = REDIS_ROLE;
	} else {
		finish(p, NULL);
	}
	return (size_t)n;
}

const struct probe_ops probe_redis = {
	.name = "redis",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = redis_opened,
	.take = redis_take,
	.stop = probe_talk_stop,
	.timed_out = probe_link_timed_out,
};
