/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the process behind a port in /proc: the socket's inode by the port, then the process that
 * has it open. Others' processes can be seen by root only. Parent, when a bind failed. */
#include "core/port_owner.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* States in /proc/net: of TCP, and of UDP. */
#define LISTENS     0x0a
#define UNCONNECTED 0x07

/* Inode of a socket of that state on the port; 0: none found. */
static unsigned long inode_of_port(const char *table, unsigned port, unsigned wanted_state)
{
	FILE *f = fopen(table, "re");
	char line[512];
	unsigned local;
	unsigned state;
	unsigned long inode;
	unsigned long found = 0;

	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f)) {
		if (sscanf(line,
		           " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
		           &local, &state, &inode) == 3 &&
		    local == port && state == wanted_state)
			found = inode;
	}
	fclose(f);
	return found;
}

static bool has_socket(const char *pid, const char *wanted)
{
	char path[64];
	char target[64];
	DIR *dir;
	const struct dirent *e;
	bool found = false;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			found = strcmp(target, wanted) == 0;
		}
	}
	closedir(dir);
	return found;
}

static void describe(const char *pid, char *out, size_t size)
{
	char path[64];
	char name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (f) {
		if (fgets(name, sizeof(name), f))
			name[strcspn(name, "\n")] = '\0';
		fclose(f);
	}
	snprintf(out, size, "%s (pid %.16s) has it", name[0] ? name : "a process", pid);
}

void port_owner(const struct net_addr *a, bool datagrams, int err, char *out, size_t size)
{
	char wanted[64];
	unsigned long inode;
	DIR *proc;
	const struct dirent *e;

	out[0] = '\0';
	if (err == EACCES && a->sa.sa_family != AF_UNIX && net_addr_port(a) < 1024)
		snprintf(out, size, "ports below 1024 need root or CAP_NET_BIND_SERVICE");
	if (err == EADDRNOTAVAIL)
		snprintf(out, size, "no interface of this machine has that address");
	if (err != EADDRINUSE || a->sa.sa_family == AF_UNIX)
		return;
	inode = inode_of_port(datagrams ? "/proc/net/udp" : "/proc/net/tcp", net_addr_port(a),
	                      datagrams ? UNCONNECTED : LISTENS);
	if (!inode)
		inode = inode_of_port(datagrams ? "/proc/net/udp6" : "/proc/net/tcp6",
		                      net_addr_port(a), datagrams ? UNCONNECTED : LISTENS);
	proc = inode ? opendir("/proc") : NULL;
	if (!proc)
		return;
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	while (!out[0] && (e = readdir(proc))) {
		if (isdigit((unsigned char)e->d_name[0]) && has_socket(e->d_name, wanted))
			describe(e->d_name, out, size);
	}
	closedir(proc);
}
