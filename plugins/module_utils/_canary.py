# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What a guard proves itself with: its rules deny these, and a process inside tries to reach them.

In a drill there is one for each outage that the policy uses. Nobody is there: the end of the loopback network, the discard-only prefix, and a top-level domain that never exists.
With the peer the proof may speak, whatever the rules say.
"""

from __future__ import annotations

CANARY4 = '127.255.255.253'
CANARY6 = '100::ebf6'
CANARY_NAME = 'canary.ebpf-guard.invalid'
CANARY_PEER = '127.255.255.252'
# {outage: (IPv4, IPv6, name)}
OUTAGES = {'refused': ('127.255.255.251', '100::ebf7', 'refused.ebpf-guard.invalid'),
           'timeout': ('127.255.255.250', '100::ebf8', 'timeout.ebpf-guard.invalid'),
           'unresolvable': ('127.255.255.249', '100::ebf9', 'unresolvable.ebpf-guard.invalid')}
