/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine lacks for virtual IPs as they are configured (see role_ops.lacks). Role vrrp at
 * its start, and `holdfast check`. */
#include "base/err.h"
#include "vrrp/impl.h"
#include "vrrp/relay.h"

static bool hands_over(const struct conf *c, uint32_t self)
{
	for (uint32_t i = 0; i < c->nvips; i++) {
		const struct conf_vip *v = &c->vips[i];

		if (v->handover != 0 && v->nnodes > 1 && conf_vip_node(v, self) != NULL) {
			return true;
		}
	}
	return false;
}

void vrrp_lacks(const struct conf *c, uint32_t self, struct buf *out)
{
	struct netlink *n;
	char why[256];

	if (self == CONF_NO_NODE || !hands_over(c, self) || netlink_open(&n) != OK) {
		return;
	}
	/* Who may not try does not know; the role has its rights from the parent. */
	if (relay_supported(n, why, sizeof(why)) == ERR_UNSUPPORTED) {
		buf_printf(out, "established connections will break at a planned handover: %s\n",
		           why);
	}
	netlink_close(n);
}
