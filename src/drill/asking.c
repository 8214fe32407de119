/* SPDX-License-Identifier: Apache-2.0 */
/* The drill's side of its client: starts it, waits for its first good answers and for its streams,
 * collects what it saw. The drill's process, main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "drill/impl.h"

#define BEFORE_NS    (1500 * NS_PER_MS) /* the client asks so long before the fault */
#define READY_LIMIT  (30 * NS_PER_S)
#define STREAM_LIMIT (40 * NS_PER_S)

int drill_client_start(struct drill *d)
{
	const struct drill_client_options *o = &d->client;
	char to[NET_ADDR_TEXT], every[24], kept[24], kept_every[24], limit[24], download[24];
	const char *argv[] = { d->binary,    "drill-client", net_addr_format(&o->to, to),
		               "--host",     d->host,        "--path",
		               d->path,      "--every",      every,
		               "--kept",     kept,           "--kept-every",
		               kept_every,   "--limit",      limit,
		               "--download", download,       o->tls ? "--tls" : NULL,
		               NULL };
	int err;

	snprintf(every, sizeof(every), "%llu", (unsigned long long)(o->every_ns / NS_PER_US));
	snprintf(kept, sizeof(kept), "%u", o->kept);
	snprintf(kept_every, sizeof(kept_every), "%llu",
	         (unsigned long long)(o->kept_every_ns / NS_PER_US));
	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)(o->limit_ns / NS_PER_US));
	/* Streams that nobody judges need not be waited for. */
	snprintf(download, sizeof(download), "%llu",
	         (unsigned long long)(o->download_ns / NS_PER_US));
	err = drill_proc_start(&d->client_proc, d->lab, d->client_host, argv);
	return err == OK ? OK : drill_fail(d, err, "the client could not be started");
}

static struct drill_record *records(struct drill *d, size_t *ret_n)
{
	struct buf b = BUF_INIT;

	drill_proc_read(&d->client_proc, &b);
	*ret_n = b.len / sizeof(struct drill_record);
	return (struct drill_record *)(void *)buf_take(&b);
}

bool drill_client_has_ended(struct drill *d)
{
	if (!atomic_load(&d->client_proc.done))
		return false;
	drill_fail(d, ERR_UNEXPECTED, "the client has ended (exit status %d) %s",
	           d->client_proc.status, d->client_proc.why);
	return true;
}

int drill_client_warm(struct drill *d)
{
	uint64_t until = clock_mono() + READY_LIMIT;
	const struct drill_window none = { 0 };
	bool good = false;

	while (!good) {
		size_t n;
		struct drill_record *r = records(d, &n);

		for (size_t i = 0; r && i < n && !good; i++)
			good =
			    r[i].sample.kind == DRILL_NEW && drill_sample_good(&r[i].sample, &none);
		free(r);
		if (drill_client_has_ended(d))
			return ERR_UNEXPECTED;
		if (!good && clock_mono() >= until)
			return drill_fail(d, ERR_TIMEOUT, "%s gives no good answer", d->target);
		drill_sleep(DRILL_POLL_NS);
	}
	drill_sleep(BEFORE_NS);
	return OK;
}

void drill_client_wait_download(struct drill *d)
{
	uint64_t until = clock_mono() + d->client.download_ns + STREAM_LIMIT;
	bool done = false;

	while (!done && clock_mono() < until && !atomic_load(&d->client_proc.done)) {
		size_t n;
		struct drill_record *r = records(d, &n);

		for (size_t i = n; r && i > 0 && !done; i--)
			done = r[i - 1].sample.kind == DRILL_DOWNLOAD;
		free(r);
		drill_sleep(DRILL_POLL_NS);
	}
}

int drill_client_collect(struct drill *d)
{
	struct drill_result *r = d->r;
	struct drill_record *v;
	size_t n;

	if (!drill_proc_stop(&d->client_proc, d->client.limit_ns * 3 + 5 * NS_PER_S))
		return drill_fail(d, ERR_TIMEOUT, "the client does not end");
	v = records(d, &n);
	r->samples = calloc(n + 1, sizeof(*r->samples));
	r->names = calloc(257, sizeof(*r->names));
	for (size_t i = 0; v && r->samples && r->names && i < n; i++) {
		if (v[i].sample.kind != DRILL_NAME)
			r->samples[r->nsamples++] = v[i].sample;
		else if (v[i].sample.who < 256)
			memcpy(r->names[v[i].sample.who], v[i].name, sizeof(v[i].name));
	}
	r->nnames = r->names ? 256 : 0;
	free(v);
	r->events = drill_events(d, &r->nevents);
	r->vip = (uint16_t)d->vip;
	return OK;
}
