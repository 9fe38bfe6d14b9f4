# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard can do on each supported kernel: one play on all machines, and the table of docs/kernels.md from it."""

from __future__ import annotations

import functools

import pytest
from controller import Controller
from matrix import (
    DENIALS, ERROR, OF_ARM64, OF_KERNELS, OF_USERLANDS, OTHERS, OUTAGES, PAGE, TREE, cell, down, measure, play, policy)

WITHOUT_FILES = ("arm64-6.1",)


@pytest.fixture(scope="module")
def measured(machines, servers, tmp_path_factory):
    return measure(Controller(machines, tmp_path_factory.mktemp("matrix")), play(outages=OUTAGES))


def written(measured, kernels, host):
    """The table and its reasons; raises AssertionError with all that does not hold and is not reported. `host`: its first rows."""
    wrong, lines, reasons = [], list(host), []
    rows = [(row.title, functools.partial(cell, row)) for row in DENIALS]
    rows += [(f"drill, outage: {outage}", functools.partial(down, outage)) for outage in OUTAGES]
    for title, its_cell in rows:
        cells = []
        for kernel in kernels:
            try:
                word, reason = its_cell(measured, kernel)
            except AssertionError as error:
                wrong.append(str(error))
                continue
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"{word} ({reasons.index(reason) + 1})" if reason else word)
        lines.append((title, *cells))
    for title, check in OTHERS.items():
        wrong += [f"{title}, Linux {kernel}: {said}" for kernel in kernels
                  if (said := check(measured, kernel)) is not True]
        lines.append((title, *("yes" for _kernel in kernels)))
    lines.append((ERROR, *(measured.tried("ENFORCE", kernel)["tcp4"] for kernel in kernels)))
    assert not wrong, "\n".join(wrong)
    text = "".join(f"| {' | '.join(line)} |\n" for line in (("what", *kernels), ("---",) * (len(kernels) + 1), *lines))
    return text + "".join(f"\n({number}) {reason}\n" for number, reason in enumerate(reasons, 1))


def compare(machines, measured, table, host=()):
    """With the table of the docs, which is written anew where it says something else."""
    found, around = written(measured, list(machines), host), table.around
    before, _marker, rest = PAGE.read_text().partition(around[0])
    stands, _marker, after = rest.partition(around[1])
    if found != stands.partition("\nMeasured with ")[0]:
        releases = ", ".join(machine.image.release for machine in machines.values())
        PAGE.write_text(f"{before}{around[0]}{found}\nMeasured with {releases}.\n{around[1]}{after}")
        pytest.fail(f"{PAGE} did not say what the kernels do. It does now: look at the difference, and commit it if "
                    f"it is right.\n--- it said\n{stands}\n--- now\n{found}")


def test_the_table_of_the_docs_is_what_the_kernels_do(machines, measured):
    compare(machines, measured, OF_KERNELS)


def test_the_table_of_the_docs_is_what_the_kernels_do_on_arm64(arm64, tmp_path):
    """What a kernel can't deny there, the first policy leaves out: it would be refused, as at last."""
    paths = {kernel: () if kernel in WITHOUT_FILES else (TREE,) for kernel in arm64}
    controller = Controller(arm64, tmp_path)
    compare(arm64, measure(controller, play(paths=paths, outages=OUTAGES)), OF_ARM64)
    results, run = controller.adhoc("ebpf_guard", {"policy": policy("enforce")}, ":".join(WITHOUT_FILES), ANSIBLE_TIMEOUT="120")
    run.ended(2)
    for kernel in WITHOUT_FILES:
        assert "The rules on files ('paths') can not be enforced on this host: this kernel can't have BPF programs answer for " \
            "its security hooks (Operation not supported)" in results[kernel]["msg"]


@pytest.mark.large
def test_the_table_of_the_docs_is_what_debians_releases_do(userlands, tmp_path):
    """And what the doctor says of each is what a guard then does there."""
    controller = Controller(userlands, tmp_path)
    results, run = controller.adhoc("ebpf_guard_info", {"capabilities": True}, "all", timeout=1800, ANSIBLE_TIMEOUT="120")
    run.ended(0)
    measured = measure(controller, play(outages=OUTAGES))
    for name, told in results.items():
        assert told["capabilities"] == {**measured.enforced(name), "lock": told["capabilities"]["lock"]}, (name, told)
    hosts = [results[name] for name in userlands]
    values = ([told["host"]["libbpf"] for told in hosts], [told["host"]["python"] for told in hosts], [told["able"] + " able" for told in hosts])
    compare(userlands, measured, OF_USERLANDS, [(title, *row) for title, row in zip(OF_USERLANDS.host, values)])
