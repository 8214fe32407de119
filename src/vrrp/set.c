/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual routers of this node as a whole: which the configuration wants, and what a reload
 * does to them. Role vrrp, its one thread.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

bool vrrp_wanted_here(const struct conf *c, const struct conf_vip *v)
{
	return c->self != CONF_NO_NODE && conf_vip_node(v, c->self) != NULL;
}

static void relay_for(struct vrrp *v, struct vrrp_instance *i)
{
	if (relay_new(v->loop, v->netlink, i->conf, &i->relay) != OK) {
		i->relay = NULL;
		log_warning("relay", i->name, "connections will not be kept through a handover: %s",
		            strerror(errno));
	}
}

static struct vrrp_instance *add(struct vrrp *v, const struct conf_vip *conf)
{
	struct vrrp_instance *i = vrrp_instance_new(v, conf);

	CHECK(i != NULL); /* some kilobytes, at start or reload */
	relay_for(v, i);
	v->v[v->n++] = i;
	return i;
}

void vrrp_add_all(struct vrrp *v)
{
	for (uint32_t k = 0; k < v->conf->nvips; k++) {
		if (vrrp_wanted_here(v->conf, &v->conf->vips[k])) {
			(void)add(v, &v->conf->vips[k]);
		}
	}
}

struct vrrp_instance *vrrp_instance_of(const struct vrrp *v, struct str name)
{
	for (unsigned k = 0; k < v->n; k++) {
		if (str_eq(str_from(v->v[k]->name), name)) {
			return v->v[k];
		}
	}
	return NULL;
}

void vrrp_remove_at(struct vrrp *v, unsigned at, const char *why)
{
	struct vrrp_instance *i = v->v[at];
	struct vrrp_event e = { .kind = VRRP_EVENT_OUT, .keep = true, .why = why };

	vrrp_instance_step(i, &e);
	v->v[at] = v->v[--v->n];
	vrrp_instance_free(i);
}

/* Before the new configuration counts: what ends ends by the one that it knows. */
void vrrp_end_old(struct vrrp *v, const struct conf *next)
{
	for (unsigned k = v->n; k-- > 0;) {
		struct vrrp_instance *i = v->v[k];
		const struct conf_vip *c = conf_vip_find(next, str_from(i->name));
		struct vrrp_event e = {
			.kind = VRRP_EVENT_OUT,
			.why = "its interface, router id or version has changed in the file",
		};

		if (c == NULL || !vrrp_wanted_here(next, c)) {
			vrrp_remove_at(v, k, "it was taken out of this node's configuration");
		} else if (!vrrp_instance_same(i, c)) {
			vrrp_instance_step(i, &e);
			vrrp_instance_detach(i);
		}
	}
}

/* Those that stay, as they are configured now; then those that are new. */
void vrrp_begin_new(struct vrrp *v)
{
	struct vrrp_addresses all;

	for (unsigned k = 0; k < v->n; k++) {
		struct vrrp_instance *i = v->v[k];
		const struct conf_vip *c = conf_vip_find(v->conf, str_from(i->name));
		bool moved = !vrrp_instance_same_addresses(i, c);

		vrrp_instance_configure(i, c);
		if (moved) {
			if (i->relay != NULL) {
				relay_free(i->relay);
			}
			relay_for(v, i);
			vrrp_held_adapt(i);
		}
	}
	vrrp_addresses_read(v, &all);
	for (uint32_t k = 0; k < v->conf->nvips; k++) {
		const struct conf_vip *c = &v->conf->vips[k];

		if (vrrp_wanted_here(v->conf, c) && vrrp_instance_of(v, c->name) == NULL) {
			vrrp_begin(v, add(v, c), &all);
		}
	}
	vrrp_addresses_free(&all);
}
