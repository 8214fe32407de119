/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lab: the cluster of a file on this machine. One network namespace for each node, one for each
 * address of a pool's server that is not a node's (with a `whoami`), one for clients, which is also
 * the gateway, all on one bridge in a namespace of its own. Everything lives in a process id
 * namespace whose first process is the keeper (keeper.c): when that ends, however it ends, the
 * kernel ends and removes everything else. As an ordinary user it lives in a user namespace as
 * well.
 *
 * The keeper listens on DIR/lab.sock (SOCK_SEQPACKET). One request each connection: a JSON object,
 * for `exec` with three descriptors; one JSON answer, {"ok": true, …} or {"ok": false, "error": …}.
 *
 *   {"do": "status"}
 *     → hosts: [{name, kind: "node"|"server"|"client", addresses: […], interfaces: […], pid (of the
 *       node's parent as the lab sees it), state: "running"|"stopped"|"frozen"|"cut", log, api
 *       ("http://127.0.0.1:PORT" or null), control_socket, state_dir, exit: why it ended}]
 *   {"do": "exec", "host": H, "argv": […], "env": {…}, "cwd": DIR, "terminal": true}
 *   + stdin, stdout, stderr
 *     → answers when the program has ended: status (0 … 255, 128 + signal). env is added to the
 *       environment of `lab up`; cwd is its folder unless given; with terminal, stdin becomes the
 *       program's controlling terminal. When the asker goes away, the program is ended.
 *   {"do": "fault", "host": H, "fault": F, …}   → at_ns: CLOCK_MONOTONIC when it was in force
 *     cut, mend            the host's link to the bridge down, up again
 *     kill                 SIGKILL to every process of the host (a node: daemon, roles, checks)
 *     kill-role            SIGKILL to one role, {"role": "proxy"}; "parent" is the daemon itself
 *     freeze, thaw         SIGSTOP, SIGCONT to every process of the host
 *     terminate            SIGTERM to the node's parent
 *     start                starts what `lab up` started in it (a node, a whoami) and has ended
 *     block, pass          frames that the host sends to the host {"to": H2} are dropped, or no
 *                          more; pass without "to": to all hosts
 *     pass-all             takes every cut, block and freeze of every host back; no "host"
 *   {"do": "down"}         → answers before it ends
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <jansson.h>

#include "base/buf.h"

struct lab_options {
	const char *conf_path;
	const char *name;   /* NULL: the cluster's name in the file, else "lab" */
	const char *dir;    /* NULL: /run/holdfast-lab/NAME, or $XDG_RUNTIME_DIR/…, or
	                       /tmp/holdfast-lab-UID/… */
	const char *binary; /* of holdfast, NULL: this one */
	bool bare;       /* hosts, links and test servers only: nothing is started in the nodes */
	bool foreground; /* stays, ends with the terminal */
	const char *const
	    *run_args; /* further arguments of `holdfast run`; ends with NULL; may be NULL */
	/* Called when it is ready, before `foreground` stays; may be NULL. */
	void (*ready)(const char *dir, void *arg);
	void *arg;
};

/* Builds and starts it; returns when every node answers on its control socket (not bare), or with
 * why. Prints progress when longer than two seconds. 0 or the exit status. */
int lab_up(const struct lab_options *o);

#define LAB_DIR 96 /* of a lab's folder; sockets lie in it */

/* The folder of a running lab. OK, or ERR_NOT_FOUND with why. name, dir: NULL for the only one. */
int lab_find(const char *name, const char *dir, char *out, size_t size, char *why, size_t why_size);

/* Asks a lab; fds (may be NULL) are three. *ret_answer is the caller's, also when "ok" is false.
 * OK, ERR_REFUSED ("ok" is false; why is its error), ERR_CLOSED (no lab there) with why. */
int lab_ask(const char *dir, const json_t *request, const int fds[3], json_t **ret_answer,
            char *why, size_t why_size);

/* Asks a node for JSON on its control socket, GET path, for at most so long. OK, or ERR_CLOSED (it
 * does not answer), ERR_REFUSED (it answers something else than 200 with JSON). */
int lab_node_get(const char *socket, const char *path, unsigned timeout_ms, json_t **ret);

/* Ends a lab and waits until nothing of it is left; cleans the leftovers of one that was killed. OK
 * or an error with why. */
int lab_down(const char *dir, char *why, size_t why_size);

/* Calls fn for the folder of each lab that runs in the usual place. */
void lab_each(void (*fn)(void *arg, const char *name, const char *dir), void *arg);

/* Runs a program in a host and waits for it: its exit status, or -1 with why. */
int lab_exec(const char *dir, const char *host, const char *const *argv, const int fds[3],
             char *why, size_t why_size);

#endif
