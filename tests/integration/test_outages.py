# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations
import pytest
from names import name_rules
@pytest.mark.parametrize("outage", ["refused","timeout","unresolvable"])
def test_start(controller, fleet, outage):
    import time
    began = time.monotonic()
    guard = controller.call("ebpf_guard", policy=name_rules(mode="drill", outage=outage))["guard"]
    print(outage, guard['enforced'], guard['answered'], guard['load_ms'], time.monotonic()-began)
    print(controller.call("ebpf_guard", state="absent", fail_on_denied=False)["faults"])
