/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once over each file of a corpus folder: the fuzz targets as ordinary tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *dir;

	if (argc != 2 || (dir = opendir(argv[1])) == NULL) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 2;
	}
	while ((e = readdir(dir)) != NULL) {
		struct buf b = BUF_INIT;
		char path[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		if (buf_read_file(&b, path, 16 << 20) == 0) {
			LLVMFuzzerTestOneInput((const uint8_t *)b.p, b.len);
			n++;
		}
		buf_free(&b);
	}
	closedir(dir);
	printf("%u inputs, no crash\n", n);
	return n > 0 ? 0 : 1;
}
