# SPDX-License-Identifier: Apache-2.0
"""The second part of the demonstration: two nodes that share an address, with three servers, in a
lab. The active node dies under load and comes back; then drills."""

import os
import struct
import subprocess
import sys
import time

from harness import HOLDFAST, wait_for
from labs import Lab, pair

ADDRESS = "10.77.0.100"
RECORD = struct.Struct("QQHBBHBB40s") # struct drill_record of `holdfast drill-client`
NEW, KEPT = 0, 1
DRILLS = ("proxy-crash", "graceful-stop", "switchover", "reload")
GAP_LIMIT = 1.0 # seconds; a busy machine is slower than an idle one, which needs 0.15


class Client:
    """`holdfast drill-client` in the lab's client host: a new connection every 5 ms, and more."""

    def __init__(self, lab):
        self.path = os.path.join(lab.temp, "samples")
        with open(self.path, "wb") as f:
            self.proc = subprocess.Popen(
                lab.command("client", HOLDFAST, "drill-client", f"{ADDRESS}:80",
                            "--host", "shop.test"), stdin=subprocess.PIPE, stdout=f)

    def samples(self):
        """(due, end, status, kind, error) of every request that has ended so far."""
        with open(self.path, "rb") as f:
            data = f.read()
        size = RECORD.size
        all_of_them = (RECORD.unpack_from(data, i)[:5] for i in range(0, len(data) - size + 1, size))
        return [s for s in all_of_them if s[3] in (NEW, KEPT)]

    def stop(self):
        if self.proc.poll() is None:
            self.proc.stdin.close()
            self.proc.wait(60)


def good(sample):
    return sample[4] == 0 and sample[2] < 500


def longest_gap(samples, start, end):
    """Seconds without a good answer of a new connection, and when that ended."""
    ends = sorted(s[1] for s in samples if s[3] == NEW and good(s) and start < s[1] < end)
    points = [start, *ends, end]
    gap, at = max((b - a, b) for a, b in zip(points, points[1:]))
    return gap / 1e9, at


class Pair:
    def __init__(self, say, live):
        self.say, self.live = say, live
        self.complaints = []
        self.lab = Lab(pair(f"demo{os.getpid()}"))
        self.client = None
        self.fault_at = None

    def expect(self, what, complaint):
        if not what:
            self.complaints.append(complaint)

    def stop(self):
        if self.client:
            self.client.stop()
        self.lab.remove()

    # --- what is seen -------------------------------------------------------------------------

    def well(self):
        if self.lab.holder() != "lb1": # the one with the higher priority
            return False
        for node in ("lb1", "lb2"):
            status = self.lab.status(node)
            if not status or not all(r["ready"] for r in status["roles"]):
                return False
            if not all(s["state"] == "up" for s in status["servers"]):
                return False
        return True

    def node_line(self, node):
        status = self.lab.status(node)
        if not status:
            return f"  {node}  \033[31mdead\033[0m"
        vip = status["virtual_ips"][0]
        servers = ", ".join(f"{s['id'].split('/')[-1]} {s['state']}" for s in status["servers"])
        colour = "32" if vip["state"] == "active" else "0"
        return f"  {node}  \033[{colour}m{vip['state']:8}\033[0m {servers}"

    def frame(self, note):
        now = time.monotonic_ns()
        samples = self.client.samples()
        rate = sum(1 for s in samples if good(s) and s[1] > now - 10**9)
        lines = [f"Holdfast: two nodes share {ADDRESS}; a client asks about 400 times a second", ""]
        lines += [self.node_line("lb1"), self.node_line("lb2"), ""]
        lines += [f"  answers in the last second: {rate}",
                  f"  failed so far: {sum(1 for s in samples if not good(s))}"]
        if self.fault_at:
            gap, _ = longest_gap(samples, self.fault_at, now)
            lines.append(f"  longest time without an answer since the fault: {gap * 1000:.0f} ms")
        print("\033[H\033[J" + "\n".join(lines) + f"\n\nnow: {note}", flush=True)

    def pause(self, seconds, note):
        if not self.live:
            time.sleep(seconds)
            return
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.frame(note)
            time.sleep(0.25)

    # --- what happens -------------------------------------------------------------------------

    def death(self):
        self.lab.up()
        wait_for(self.well, 60, "the pair is well")
        self.client = Client(self.lab)
        active = "lb1"
        self.say(f"two nodes share {ADDRESS}, with three servers, in a lab: {active} holds it")
        self.pause(4 if self.live else 2, "all is well")
        self.say(f"{active} dies: its link is cut and everything on it killed")
        self.fault_at = self.lab.fault("cut", active)
        self.lab.fault("kill", active)
        self.pause(5, f"{active} is dead")
        gap, over = longest_gap(self.client.samples(), self.fault_at, time.monotonic_ns())
        self.say(f"for {gap * 1000:.0f} ms nobody answered; then {self.lab.holder()} did")
        back = time.monotonic_ns()
        self.lab.fault("mend", active)
        self.lab.fault("start", active)
        self.say(f"{active} comes back")
        wait_for(self.well, 60, "all is well again")
        self.pause(4 if self.live else 2, f"{active} is back and holds the address again")
        self.client.stop()
        self.judge(gap, over, back)

    def judge(self, gap, over, back):
        samples = self.client.samples()
        failed = [s for s in samples if not good(s)]
        # Those that were on their way when the node died are lost with it.
        outside = [s for s in failed if s[1] < self.fault_at or over <= s[0]]
        self.say(f"{len(samples)} requests, {len(failed)} failed" +
                 (f", {len(outside)} of them when nothing was broken" if outside else
                  ", all in the time of the death" if failed else ""))
        late = [s for s in failed if s[0] >= back]
        self.expect(not outside, f"{len(outside)} requests failed outside the outage")
        self.expect(not late, f"the return of the node cost {len(late)} requests")
        self.expect(gap <= GAP_LIMIT, f"nobody answered for {gap:.2f} s")
        self.expect(len(samples) > 1000, f"only {len(samples)} requests were sent")

    def drills(self):
        self.say("drills: " + ", ".join(DRILLS))
        sys.stdout.flush()
        done = subprocess.run([HOLDFAST, "drill", *DRILLS, "-c", self.lab.path, "--streams", "5s"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              timeout=300, check=False)
        print("\n" + done.stdout, flush=True)
        self.expect(done.returncode == 0, "a drill did not keep its limits")


def run(say, live):
    """The whole; what was not shown, as a list of sentences."""
    p = Pair(say, live)
    try:
        p.death()
        p.drills()
        return p.complaints
    finally:
        p.stop()
