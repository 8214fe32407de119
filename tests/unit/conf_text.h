/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a configuration from memory, for tests; the file is called f.yaml. */
#ifndef TESTS_CONF_TEXT_H
#define TESTS_CONF_TEXT_H

#include <string.h>

#include "base/err.h"
#include "conf/conf.h"

#define LISTENER "listeners:\n  http: { bind: \"*:80\" }\n"
#define POOL \
	"pools:\n  web:\n    check: { http: /health }\n" \
	"    servers: { a: 10.0.0.21:80, b: 10.0.0.22:80 }\n"
#define ROUTE   "routes:\n  all: { to: web }\n"
#define MINIMAL LISTENER POOL ROUTE

/* Uses about every option once. */
__attribute__((unused)) static const char everything[] =
    "cluster: shop\n"
    "nodes: { lb1: { address: 10.77.0.11 }, lb2: { address: \"fd00::12\" } }\n"
    "user: www-data\n"
    "trust: [10.0.0.0/8, \"fd00::/8\", unix]\n"
    "log: { level: debug, to: syslog, format: json }\n"
    "proxy: { threads: 4, shutdown_timeout: 1m, max_connections: 20000 }\n"
    "control: { bind: \"127.0.0.1:8404\", token: \"0123456789abcdef\" }\n"
    "listeners:\n"
    "  main:\n"
    "    bind: [\"*:80\", \"unix:/run/h.sock\"]\n"
    "    mode: \"0600\"\n"
    "    max_connections: 500\n"
    "    max_body: 10MiB\n"
    "    timeouts: { keep_alive: 5s }\n"
    "    access_log: { format: combined, sample: 10% }\n"
    "  alt: { bind: \"[::1]:81\", access_log: true, redirect_https: 8443, http2: false }\n"
    "  secure:\n"
    "    bind: \"*:443\"\n"
    "    http2: { max_streams: 64, window: 1MiB, max_resets: 50 }\n"
    "    timeouts: { handshake: 5s }\n"
    "    tls:\n"
    "      certificates: [{ cert: /a.pem, key: /a.key, ocsp: /a.ocsp }, { dir: /certs },\n"
    "                     { internal: true, hosts: [Lab.test, \"*.lab.test\"] }]\n"
    "      min_version: 1.3\n"
    "      ciphersuites: TLS_AES_128_GCM_SHA256\n"
    "      ciphers: \"ECDHE+AESGCM:!aNULL\"\n"
    "      groups: X25519:P-384\n"
    "      ticket_keys: /tickets\n"
    "      strict_sni: true\n"
    "      client_certificates: { mode: request, ca: /ca.pem }\n"
    "      hosts:\n"
    "        \"*.admin.test\": { client_certificates: { mode: require, ca: /ca.pem,\n"
    "                                                  crl: /crl.pem } }\n"
    "        open.test: { client_certificates: off }\n"
    "      hsts: { max_age: 730d, subdomains: true, preload: true }\n"
    "  test: { bind: \"*:444\", tls: internal }\n"
    "  wire:\n"
    "    bind: \"*:6432\"\n"
    "    protocol: tcp\n"
    "    to: other\n"
    "    sni: { \"*.Shop.test\": zones, db.shop.test: other }\n"
    "    accept_proxy: [10.0.0.0/8, unix]\n"
    "    timeouts: { half_close: 5s }\n"
    "  zone: { bind: \"*:53\", protocol: udp, to: zones, timeouts: { session: 5s } }\n"
    "routes:\n"
    "  shop:\n"
    "    host: [Shop.test, \"*.shop.test.\"]\n"
    "    path: /api\n"
    "    method: [GET, POST]\n"
    "    header: { X-Beta: \"1\", X-Any: }\n"
    "    client: [192.168.0.0/16]\n"
    "    listener: main\n"
    "    to: web\n"
    "    retries: 0\n"
    "    max_body: 1GiB\n"
    "    timeouts: { response: 5m }\n"
    "pools:\n"
    "  web:\n"
    "    balance: header_hash\n"
    "    hash_header: X-User\n"
    "    check: { http: \"/health?x=1\", method: HEAD, host: a.test, headers: { A: b },\n"
    "             expect: [200, 204-206, \"301,302\"], match: well, port: 8080, interval: 1s,\n"
    "             fast_interval: 500ms, down_interval: 5s, timeout: 900ms, rise: 1, fall: 4,\n"
    "             jitter: 0% }\n"
    "    passive: { failures: 7, eject: 3s, max_ejected: 20% }\n"
    "    slow_start: 30s\n"
    "    protocol: h2\n"
    "    tls: { ca: /ca.pem, server_name: Web.test, cert: /c.pem, key: /c.key,\n"
    "           min_version: 1.3, resumption: off }\n"
    "    max_connections: 100\n"
    "    servers:\n"
    "      b: { address: \"[fd00::1]:8080\", weight: 5, max_connections: 9 }\n"
    "      a: 10.0.0.1:80\n"
    "      c: { address: \"10.0.0.3:80\", backup: true }\n"
    "  other:\n"
    "    send_proxy: v2\n"
    "    check: { exec: [/bin/probe, -x, -x], user: nobody }\n"
    "    passive: false\n"
    "    servers: { s: \"unix:/run/app.sock\" }\n"
    "  zones:\n"
    "    check: { tcp: true }\n"
    "    balance: source_hash\n"
    "    servers: { s: \"10.0.0.53:53\" }\n"
    "checks:\n"
    "  db: { address: \"10.0.0.9:5432\", tcp: true, interval: 500ms }\n"
    "  disk: { exec: [/bin/probe, disk], user: nobody }\n"
    "virtual_ips:\n"
    "  web:\n"
    "    address: 10.77.0.100/24\n"
    "    interface: eth0\n"
    "    router_id: 51\n"
    "    advertise: 40ms\n"
    "    priority: { lb1: 200, lb2: 100 }\n"
    "    preempt: 30s\n"
    "    sync_group: all\n"
    "    handover: off\n"
    "    track: [proxy, gateway, interface.eth1, check.db, { pool.web: { min: 2, weight: 101 } }]\n"
    "    notify: { exec: [/bin/told, -x], user: nobody, timeout: 5s }\n"
    "  web6:\n"
    "    addresses: [\"fd00::100/64\", \"fd00::101\"]\n"
    "    interface: eth0\n"
    "    router_id: 51\n"
    "    priority: { lb1: 120, lb2: 110 }\n"
    "    checksum: pseudo_header\n"
    "    virtual_mac: true\n"
    "    sync_group: all\n"
    "    track: [proxy, check.disk]\n"
    "  old:\n"
    "    address: 10.77.0.101/24\n"
    "    interface: eth0\n"
    "    router_id: 52\n"
    "    version: 2\n"
    "    advertise: 2s\n"
    "    password: \"pass-77\"\n"
    "    priority: { lb2: 200, lb1: 100 }\n"
    "    preempt: false\n"
    "slo: { outage: 150ms, failed: 0, drills: { node-death: { outage: 200ms, failed: 5 } } }\n";

/* The pair of two nodes with a virtual IP: its shape is a promise to other programs. */
__attribute__((unused)) static const char pair[] =
    "cluster: shop\n"
    "nodes:\n"
    "  lb1: { address: 10.77.0.11 }\n"
    "  lb2: { address: 10.77.0.12 }\n"
    "virtual_ips:\n"
    "  web:\n"
    "    address: 10.77.0.100/24\n"
    "    interface: eth0\n"
    "    router_id: 51\n"
    "    advertise: 40ms                  # VRRP version 3\n"
    "    priority: { lb1: 200, lb2: 100 } # only the nodes named here may hold it\n"
    "    track: [proxy, pool.web]         # what must be well for a node to be preferred\n"
    "listeners:\n"
    "  http: { bind: \"*:80\" }\n"
    "routes:\n"
    "  shop:\n"
    "    host: [shop.test, \"*.shop.test\"]\n"
    "    path: /\n"
    "    to: web\n"
    "pools:\n"
    "  web:\n"
    "    balance: round_robin\n"
    "    check: { http: /health, expect: 200, interval: 2s, rise: 2, fall: 3, timeout: 1s }\n"
    "    servers:\n"
    "      web1: 10.77.0.21:80\n"
    "      web2: { address: 10.77.0.22:80, weight: 2 }\n"
    "      web3: { address: 10.77.0.23:80, backup: true }\n"
    "control: { bind: 127.0.0.1:8404 }\n";

struct loaded {
	struct conf_problems problems;
	struct conf_loaded *l; /* NULL: refused */
};

static inline struct loaded load_text_n(const char *text, size_t len)
{
	struct loaded t = { 0 };
	int err = conf_load_text(str_n(text, len), "f.yaml", false, &t.problems, &t.l);

	assert_true(err == OK ? t.l != NULL : t.l == NULL);
	assert_true((err == OK) == (t.problems.errors == 0));
	return t;
}

static inline void unload(struct loaded *t)
{
	buf_free(&t->problems.text);
	conf_free(t->l);
}

/* A text that must load without an error. */
static inline struct loaded load_well(const char *text)
{
	struct loaded t = load_text_n(text, strlen(text));

	if (!t.l) {
		print_error("%s", buf_cstr(&t.problems.text));
	}
	assert_non_null(t.l);
	return t;
}

static inline void assert_has(struct loaded *t, const char *part)
{
	if (!strstr(buf_cstr(&t->problems.text), part)) {
		print_error("missing: %s\nin: %s", part, buf_cstr(&t->problems.text));
		fail();
	}
}

#endif
