/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual IPs on the board: names, and reading while the role writes. Any process. */
#include "stat/vip.h"

#include <sched.h>
#include <string.h>

#include "base/check.h"

const char *const vip_state_name[VIP_STATES] = { "out", "backup", "active" };

#define LABEL(name, label, text)   label,
#define TEXT(name, label, text)    text,
#define SERIES(name, series, help) series,
#define HELP(name, series, help)   help,
const char *const vip_drop_label[VIP_DROPS] = { VIP_DROP_ROWS(LABEL) };
const char *const vip_drop_text[VIP_DROPS] = { VIP_DROP_ROWS(TEXT) };
const char *const vip_counter_series[VIP_COUNTERS] = { VIP_COUNTER_ROWS(SERIES) };
const char *const vip_counter_help[VIP_COUNTERS] = { VIP_COUNTER_ROWS(HELP) };

#define READ_TRIES 100 /* a writer that died in the middle leaves seq odd */

void board_vip_begin(struct board_vip *v)
{
	/* Odd already: an earlier writer died in the middle of it. */
	if ((atomic_load_explicit(&v->seq, memory_order_relaxed) & 1) == 0)
		atomic_fetch_add_explicit(&v->seq, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

void board_vip_end(struct board_vip *v)
{
	atomic_fetch_add_explicit(&v->seq, 1, memory_order_release);
}

bool board_vip_read(struct board_vip *v, struct board_vip *ret)
{
	if (atomic_load_explicit(&v->used, memory_order_acquire) == 0)
		return false;
	for (unsigned i = 0; i < READ_TRIES; i++) {
		uint32_t before = atomic_load_explicit(&v->seq, memory_order_acquire);

		memcpy(ret, v, sizeof(*ret));
		atomic_thread_fence(memory_order_acquire);
		if ((before & 1) == 0 &&
		    atomic_load_explicit(&v->seq, memory_order_relaxed) == before)
			break;
		sched_yield();
	}
	ret->name[sizeof(ret->name) - 1] = '\0';
	ret->addresses[sizeof(ret->addresses) - 1] = '\0';
	ret->interface[sizeof(ret->interface) - 1] = '\0';
	ret->peer[sizeof(ret->peer) - 1] = '\0';
	ret->reason[sizeof(ret->reason) - 1] = '\0';
	ret->nconditions = MIN(ret->nconditions, (uint32_t)BOARD_VIP_CONDITIONS);
	ret->state = MIN(ret->state, (uint8_t)(VIP_STATES - 1));
	return true;
}
