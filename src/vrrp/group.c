/* SPDX-License-Identifier: Apache-2.0 */
/* Sync groups: virtual routers of one node that are active together or not at all. Role vrrp. */
#include "base/check.h"
#include "vrrp/machine.h"

static bool has(const uint8_t *states, unsigned n, enum vip_state state)
{
	for (unsigned i = 0; i < n; i++) {
		if (states[i] == state)
			return true;
	}
	return false;
}

uint8_t vrrp_group_follow(const uint8_t *states, unsigned n, unsigned changed, uint8_t before)
{
	enum vip_state to = states[changed];

	CHECK(changed < n);
	if (to == VIP_BACKUP && before == VIP_OUT && has(states, n, VIP_ACTIVE))
		to = VIP_ACTIVE;
	if (has(states, n, VIP_OUT))
		to = VIP_BACKUP;
	for (unsigned i = 0; i < n; i++) {
		if (states[i] != VIP_OUT && states[i] != to)
			return (uint8_t)to;
	}
	return VIP_STATES;
}

bool vrrp_group_held(const struct vrrp_machine *const *members, unsigned n, unsigned which,
                     uint64_t now)
{
	for (unsigned i = 0; i < n; i++) {
		if (i != which &&
		    (members[i]->state == VIP_OUT || vrrp_machine_content(members[i], now)))
			return true;
	}
	return false;
}

struct vrrp_health vrrp_group_health(const struct vrrp_health *members, unsigned n)
{
	struct vrrp_health worst = { .weight = 0 };

	for (unsigned i = 0; i < n; i++) {
		worst.low |= members[i].low;
		worst.release |= members[i].release;
		worst.weight = MAX(worst.weight, members[i].weight);
	}
	return worst;
}
