/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image: a configuration as one block of bytes in which every pointer is an offset, made and
 * mapped by the walk (walk.h), in a memory file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/walk.h"

#define IMAGE_MAX  (512ULL * 1024 * 1024)
#define IMAGE_SEED 0x686f6c6466617374ULL

static const char image_magic[8] = "hfconf1";

struct image_header {
	char magic[8];
	uint64_t size;     /* of everything */
	uint64_t checksum; /* of what follows the header */
	uint64_t layout;   /* of the structs and rows that made it */
	uint64_t unused[4];
};

static uint64_t layout_rows(uint64_t h, const struct rows *rows)
{
	h = hash_bytes(h, &rows->size, sizeof(rows->size));
	for (const struct row *r = rows->v; r->name; r++) {
		uint32_t numbers[] = { r->offset, r->with, r->flags };

		h = hash_bytes(h, r->name, strlen(r->name));
		h = hash_bytes(h, r->type->name, strlen(r->type->name));
		h = hash_bytes(h, numbers, sizeof(numbers));
		for (unsigned i = 0; r->choices && r->choices[i]; i++) {
			h = hash_bytes(h, r->choices[i], strlen(r->choices[i]));
		}
		if (r->sub) {
			h = layout_rows(h, r->sub);
		}
	}
	return h;
}

/* Differs for programs whose images differ in their layout. */
static uint64_t layout(void)
{
	size_t sizes[] = { sizeof(struct conf),
		           sizeof(struct conf_error_page),
		           sizeof(struct conf_match_header),
		           sizeof(struct net_addr),
		           sizeof(struct net_cidr),
		           sizeof(struct conf_sni_route),
		           sizeof(struct conf_vip_address),
		           sizeof(struct conf_vip_node) };

	return layout_rows(hash_bytes(IMAGE_SEED, sizes, sizeof(sizes)), &schema_root);
}

static uint64_t checksum(const char *base, size_t size)
{
	return hash_bytes(IMAGE_SEED, base + sizeof(struct image_header),
	                  size - sizeof(struct image_header));
}

static void walk_conf(struct walk *w, struct conf *c)
{
	w->pos = sizeof(struct image_header) + sizeof(*c);
	walk_rows(w, &schema_root, c);
	w->pos = walk_align(w->pos);
}

int image_pack(struct conf_loaded *l)
{
	struct walk w = { .mode = WALK_MEASURE };
	struct image_header *h;
	struct conf *c;

	l->conf.hash = 0;
	walk_conf(&w, &l->conf);
	w = (struct walk){ .mode = WALK_PACK, .base = calloc(1, w.pos), .size = w.pos };
	if (!w.base) {
		return ERR_NOMEM;
	}
	h = (struct image_header *)w.base;
	c = (struct conf *)(h + 1);
	memcpy(c, &l->conf, sizeof(*c));
	walk_conf(&w, c);
	CHECK(w.pos == w.size);
	memcpy(h->magic, image_magic, sizeof(h->magic));
	h->size = w.size;
	h->layout = layout();
	c->hash = l->conf.hash = checksum(w.base, w.size);
	h->checksum = checksum(w.base, w.size);
	l->image = w.base;
	l->image_size = w.size;
	return OK;
}

int conf_image_write(const struct conf_loaded *l, int *ret_fd)
{
	int fd = memfd_create("holdfast-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	while (done < l->image_size) {
		ssize_t n = write(fd, (const char *)l->image + done, l->image_size - done);

		if (n <= 0) {
			close(fd);
			return ERR_SYSTEM;
		}
		done += (size_t)n;
	}
	(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	*ret_fd = fd;
	return OK;
}

/*
 * A private copy of the file, which its writer can no longer change under our hands. A copy into
 * memory that is there at once costs a third of mapping the file and touching each page.
 */
static int get_bytes(int fd, size_t size, char **ret)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	size_t done = 0;

	if (p == MAP_FAILED) {
		return ERR_SYSTEM;
	}
	while (done < size) {
		ssize_t n = pread(fd, p + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			munmap(p, size);
			return n < 0 ? ERR_SYSTEM : ERR_INVALID;
		}
		done += (size_t)n;
	}
	*ret = p;
	return OK;
}

static bool is_consistent_vip(const struct conf *c, const struct conf_vip *v)
{
	for (uint32_t i = 0; i < v->nnodes; i++) {
		if (v->nodes[i].node >= c->nnodes) {
			return false;
		}
	}
	for (uint32_t i = 0; i < v->ntrack; i++) {
		const struct conf_track *t = &v->track[i];

		if ((t->kind == CONDITION_POOL && t->index >= c->npools) ||
		    (t->kind == CONDITION_CHECK && t->index >= c->nchecks)) {
			return false;
		}
	}
	return true;
}

static bool is_consistent_tls(const struct conf *c, const struct conf_tls *t)
{
	for (uint32_t i = 0; i < t->ncerts; i++) {
		if (t->certs[i].kind == CERT_ACME && t->certs[i].issuer >= c->nissuers) {
			return false;
		}
	}
	return true;
}

static bool is_consistent_listener(const struct conf *c, const struct conf_listener *l)
{
	for (uint32_t i = 0; i < l->nsni; i++) {
		if (l->sni[i].pool >= c->npools) {
			return false;
		}
	}
	return l->pool == CONF_NO_POOL || l->pool < c->npools;
}

/* What holds between parts of the configuration and no row knows. */
static bool is_consistent(const struct conf *c)
{
	for (uint32_t i = 0; i < c->nroutes; i++) {
		if (c->routes[i].pool >= c->npools) {
			return false;
		}
	}
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (!is_consistent_tls(c, &c->listeners[i].tls) ||
		    !is_consistent_listener(c, &c->listeners[i])) {
			return false;
		}
	}
	for (uint32_t i = 0; i < c->nvips; i++) {
		if (!is_consistent_vip(c, &c->vips[i])) {
			return false;
		}
	}
	return c->self == CONF_NO_NODE || c->self < c->nnodes;
}

int conf_image_map(int fd, struct conf **ret)
{
	struct walk w = { .mode = WALK_MAP };
	struct image_header *h;
	struct conf *c;
	struct stat st;
	int err;

	if (fstat(fd, &st) < 0) {
		return ERR_SYSTEM;
	}
	if (st.st_size < (off_t)(sizeof(*h) + sizeof(*c)) || (uint64_t)st.st_size > IMAGE_MAX) {
		return ERR_INVALID;
	}
	w.size = (size_t)st.st_size;
	err = get_bytes(fd, w.size, &w.base);
	if (err != OK) {
		return err;
	}
	h = (struct image_header *)w.base;
	c = (struct conf *)(h + 1);
	if (memcmp(h->magic, image_magic, sizeof(h->magic)) != 0 || h->size != w.size) {
		err = ERR_INVALID;
	} else if (h->layout != layout()) {
		err = ERR_UNEXPECTED;
	} else if (h->checksum != checksum(w.base, w.size)) {
		err = ERR_INVALID;
	} else {
		walk_conf(&w, c);
		err = w.bad || w.pos != w.size || !is_consistent(c) ? ERR_INVALID : OK;
	}
	if (err != OK) {
		munmap(w.base, w.size);
		return err;
	}
	*ret = c;
	return OK;
}

static struct image_header *header_of(const struct conf *c)
{
	return (struct image_header *)c - 1;
}

void conf_image_unmap(struct conf *c)
{
	if (c) {
		munmap(header_of(c), header_of(c)->size);
	}
}

/* Copies a member to the same place in the file. */
#define COPY(file, c, member) \
	memcpy((file) + ((const char *)&(member) - (const char *)header_of(c)), &(member), \
	       sizeof(member))

static void copy_slots(char *file, const struct conf *c)
{
	COPY(file, c, c->generation);
	COPY(file, c, c->self);
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		COPY(file, c, c->listeners[i].slot);
	}
	for (uint32_t i = 0; i < c->nroutes; i++) {
		COPY(file, c, c->routes[i].slot);
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		COPY(file, c, c->pools[i].slot);
		for (uint32_t k = 0; k < c->pools[i].nservers; k++) {
			COPY(file, c, c->pools[i].servers[k].slot);
		}
	}
	for (uint32_t i = 0; i < c->nchecks; i++) {
		COPY(file, c, c->checks[i].servers[0].slot);
	}
}

int conf_image_seal(int fd, const struct conf *c)
{
	size_t size = header_of(c)->size;
	struct stat st;
	char *file;

	if (fstat(fd, &st) < 0) {
		return ERR_SYSTEM;
	}
	if ((uint64_t)st.st_size != size) {
		return ERR_INVALID;
	}
	file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (file == MAP_FAILED) {
		return ERR_SYSTEM;
	}
	copy_slots(file, c);
	((struct image_header *)file)->checksum = checksum(file, size);
	munmap(file, size);
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0
	           ? ERR_SYSTEM
	           : OK;
}
