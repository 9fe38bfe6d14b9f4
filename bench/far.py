# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard costs bulk TCP to a server far away: packets take their time, and some are lost.

In a virtual machine, because not every kernel can delay and lose packets. Nothing is left to chance there: a packet that is
lost early can double the time of a transfer, and so can what TCP remembers of the one before.
"""

from __future__ import annotations

from guest import WITH, WITHOUT, guest
from report import Row, interleaved
from room import SERVER

ROUNDS = 3
CHUNKS, CHUNK = 100, 65536      # of a transfer
ONE_WAY, LOST = "50ms", 1_000   # a packet of the data in so many
PLAIN, GUARDED = "unguarded", "enforce, 1,000 rules"
WAYS = {PLAIN: WITHOUT, GUARDED: WITH}
# gso_max_segs: else up to 64 KB are one packet. hystart: TCP would take a moment's wait for a full network.
PREPARE = f"""
ip link set lo mtu 1500 gso_max_segs 1
ip address add {SERVER}/32 dev lo
sysctl -qw net.ipv4.tcp_no_metrics_save=1
echo 0 > /sys/module/tcp_cubic/parameters/hystart
systemd-run --quiet --unit=servers /root/servers {SERVER}
tc qdisc add dev lo root netem limit 100000 delay {ONE_WAY}
"""
# The count of the packets begins again
BEGIN = f"""
tc qdisc del dev lo clsact 2> /dev/null || true
tc qdisc add dev lo clsact
tc filter add dev lo ingress protocol ip u32 match ip dport 9 0xffff action pass random determ drop {LOST}
"""


def rows(policy):
    with guest("load", "servers") as machine:
        machine.exec("sh", "-ec", PREPARE)

        def rate(kind, way):
            machine.exec("sh", "-ec", BEGIN)
            told = machine.exec("/root/load", WAYS[way], "0", kind, SERVER, str(CHUNKS), timeout=600)
            return CHUNKS * CHUNK / int(told.stdout) * 1e3      # bytes a ns are GB a s

        with machine.guard(policy):
            return [_row(kind, interleaved({way: lambda way=way, kind=kind: rate(kind, way) for way in WAYS}, ROUNDS,
                                           warm_up=False)) for kind in ("write", "sendfile")]


def _row(kind, rates):
    row = Row(f"bulk TCP with 100 ms of delay and 0.1 % of loss, {kind}", "MB/s", rates)
    row.target(GUARDED, ">=", 0.98)
    return row
