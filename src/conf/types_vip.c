/* SPDX-License-Identifier: Apache-2.0 */
/* Types that only virtual IPs have: addresses, priorities, preemption. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

/* --- addresses with a prefix length ----------------------------------------------------------- */

/* Why an address cannot be shared; NULL when it can. */
static const char *unfit(const struct conf_vip_address *a)
{
	uint32_t ip, mask;

	if (a->ip.sa.sa_family == AF_INET6) {
		const struct in6_addr *in6 = &a->ip.in6.sin6_addr;

		return IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_LOOPBACK(in6) ||
		               IN6_IS_ADDR_MULTICAST(in6) || IN6_IS_ADDR_V4MAPPED(in6)
		           ? "is no address that a host can have in a network"
		           : NULL;
	}
	ip = ntohl(a->ip.in.sin_addr.s_addr);
	mask = net_ipv4_mask(a->prefix);
	if (ip >> 24 == 0 || ip >> 24 == 127 || ip >> 28 >= 14) {
		return "is no address that a host can have in a network";
	}
	if (a->prefix < 31 && (ip & ~mask) == 0) {
		return "is a network, not the address of a host in it";
	}
	return a->prefix < 31 && (ip | mask) == UINT32_MAX
	           ? "is the broadcast address of its network"
	           : NULL;
}

static const char *address_parse(struct str text, struct conf_vip_address *ret)
{
	struct str prefix, ip = str_split(text, '/', &prefix);
	uint64_t bits, most;

	if (net_ip_parse(ip, &ret->ip) != OK) {
		return "is not an address like 10.0.0.100/24 or fd00::100/64";
	}
	most = ret->ip.sa.sa_family == AF_INET ? 32 : 128;
	bits = most;
	if (prefix.s && (str_to_u64(prefix, most, &bits) != OK || bits == 0)) {
		return most == 32 ? "has a prefix length that is not between 1 and 32"
		                  : "has a prefix length that is not between 1 and 128";
	}
	ret->text = text;
	ret->prefix = (uint32_t)bits;
	return unfit(ret);
}

static const char *address_among(const struct conf_vip_address *v, uint32_t n)
{
	if (v[0].ip.sa.sa_family != v[n].ip.sa.sa_family) {
		return "is of another family than the one before it: make two virtual IPs, one for "
		       "IPv4 and one for IPv6, with the same \"sync_group\"";
	}
	for (uint32_t i = 0; i < n; i++) {
		if (net_addr_eq(&v[i].ip, &v[n].ip)) {
			return "is there twice";
		}
	}
	return NULL;
}

static void vip_address_read(struct load *l, const struct row *row, const struct node *n,
                             void *object)
{
	uint32_t count = load_items(l, row, n), used = 0;
	struct conf_vip_address *v;
	struct str text;

	if (count >= CONF_MAX_VIP_ADDRESSES) {
		problem_error(l->problems, n->key_at, "more than %d addresses in \"%s\"",
		              CONF_MAX_VIP_ADDRESSES - 1, row->name);
		return;
	}
	v = load_alloc(l, count, sizeof(*v));
	for (const struct node *i = v && count ? load_item_first(n) : NULL; i;
	     i = load_item_next(n, i)) {
		const char *why;

		if (!load_text(l, row, i, &text)) {
			continue;
		}
		why = address_parse(text, &v[used]);
		if (!why && used) {
			why = address_among(v, used);
		}
		if (why) {
			load_refuse(l, row, i, text, why);
		} else {
			used++;
		}
	}
	*ROW_AT(const struct conf_vip_address *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

/* How many of them the file has. */
static uint32_t given(const struct conf_vip *v)
{
	return v->naddresses - (v->naddresses && v->addresses[0].derived);
}

static void vip_address_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_vip *v = object;

	if (given(v) == 1) {
		emit_text(o, row->name, v->addresses[v->naddresses - 1].text);
	}
}

static void vip_addresses_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_vip *v = object;

	if (given(v) > 1) {
		emit_list_open(o, row->name);
		for (uint32_t i = v->addresses[0].derived; i < v->naddresses; i++) {
			emit_item(o, v->addresses[i].text);
		}
		emit_list_close(o);
	}
}

static void vip_address_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, "
	              "\"items\": {\"type\": \"string\"}}]");
}

static void vip_address_walk(const struct row *row, void *object, struct walk *w)
{
	struct conf_vip *v = object;
	struct conf_vip_address *a = walk_block(w, &v->addresses, v->naddresses, sizeof(*a));

	walk_check(w, v->naddresses > 0 && v->naddresses <= CONF_MAX_VIP_ADDRESSES);
	for (uint32_t i = 0; a && i < v->naddresses; i++) {
		int family = a[i].ip.sa.sa_family;

		walk_str(w, &a[i].text);
		walk_check(w, family == a[0].ip.sa.sa_family &&
		                  ((family == AF_INET && a[i].prefix <= 32) ||
		                   (family == AF_INET6 && a[i].prefix <= 128)) &&
		                  *(const uint8_t *)&a[i].derived <= (i == 0));
	}
}

const struct row_type type_vip_address = { "an address with its prefix length", vip_address_read,
	                                   vip_address_print, vip_address_schema,
	                                   vip_address_walk };
/* The same member, written as a list. */
const struct row_type type_vip_addresses = { "a list of addresses with their prefix lengths",
	                                     vip_address_read, vip_addresses_print,
	                                     vip_address_schema, NULL };

/* --- priorities of nodes ---------------------------------------------------------------------- */

static int compare_vip_nodes(const void *pa, const void *pb)
{
	const struct conf_vip_node *a = pa, *b = pb;

	return str_compare(a->name, b->name);
}

static void priorities_read(struct load *l, const struct row *row, const struct node *n,
                            void *object)
{
	struct conf_vip_node *v;
	uint32_t used = 0;
	struct str text;
	uint64_t number;

	if (n->kind != NODE_MAP || n->n == 0) {
		load_wrong_type(l, row, n);
		return;
	}
	if (n->n > CONF_MAX_NODES) {
		problem_error(l->problems, n->key_at, "more than %d nodes in \"%s\"",
		              CONF_MAX_NODES, row->name);
		return;
	}
	v = load_alloc(l, n->n, sizeof(*v));
	for (const struct node *i = n->first; v && i; i = i->next) {
		v[used].name = i->key;
		v[used].node = CONF_NO_NODE;
		if (!load_text(l, row, i, &text)) {
			continue;
		}
		if (str_to_u64(text, 255, &number) != OK || number == 0) {
			load_refuse(l, row, i, text, "is not a priority between 1 and 254");
			continue;
		}
		if (number == 255) {
			load_refuse(l, row, i, text,
			            "is the priority of an address's owner, which has it for "
			            "itself: a virtual IP is nobody's own; use 1 to 254");
			continue;
		}
		v[used++].priority = (uint32_t)number;
	}
	if (v) {
		qsort(v, used, sizeof(*v), compare_vip_nodes);
	}
	*ROW_AT(const struct conf_vip_node *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void priorities_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_vip_node *v = *ROW_CAT(struct conf_vip_node *, row, object);
	char text[16];

	emit_open(o, row->name);
	for (uint32_t i = 0; i < *ROW_CWITH(uint32_t, row, object); i++) {
		snprintf(text, sizeof(text), "%u", v[i].priority);
		emit_literal_named(o, v[i].name, text);
	}
	emit_close(o);
}

static void priorities_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"object\", \"minProperties\": 1, \"propertyNames\": {\"$ref\": "
	              "\"#/definitions/name\"}, \"additionalProperties\": {\"anyOf\": [{\"type\": "
	              "\"integer\", \"minimum\": 1, \"maximum\": 254}, "
	              "{\"$ref\": \"#/definitions/variable\"}]}");
}

static void priorities_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct conf_vip_node *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	walk_check(w, n > 0 && n <= CONF_MAX_NODES);
	for (uint32_t i = 0; v && i < n; i++) {
		walk_str(w, &v[i].name);
		walk_check(w, v[i].priority >= 1 && v[i].priority <= 254);
	}
}

const struct row_type type_priorities = { "a map of nodes and their priorities", priorities_read,
	                                  priorities_print, priorities_schema, priorities_walk };

/* --- `preempt: true | false | DURATION` ------------------------------------------------------- */

static void preempt_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;
	uint64_t delay = 0;
	bool on = true;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (value_bool(text, &on, &why) != OK &&
	    (value_duration(text, &delay, &why) != OK || delay > row->max)) {
		load_refuse(l, row, n, text, "is neither true, false nor a duration up to 24h");
		return;
	}
	*ROW_AT(bool, row, object) = on;
	*ROW_WITH(uint64_t, row, object) = delay;
}

static void preempt_print(const struct row *row, const void *object, struct emit *o)
{
	uint64_t delay = *ROW_CWITH(uint64_t, row, object);
	char text[32];

	if (delay) {
		clock_format_conf(delay, text);
		emit_word(o, row->name, text);
	} else {
		emit_literal(o, row->name, *ROW_CAT(bool, row, object) ? "true" : "false");
	}
}

static void preempt_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"boolean\"}, {\"enum\": [\"on\", \"off\", \"yes\", "
	              "\"no\"]}, {\"$ref\": \"#/definitions/duration\"}, "
	              "{\"$ref\": \"#/definitions/variable\"}]");
}

static void preempt_walk(const struct row *row, void *object, struct walk *w)
{
	walk_check(w, *ROW_CAT(uint8_t, row, object) <= 1 &&
	                  *ROW_CWITH(uint64_t, row, object) <= row->max);
}

const struct row_type type_preempt = { "true, false or a duration", preempt_read, preempt_print,
	                               preempt_schema, preempt_walk };
