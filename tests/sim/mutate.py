#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""mutate.py NAME FILE OUT: a copy of src/vrrp/machine.c or group.c with one decision gone wrong, to
show that the simulation notices. Each mutation is a text that occurs once and what takes its place.
"""
import sys

MUTATIONS = {
    "no_skew": ("return (256 - (uint64_t)m->priority) * of / 256;", "return 0 * of;"),
    "deaf_to_zero": (
        "m->preempt_at = 0;\n\t\tm->down_at = e->now + vrrp_skew_ns(m);",
        "m->preempt_at = 0;\n\t\tm->down_at = e->now + vrrp_master_down_ns(m);"),
    "stubborn_tie": ("(e->priority == own && !e->from_larger)", "e->priority == own"),
    "own_interval": ("return m->rules.version == 2 ? own_interval(m)", "return true ? own_interval(m)"),
    "silent_winner": (
        "unsigned todo = VRRP_DO_ADVERTISE;\n\n\tm->adver_at = e->now + own_interval(m);",
        "unsigned todo = 0;\n"),
    "always_preempts": ("return !m->rules.preempt || m->yielded;", "return false;"),
    "never_preempts": ("if (priority >= m->priority)\n\t\treturn true;", "if (true)\n\t\treturn true;"),
    "forgets_to_yield": ("return !m->rules.preempt || m->yielded;", "return !m->rules.preempt;"),
    "leaves_unwell_ones": (
        "if (in_band(m, priority) && !in_band(m, m->priority))\n\t\treturn false;", ""),
    "no_delay": ("return e->now < m->preempt_at;", "return false;"),
    "fights_after_sleep": ("if (!slept || m->slept) {", "if (true) {"),
    "goes_silently": (
        "return VRRP_DO_RELEASE | VRRP_DO_REMOVE | VRRP_DO_RELAY | VRRP_DO_TRANSITION;",
        "return VRRP_DO_REMOVE | VRRP_DO_RELAY | VRRP_DO_TRANSITION;"),
    "keeps_the_timer": (
        "m->active_interval_cs = e->interval_cs;\n\tm->down_at = e->now + vrrp_master_down_ns(m);",
        "m->active_interval_cs = e->interval_cs;\n"),
    "two_intervals": ("return 3 * active_interval(m)", "return 2 * active_interval(m)"),
    "group_holds_nobody": (
        "if (i != which &&", "if (i != which && false &&"),
}


def main():
    name, source, out = sys.argv[1:]
    text = open(source, encoding="utf-8").read()
    before, after = MUTATIONS[name]
    if text.count(before) != 1:
        sys.exit(f"{source}: the text that the mutation {name} replaces occurs "
                 f"{text.count(before)} times, not once: write it anew in tests/sim/mutate.py")
    with open(out, "w", encoding="utf-8") as f:
        f.write(text.replace(before, after))


if __name__ == "__main__":
    main()
