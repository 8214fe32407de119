/* SPDX-License-Identifier: Apache-2.0 */
/* The scenarios, for their table. */
#ifndef DRILL_SCENARIO_H
#define DRILL_SCENARIO_H

#include "drill/impl.h"

/* scenario_node.c */
extern const struct drill_scenario drill_node_death;
extern const struct drill_scenario drill_node_freeze;
extern const struct drill_scenario drill_daemon_crash;
extern const struct drill_scenario drill_power_cycle;
/* scenario_order.c */
extern const struct drill_scenario drill_proxy_crash;
extern const struct drill_scenario drill_graceful_stop;
extern const struct drill_scenario drill_switchover;
extern const struct drill_scenario drill_reload;
extern const struct drill_scenario drill_bad_reload;
extern const struct drill_scenario drill_upgrade;
/* scenario_server.c */
extern const struct drill_scenario drill_server_death;
extern const struct drill_scenario drill_server_hang;
extern const struct drill_scenario drill_all_servers_death;
extern const struct drill_scenario drill_flapping_server;
/* scenario_net.c */
extern const struct drill_scenario drill_partition;
extern const struct drill_scenario drill_asymmetric_partition;

#endif
