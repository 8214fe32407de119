/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drill asks and breaks: the address, host and path that the file's routes take, the nodes,
 * the servers behind; in a running lab, in one that is made for the drill, or in production.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "core/node.h"
#include "drill/impl.h"

#define FILE_MAX (16U << 20)

/* --- the request ---------------------------------------------------------------------------- */

static bool may_get(const struct conf_route *r)
{
	for (uint32_t i = 0; i < r->methods.n; i++) {
		if (str_eq(r->methods.v[i], STR("GET")))
			return true;
	}
	return r->methods.n == 0;
}

/* A route that anybody may take by a mere GET; best one for all paths. */
static const struct conf_route *choose_route(const struct conf *c)
{
	const struct conf_route *best = NULL;

	for (uint32_t i = 0; i < c->nroutes; i++) {
		const struct conf_route *r = &c->routes[i];

		if (r->nheaders > 0 || r->nclients > 0 || !may_get(r) ||
		    c->pools[r->pool].nservers == 0)
			continue;
		if (!best || (str_eq(r->path, STR("/")) && !str_eq(best->path, STR("/"))))
			best = r;
	}
	return best;
}

static bool takes_listener(const struct conf_route *r, const struct conf_listener *l)
{
	if (l->protocol != PROTOCOL_HTTP)
		return false; /* no request comes from there */
	for (uint32_t i = 0; i < r->listeners.n; i++) {
		if (str_eq(r->listeners.v[i], l->name))
			return true;
	}
	return r->listeners.n == 0;
}

static bool is_any(const struct net_addr *a, int family)
{
	static const struct in6_addr any6 = IN6ADDR_ANY_INIT;

	if (a->wildcard)
		return true;
	if (a->sa.sa_family != family)
		return false;
	if (family == AF_INET)
		return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return memcmp(&a->in6.sin6_addr, &any6, sizeof(any6)) == 0;
}

/* The port at which the address is served; *ret_tls: by TLS. */
static uint16_t choose_port(const struct conf *c, const struct conf_route *r,
                            const struct net_addr *ip, bool *ret_tls)
{
	char text[NET_ADDR_TEXT], want[NET_ADDR_TEXT];

	net_addr_host(ip, want);
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		if (l->protocol != PROTOCOL_HTTP || l->redirect_https || !takes_listener(r, l))
			continue;
		*ret_tls = l->tls.on;
		for (uint32_t k = 0; k < l->nbind; k++) {
			const struct net_addr *b = &l->bind[k];

			if (b->sa.sa_family == AF_UNIX)
				continue;
			if (is_any(b, ip->sa.sa_family) ||
			    strcmp(net_addr_host(b, text), want) == 0)
				return net_addr_port(b);
		}
	}
	return 0;
}

static const struct net_addr *vip_address(const struct conf_vip *v)
{
	for (uint32_t i = 0; i < v->naddresses; i++) {
		if (!v->addresses[i].derived)
			return &v->addresses[i].ip;
	}
	return &v->addresses[0].ip;
}

static int choose_vip(struct drill *d)
{
	const struct conf *c = d->conf;

	d->vip = 0;
	for (uint32_t i = 0; d->o->vip && i < c->nvips; i++) {
		if (str_eq(c->vips[i].name, str_from(d->o->vip))) {
			d->vip = i;
			return OK;
		}
	}
	if (d->o->vip)
		return drill_fail(d, ERR_NOT_FOUND, "the file has no virtual IP \"%s\"", d->o->vip);
	return OK; /* 0 == nvips where there is none */
}

static int target_of_file(struct drill *d)
{
	const struct conf *c = d->conf;
	const struct conf_route *r = choose_route(c);
	char text[NET_ADDR_TEXT];
	uint16_t port;
	int err = choose_vip(d);

	if (err != OK)
		return err;
	if (!r)
		return drill_fail(
		    d, ERR_UNSUPPORTED,
		    "no route of the file is open to a plain GET with a server behind it");
	if (c->nvips == 0 && c->nnodes == 0)
		return drill_fail(d, ERR_UNSUPPORTED, "the file has neither virtual IPs nor nodes");
	d->pool = r->pool;
	d->client.to = c->nvips > 0 ? *vip_address(&c->vips[d->vip]) : c->nodes[0].ip;
	port = choose_port(c, r, &d->client.to, &d->client.tls);
	net_addr_host(&d->client.to, text);
	if (port == 0)
		return drill_fail(d, ERR_UNSUPPORTED, "no listener serves %s for route %.*s", text,
		                  STR_ARG(r->name));
	d->client.to.in.sin_port = htons(port); /* at the same place in IPv6 */
	if (r->hosts.n == 0)
		snprintf(d->host, sizeof(d->host), "%s", net_addr_format(&d->client.to, text));
	else if (str_starts(r->hosts.v[0], STR("*.")))
		snprintf(d->host, sizeof(d->host), "a%.*s", (int)r->hosts.v[0].len - 1,
		         r->hosts.v[0].s + 1);
	else
		snprintf(d->host, sizeof(d->host), "%.*s", STR_ARG(r->hosts.v[0]));
	snprintf(d->path, sizeof(d->path), "%.*s", STR_ARG(r->path));
	/* The streams are whoami's, at paths of their own. */
	if (!str_eq(r->path, STR("/")))
		d->client.download_ns = 0;
	return OK;
}

/* "http://host:port/path", https:// */
static int target_of_url(struct drill *d)
{
	struct str rest = str_from(d->o->url), at, path;
	const char *why = NULL;
	char text[300];
	int err;

	d->client.tls = str_starts(rest, STR("https://"));
	if (!d->client.tls && !str_starts(rest, STR("http://")))
		return drill_fail(d, ERR_INVALID, "%s: is no http:// or https://HOST[:PORT]/PATH",
		                  d->o->url);
	rest = str_n(rest.s + 7 + d->client.tls, rest.len - 7 - d->client.tls);
	at = str_split(rest, '/', &path);
	snprintf(d->host, sizeof(d->host), "%.*s", STR_ARG(at));
	snprintf(d->path, sizeof(d->path), "/%.*s", STR_ARG(path));
	snprintf(text, sizeof(text), "%s%s", d->host,
	         strrchr(d->host, ':') > strrchr(d->host, ']') ? ""
	         : d->client.tls                               ? ":443"
	                                                       : ":80");
	err = net_addr_parse(str_from(text), &d->client.to, &why);
	if (err == ERR_NOT_FOUND)
		err = net_resolve(str_from(text), &d->client.to, &why);
	d->client.download_ns = 0;
	return err == OK ? OK : drill_fail(d, err, "%s: %s", d->o->url, why ? why : err_text(err));
}

/* --- the lab -------------------------------------------------------------------------------- */

static int load(struct drill *d, const char *path)
{
	struct conf_problems p = { 0 };
	int err = conf_load(path, false, &p, &d->loaded);

	if (err != OK)
		drill_fail(d, err, "%s is not well:\n%s", path, buf_cstr(&p.text));
	buf_free(&p.text);
	if (err == OK)
		d->conf = conf_of(d->loaded);
	return err;
}

int drill_change(struct drill *d, const char *host)
{
	const struct conf_pool *p = &d->conf->pools[0];
	struct buf b = BUF_INIT;
	int err;

	buf_printf(&b, "routes: { holdfast-drill: { host: %s, to: \"%.*s\" } }\n", host,
	           STR_ARG(p->name));
	err = d->conf->npools > 0 ? buf_write_file(&b, d->change, 0644) : ERR_UNSUPPORTED;
	buf_free(&b);
	return err;
}

/*
 * A copy of the file, which includes one more: that one changes when the drill reloads, the user's
 * file never does. A file that cannot be moved (it includes others, or names some by relative
 * paths) is used as it is, and has no reload with a change.
 */
static int copy_file(struct drill *d, const char *path, char *copy, size_t size)
{
	struct buf b = BUF_INIT;
	struct conf_problems p = { 0 };
	struct conf_loaded *l = NULL;
	int err;

	snprintf(d->dir, sizeof(d->dir), "/tmp/holdfast-drill-XXXXXX");
	if (!mkdtemp(d->dir)) {
		d->dir[0] = '\0';
		return ERR_SYSTEM;
	}
	chmod(d->dir, 0755); /* roles read it under their own user */
	snprintf(d->change, sizeof(d->change), "%s/change.yaml", d->dir);
	snprintf(copy, size, "%s/holdfast.yaml", d->dir);
	err = buf_read_file(&b, path, FILE_MAX);
	buf_adds(&b, "\ninclude: change.yaml\n");
	if (err == OK)
		err = buf_write_file(&b, copy, 0644);
	if (err == OK)
		err = drill_change(d, "drill-0.invalid");
	if (err == OK)
		err = conf_load(copy, false, &p, &l);
	conf_free(l);
	buf_free(&p.text);
	buf_free(&b);
	return err;
}

/* NULL: the only one that runs. */
static const char *lab_name(const struct drill *d)
{
	if (d->o->lab || !d->loaded)
		return d->o->lab;
	return d->conf->cluster.len > 0 ? d->conf->cluster.s : "lab";
}

static void remove_files(const struct drill *d)
{
	char path[128];

	if (d->dir[0] == '\0')
		return;
	snprintf(path, sizeof(path), "%s/change.yaml", d->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/holdfast.yaml", d->dir);
	unlink(path);
	rmdir(d->dir);
}

/* Waits in a process of its own for the end of the drill, however it ends, and takes its lab down.
 * Before the drill has threads. */
static int guard_start(struct drill *d)
{
	char why[256];
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return ERR_SYSTEM;
	d->guard = fork();
	if (d->guard == 0) {
		setsid();
		close(fds[1]);
		while (read(fds[0], why, sizeof(why)) < 0 && errno == EINTR) {
		}
		if (lab_down(d->lab, why, sizeof(why)) != OK)
			fprintf(stderr, "holdfast drill: the lab could not be taken down: %s\n",
			        why);
		remove_files(d);
		_exit(0);
	}
	close(fds[0]);
	d->guard_fd = fds[1];
	return d->guard > 0 ? OK : ERR_SYSTEM;
}

static int lab_start(struct drill *d)
{
	int err;
	char copy[128];
	const char *path = copy;
	struct lab_options o = { .name = d->o->lab, .binary = d->binary };

	if (copy_file(d, d->o->conf_path, copy, sizeof(copy)) != OK) {
		path = d->o->conf_path;
		d->change[0] = '\0';
	}
	o.conf_path = path;
	if (lab_up(&o) != 0)
		return drill_fail(d, ERR_UNEXPECTED, "the lab could not be brought up");
	err = lab_find(lab_name(d), NULL, d->lab, sizeof(d->lab), d->why, sizeof(d->why));
	return err == OK ? guard_start(d) : err;
}

static int ask(struct drill *d, json_t *request, json_t **ret)
{
	int err = lab_ask(d->lab, request, NULL, ret, d->why, sizeof(d->why));

	json_decref(request);
	return err;
}

static void add_server(struct drill *d, const json_t *host)
{
	const struct conf_pool *p = &d->conf->pools[d->pool];
	const json_t *addresses = json_object_get(host, "addresses");
	char text[NET_ADDR_TEXT];

	for (uint32_t i = 0; i < p->nservers; i++) {
		const struct conf_server *s = &p->servers[i];
		const json_t *a;
		size_t k;

		json_array_foreach (addresses, k, a) {
			struct drill_server *n = &d->servers[d->nservers];

			if (strcmp(json_string_value(a), net_addr_host(&s->address, text)) != 0 ||
			    d->nservers == sizeof(d->servers) / sizeof(d->servers[0]))
				continue;
			d->nservers++;
			snprintf(n->id, sizeof(n->id), "%.*s", STR_ARG(s->id));
			snprintf(n->host, sizeof(n->host), "%s",
			         json_string_value(json_object_get(host, "name")));
			n->backup = s->backup;
		}
	}
}

static void add_node(struct drill *d, const json_t *host)
{
	struct drill_node *n = &d->nodes[d->nnodes];
	const char *socket = json_string_value(json_object_get(host, "control_socket"));

	if (d->nnodes == CONF_MAX_NODES)
		return;
	d->nnodes++;
	n->watch.in = n->watch.out = -1;
	snprintf(n->name, sizeof(n->name), "%s", json_string_value(json_object_get(host, "name")));
	snprintf(n->socket, sizeof(n->socket), "%s", socket ? socket : "");
}

/* The hosts of the lab; its file, where none was named. */
static int learn_lab(struct drill *d)
{
	json_t *answer = NULL;
	const json_t *h;
	size_t i;
	int err = ask(d, json_pack("{s:s}", "do", "status"), &answer);

	if (err == OK && json_is_true(json_object_get(answer, "bare")))
		err = drill_fail(d, ERR_UNSUPPORTED, "the lab is bare: no node runs in it");
	if (err == OK && !d->loaded)
		err = load(d, json_string_value(json_object_get(answer, "file")));
	if (err == OK)
		err = target_of_file(d);
	json_array_foreach (json_object_get(answer, "hosts"), i, h) {
		const char *kind = json_string_value(json_object_get(h, "kind"));

		if (err == OK && kind && strcmp(kind, "node") == 0)
			add_node(d, h);
		else if (err == OK && kind && strcmp(kind, "server") == 0)
			add_server(d, h);
		else if (err == OK && kind && strcmp(kind, "client") == 0)
			snprintf(d->client_host, sizeof(d->client_host), "%s",
			         json_string_value(json_object_get(h, "name")));
	}
	json_decref(answer);
	return err;
}

static int target_lab(struct drill *d)
{
	int err = OK;

	d->in_lab = true;
	if (d->o->conf_path)
		err = load(d, d->o->conf_path);
	if (err != OK)
		return err;
	/* With a file only a lab of its name is meant, never just any that runs. */
	if (lab_find(lab_name(d), NULL, d->lab, sizeof(d->lab), d->why, sizeof(d->why)) != OK) {
		if (!d->o->conf_path)
			return ERR_NOT_FOUND;
		err = lab_start(d);
	}
	return err == OK ? learn_lab(d) : err;
}

/* --- production ----------------------------------------------------------------------------- */

static int target_production(struct drill *d)
{
	struct drill_node *n = &d->nodes[0];
	json_t *status = NULL;
	const char *name, *file;
	int err = target_of_url(d);

	if (err != OK)
		return err;
	n->watch.in = n->watch.out = -1;
	snprintf(n->socket, sizeof(n->socket), "%s", d->o->socket);
	if (lab_node_get(n->socket, "/api/v1/status", 5000, &status) != OK)
		return drill_fail(
		    d, ERR_CLOSED,
		    "no node answers at %s: a drill in production runs beside a node; "
		    "name it with --state or --socket",
		    n->socket);
	name = json_string_value(json_object_get(status, "node"));
	file = json_string_value(json_object_get(status, "file"));
	snprintf(n->name, sizeof(n->name), "%s", name ? name : "node");
	d->nnodes = 1;
	err = load(d, d->o->conf_path ? d->o->conf_path : file ? file : "");
	json_decref(status);
	return err == OK ? choose_vip(d) : err;
}

int drill_target(struct drill *d)
{
	char to[NET_ADDR_TEXT];
	ssize_t n = readlink("/proc/self/exe", d->binary, sizeof(d->binary) - 1);
	int err;

	if (n <= 0)
		return drill_fail(d, ERR_SYSTEM, "/proc/self/exe: %s", strerror(errno));
	d->client = d->o->client;
	err = d->o->url ? target_production(d) : target_lab(d);
	if (err != OK)
		return err;
	d->pool_servers = d->conf->npools > 0 ? d->conf->pools[d->pool].nservers : 0;
	snprintf(d->target, sizeof(d->target), "http://%s%s", net_addr_format(&d->client.to, to),
	         d->path);
	return OK;
}

void drill_target_close(struct drill *d)
{
	if (d->guard > 0) {
		close(d->guard_fd);
		waitpid(d->guard, NULL, 0);
	} else {
		remove_files(d);
	}
	conf_free(d->loaded);
}
