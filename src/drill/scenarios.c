/* SPDX-License-Identifier: Apache-2.0 */
/* The table of scenarios. */
#include "drill/scenario.h"

const struct drill_scenario *const drill_scenarios[] = {
	&drill_node_death,
	&drill_node_freeze,
	&drill_proxy_crash,
	&drill_daemon_crash,
	&drill_graceful_stop,
	&drill_switchover,
	&drill_server_death,
	&drill_server_hang,
	&drill_all_servers_death,
	&drill_partition,
	&drill_asymmetric_partition,
	&drill_flapping_server,
	&drill_reload,
	&drill_bad_reload,
	&drill_upgrade,
	&drill_power_cycle,
	NULL,
};

const char *drill_scenario_name(unsigned n, const char **ret_what, const char **ret_where)
{
	const struct drill_scenario *s = drill_scenarios[n];

	if (!s)
		return NULL;
	*ret_what = s->what;
	*ret_where = s->lab_only ? "lab" : s->harmless ? "anywhere" : "--i-know";
	return s->name;
}
