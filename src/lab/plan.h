/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file becomes in the lab: hosts with addresses and interfaces, and the test servers. A pure
 * function of the configuration.
 */
#ifndef LAB_PLAN_H
#define LAB_PLAN_H

#include "base/buf.h"
#include "conf/conf.h"

#define LAB_MAX_NODES      20
#define LAB_MAX_SERVERS    200 /* hosts with test servers */
#define LAB_MAX_WHOAMIS    2000
#define LAB_MAX_SUBNETS    16
#define LAB_MAX_INTERFACES 8 /* of a node */
#define LAB_MAX_ADDRESSES  (LAB_MAX_SUBNETS + 4)
#define LAB_NAME           (CONF_MAX_NAME + 1)
#define LAB_MAX_FOLDERS    32
#define LAB_FOLDER         256

enum lab_kind { LAB_NODE, LAB_SERVER, LAB_CLIENT };

struct lab_address {
	struct net_addr ip; /* port 0 */
	unsigned prefix;
	unsigned interface; /* index in the host's */
};

struct lab_host {
	enum lab_kind kind;
	char name[LAB_NAME];
	char interfaces[LAB_MAX_INTERFACES][16];
	unsigned ninterfaces;
	struct lab_address addresses[LAB_MAX_ADDRESSES];
	unsigned naddresses;
};

struct lab_whoami_plan {
	unsigned host; /* where it runs */
	char name[LAB_NAME];
	struct net_addr bind;
};

struct lab_subnet {
	struct net_cidr net;
	int family;
	unsigned prefix;         /* as its family counts */
	char interface[16];      /* of the nodes; "": their first */
	struct net_addr gateway; /* the client's address in it; family AF_UNSPEC: none was free */
	bool of_vip;
};

struct lab_plan {
	struct lab_host *hosts; /* nodes, servers, the client last */
	unsigned nhosts, nnodes;
	struct lab_whoami_plan *whoamis;
	unsigned nwhoamis;
	struct lab_subnet subnets[LAB_MAX_SUBNETS];
	unsigned nsubnets;
	bool has_control;        /* the file has `control` with a TCP address */
	struct net_addr control; /* where to reach it inside the node */
	/* Folders in which nodes make files, sockets and logs, the shorter paths first: each node
	 * has its own of them. */
	char folders[LAB_MAX_FOLDERS][LAB_FOLDER];
	unsigned nfolders;
	struct buf hosts_file; /* /etc/hosts of every host */
	struct buf notes;      /* what the lab does not do as the file says: lines for people */
};

/* OK; ERR_INVALID with why where the lab cannot hold it; ERR_NOMEM. Free it in any case. */
int lab_plan_make(const struct conf *c, struct lab_plan *ret, char *why, size_t why_size);
void lab_plan_free(struct lab_plan *p);
/* The host with that name; -1. */
int lab_plan_host(const struct lab_plan *p, const char *name);

#endif
