/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vrrp_sim [--seed N] [--steps N] [--world N] [--trace] [--must-fail]: runs worlds (vrrp_world.h)
 * until so many steps of machines are done. A broken rule prints the trace of its world and how to
 * repeat it, and ends with 1; with --must-fail it is the other way round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vrrp_world.h"

struct options {
	uint64_t seed, steps, world;
	bool one, trace, must_fail;
};

static bool parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		uint64_t *number = NULL;

		if (strcmp(argv[i], "--seed") == 0)
			number = &o->seed;
		else if (strcmp(argv[i], "--steps") == 0)
			number = &o->steps;
		else if (strcmp(argv[i], "--world") == 0)
			number = &o->world;
		else if (strcmp(argv[i], "--trace") == 0)
			o->trace = true;
		else if (strcmp(argv[i], "--must-fail") == 0)
			o->must_fail = true;
		else
			return false;
		if (number != NULL) {
			if (++i == argc)
				return false;
			*number = strtoull(argv[i], NULL, 10);
		}
		o->one |= number == &o->world;
	}
	return true;
}

static uint64_t seed_of(const struct options *o, uint64_t number)
{
	return o->seed * 1000003 + number;
}

/* Runs one world; on a broken rule a second time, with its trace. */
static bool run(struct world *w, const struct options *o, uint64_t number)
{
	bool good;

	chaos_make(w, seed_of(o, number), o->trace);
	good = world_run(w);
	world_free(w);
	if (good)
		return true;
	if (o->must_fail)
		return false;
	if (!o->trace) {
		chaos_make(w, seed_of(o, number), true);
		(void)world_run(w);
		world_free(w);
	}
	printf("%s\nto repeat: vrrp_sim --seed %llu --world %llu --trace\n", w->broken,
	       (unsigned long long)o->seed, (unsigned long long)number);
	return false;
}

int main(int argc, char **argv)
{
	struct options o = { .seed = 1, .steps = 1000000 };
	struct world *w = malloc(sizeof(*w));
	uint64_t steps = 0, number;
	bool good = true;

	if (w == NULL || !parse(argc, argv, &o)) {
		fprintf(stderr, "usage: vrrp_sim [--seed N] [--steps N] [--world N] [--trace] "
		                "[--must-fail]\n");
		free(w);
		return 2;
	}
	for (number = o.world; good && (o.one ? number == o.world : steps < o.steps); number++) {
		good = run(w, &o, number);
		steps += w->steps;
	}
	printf("%llu steps in %llu worlds: %s\n", (unsigned long long)steps,
	       (unsigned long long)(number - o.world), good ? "every rule held" : w->broken);
	free(w);
	return good != o.must_fail ? 0 : 1;
}
