/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files into and out of buffers. Blocks on the disk: not for loops that carry traffic. */
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define READ_CHUNK 16384

/* close() that keeps the errno of what went wrong before. */
static void close_quietly(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

static int read_all(struct buf *b, int fd, size_t max)
{
	char chunk[READ_CHUNK];
	size_t total = 0;

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n == 0) {
			return OK;
		}
		if (n < 0) {
			if (errno == EINTR) {
				continue;
			}
			return ERR_SYSTEM;
		}
		total += (size_t)n;
		if (total > max) {
			return ERR_TOO_LARGE;
		}
		buf_add(b, chunk, (size_t)n);
		if (b->failed) {
			return b->max != 0 && b->len + (size_t)n > b->max ? ERR_TOO_LARGE
			                                                  : ERR_NOMEM;
		}
	}
}

int buf_read_file(struct buf *b, const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int err;

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	err = read_all(b, fd, max);
	close_quietly(fd);
	return err;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR) {
				continue;
			}
			return ERR_SYSTEM;
		}
		p += n;
		len -= (size_t)n;
	}
	return OK;
}

/* Makes the new name durable; a folder that cannot be synced is no error. */
static void sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd;

	if (slash == NULL) {
		strcpy(folder, ".");
	} else {
		size_t n = slash == path ? 1 : (size_t)(slash - path);

		if (n >= sizeof(folder)) {
			return;
		}
		memcpy(folder, path, n);
		folder[n] = '\0';
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int buf_write_file(const struct buf *b, const char *path, unsigned mode)
{
	char temporary[PATH_MAX];
	int fd, n;

	if (b->failed) {
		errno = ENOMEM;
		return ERR_SYSTEM;
	}
	n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(temporary)) {
		errno = ENAMETOOLONG;
		return ERR_SYSTEM;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		return ERR_SYSTEM;
	}
	if (write_all(fd, b->p, b->len) < 0 || fchmod(fd, (mode_t)mode) < 0 || fsync(fd) < 0) {
		close_quietly(fd);
		goto fail;
	}
	if (close(fd) < 0 || rename(temporary, path) < 0) {
		goto fail;
	}
	sync_folder(path);
	return OK;
fail:
	n = errno;
	unlink(temporary);
	errno = n;
	return ERR_SYSTEM;
}
