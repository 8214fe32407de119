/* SPDX-License-Identifier: Apache-2.0 */
/* The helper that makes stores of certificates: both sides. */
#include "core/certs_helper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/certs.h"
#include "core/certs_build.h"
#include "core/role_fds.h"
#include "net/sock.h"

#define FD_IMAGE  (ROLE_FD_NUMBER_PARENT + 1)
#define FD_FORMER (ROLE_FD_NUMBER_PARENT + 2)
#define MEMORY    (4ULL << 30) /* bytes of address space */
#define NICE      5
#define MAX_LINES (STORE_MAX_CERTS * 4)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct packet {
	int32_t err;
	uint32_t changed;
	uint32_t nentries;
	uint32_t more;
	uint64_t number;
	uint64_t next_ms;
	char authority[256];
};

/* --- the parent's side ---------------------------------------------------------------------- */

int certs_start(struct helper *j, int image, int former, const char *state_dir)
{
	const char *const argv[] = { "holdfast: certs", "--role", "certs", state_dir, NULL };
	const int fds[] = { image, former };

	return helper_start(j, argv, fds, ARRAY_LEN(fds));
}

static int read_entries(int fd, uint32_t n, struct board_cert **ret)
{
	size_t size = (size_t)n * sizeof(**ret);
	struct stat st;

	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return ERR_NOMEM;
	if (n > MAX_LINES || fstat(fd, &st) != 0 || (uint64_t)st.st_size != size ||
	    pread(fd, *ret, size, 0) != (ssize_t)size)
		return ERR_SYNTAX;
	return OK;
}

static int take(const struct helper *j, uint64_t timeout_ns, struct certs_answer *ret)
{
	struct packet p;
	int fds[3], nfds = 3, err;
	ssize_t n;

	if (!helper_wait(j, timeout_ns))
		return ERR_TIMEOUT;
	n = net_recv_fds(j->fd, &p, sizeof(p), fds, &nfds);
	if (n != (ssize_t)sizeof(p) || nfds != (p.changed ? 3 : 1)) {
		for (int i = 0; n >= 0 && i < nfds; i++)
			close(fds[i]);
		return n == (ssize_t)sizeof(p) && p.err != OK ? p.err : ERR_CLOSED;
	}
	ret->changed = p.changed != 0;
	ret->store = ret->changed ? fds[1] : -1;
	ret->files = ret->changed ? fds[2] : -1;
	ret->number = p.number;
	ret->next_ms = p.next_ms;
	ret->more = p.more;
	ret->nentries = p.nentries;
	p.authority[sizeof(p.authority) - 1] = '\0';
	memcpy(ret->authority, p.authority, sizeof(ret->authority));
	err = p.err == OK ? read_entries(fds[0], p.nentries, &ret->entries) : p.err;
	close(fds[0]);
	return err;
}

void certs_answer_drop(struct certs_answer *a)
{
	if (a->store >= 0)
		close(a->store);
	if (a->files >= 0)
		close(a->files);
	free(a->entries);
	a->store = a->files = -1;
	a->entries = NULL;
	a->nentries = 0;
}

void certs_finish(struct helper *j, uint64_t timeout_ns, struct certs_answer *ret)
{
	*ret = (struct certs_answer){ .store = -1, .files = -1 };
	ret->err = take(j, timeout_ns, ret);
	if (ret->err != OK)
		certs_answer_drop(ret);
	helper_end(j);
}

/* --- the child ------------------------------------------------------------------------------ */

static void confine(void)
{
	prctl(PR_SET_NAME, "holdfast: certs");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	if (!SANITIZED)
		setrlimit(RLIMIT_AS, &(struct rlimit){ MEMORY, MEMORY });
	if (setpriority(PRIO_PROCESS, 0, NICE) != 0)
		errno = 0; /* only less polite */
	alarm(CERTS_TIME);
}

static int entries_file(const struct build *b)
{
	int fd = memfd_create("certs", MFD_CLOEXEC);
	size_t size = b->nentries * sizeof(*b->entries), done = 0;

	while (fd >= 0 && done < size) {
		ssize_t n = write(fd, (const char *)b->entries + done, size - done);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	return fd;
}

/* The whole for the proxy, files of servers alone for check: it has no business with listeners'
 * keys. */
static int write_stores(const struct build *b, uint64_t number, int *ret_store, int *ret_files)
{
	struct store s = { .number = number,
		           .certs = b->certs,
		           .ncerts = b->ncerts,
		           .tickets = b->tickets,
		           .ntickets = b->ntickets,
		           .challenges = b->challenges,
		           .nchallenges = b->nchallenges,
		           .files = b->files,
		           .nfiles = b->nfiles };
	struct store c = { .number = number, .files = b->files, .nfiles = b->files_of_check };
	int err = store_write(&s, ret_store);

	return err == OK ? store_write(&c, ret_files) : err;
}

/* Where the former store already tells what has to be read again: else that is kept, though nobody
 * else needs it. */
static bool stamped_alike(const struct build *b)
{
	const struct store *s = b->former;

	if (b->ncerts != s->ncerts)
		return false;
	for (uint32_t i = 0; i < b->ncerts; i++) {
		if (memcmp(b->certs[i].stamps, s->certs[i].stamps, sizeof(s->certs[i].stamps)) != 0)
			return false;
	}
	return true;
}

static int answer(struct build *b, const struct store *former)
{
	struct packet p = {
		.err = b->err, .nentries = b->nentries, .more = b->more, .next_ms = b->next_ms
	};
	int fds[3] = { -1, -1, -1 };
	unsigned nfds = 1;

	memcpy(p.authority, b->authority, sizeof(p.authority));
	p.number = former ? former->number + 1 : b->now_ms;
	if (p.err == OK)
		p.err = write_stores(b, p.number, &fds[1], &fds[2]);
	fds[0] = entries_file(b);
	if (fds[0] < 0)
		return 3;
	if (p.err == OK && !(former && stamped_alike(b) && store_same(fds[1], FD_FORMER))) {
		p.changed = 1;
		nfds = 3;
	} else if (former) {
		p.number = former->number;
	}
	return net_send_fds(ROLE_FD_NUMBER_PARENT, &p, sizeof(p), fds, (int)nfds) == OK ? 0 : 3;
}

int certs_main(int argc, char **argv)
{
	static struct arena arena;
	struct build b = { .arena = &arena, .now_ms = clock_wall_ms() };
	struct store *former = NULL;
	struct conf *conf;

	if (argc < 1)
		return 2;
	confine();
	if (conf_image_map(FD_IMAGE, &conf) != OK)
		return 3;
	if (store_map(FD_FORMER, &former) != OK)
		former = NULL; /* none, or of another version */
	b.conf = conf;
	b.former = former;
	b.state_dir = argv[0];
	build_all(&b);
	/* The kernel frees everything; exit handlers would only cost time. */
	_exit(answer(&b, former));
}
