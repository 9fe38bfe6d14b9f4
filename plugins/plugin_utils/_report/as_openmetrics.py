# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as OpenMetrics, for Prometheus. What is no metric family of Prometheus' older text format, such as info, is not
used: collectors of files read that one.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from datetime import datetime

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import findings

GUARD = ('host', 'guard')
ACCESS = (*GUARD, 'kind', 'verdict', 'rule')
# What a guard with `stats` cost: a family, the part of the figures that has it, and the number in that
COSTS = (
    ('ebpf_guard_program_runs', 'counter', 'How often a BPF program ran.', (*GUARD, 'program'),
     'programs', lambda one: one['runs']),
    ('ebpf_guard_program_run_time_seconds', 'counter', 'For how long a BPF program ran.', (*GUARD, 'program'),
     'programs', lambda one: one['nanoseconds'] / 1e9),
    ('ebpf_guard_table_entries', 'gauge', 'How many entries a table in the kernel had at the end.', (*GUARD, 'table'),
     'tables', lambda one: one['entries']),
    ('ebpf_guard_table_max_entries', 'gauge', 'How many entries a table in the kernel has room for.', (*GUARD, 'table'),
     'tables', lambda one: one['size']),
    ('ebpf_guard_agent_cpu_seconds', 'counter', "The processor time of the guard's agent.", GUARD,
     'agent', lambda one: one['cpu_seconds']),
    ('ebpf_guard_agent_memory_bytes', 'gauge', "The resident memory of the guard's agent.", GUARD,
     'agent', lambda one: one['memory']),
)
MEANING = re.compile(r'["\\]')


def write(document, output):
    guards, accesses = list(map(_kept, document.rows('guards'))), Counter()
    for (host, guard), counters, _numbers in guards:
        for kind, counts in counters.items():
            accesses[host, guard, kind, 'allowed', None] += counts['allowed']
    for (host, guard, kind, verdict, rule), number in document.folded.counts.items():
        if verdict != 'new':  # which is allowed
            accesses[host, guard, kind, verdict, rule] += number
    sums = {name: Counter() for name in ('new', 'lost', 'outside', 'faults')}
    for key, _counters, numbers in guards:
        for name, counter in sums.items():
            counter[key] += numbers[name]
    run = document.run
    families = [
        ('ebpf_guard_accesses', 'counter', 'Accesses from inside guards, by what became of them.', ACCESS, accesses),
        ('ebpf_guard_new_accesses', 'counter', 'Allowed accesses that the baseline does not have.', GUARD, sums['new']),
        ('ebpf_guard_lost_accesses', 'counter', 'Accesses whose details did not fit.', GUARD, sums['lost']),
        ('ebpf_guard_outside_tasks', 'gauge', 'Tasks that ran outside their guard.', GUARD, sums['outside']),
        ('ebpf_guard_faults', 'gauge', 'What was broken, so that accesses may have passed unseen, or why no report came.',
         GUARD, sums['faults']),
        ('ebpf_guard_outcome', 'gauge', 'The worst that is known of the guard. It is always 1.', (*GUARD, 'mode', 'outcome'),
         {(*key, numbers['mode'], numbers['outcome']): 1 for key, _counters, numbers in guards}),
        ('ebpf_guard_start_time_seconds', 'gauge', 'When the guard came up, by the clock of its host.', GUARD,
         {key: _seconds(numbers['started_at']) for key, _counters, numbers in guards}),
        ('ebpf_guard_run_start_time_seconds', 'gauge', 'When the run began.', (), {(): _seconds(run['started'])}),
        ('ebpf_guard_run_end_time_seconds', 'gauge', 'When the report was written.', (), {(): _seconds(run['ended'])}),
        ('ebpf_guard_run_cut_off', 'gauge', 'Whether the run ended before its last playbook was over.', (),
         {(): int(run['cut_off'])}),
        ('ebpf_guard_run_status', 'gauge', '2 where the run fails for its guards, else 0.', (),
         {(): document.outcome['status']}),
    ]
    for family in families:
        _family(output, *family)
    if any(numbers['measured'] for _key, _counters, numbers in guards):
        for *family, part, number in COSTS:
            _family(output, *family, _measured(document.rows('guards'), part, number))
    output.write(b'# EOF\n')


def _kept(guard):
    """((host, name), counters by kind, numbers) of a guard: the rest may be large."""
    totals = guard['totals'] or {}
    return (guard['host'], guard['name']), {
        kind: counts for kind, counts in (guard.get('counters') or {}).items()
        if isinstance(counts, dict) and counts.get('allowed')
    }, {'new': totals.get('new', 0), 'outside': totals.get('outside', 0), 'lost': findings.lost(guard),
        'faults': len(guard['faults']), 'measured': isinstance(guard.get('stats'), dict), **{key: guard[key] for key in ('mode', 'outcome', 'started_at')}}


def _measured(guards, part, number):
    """{labels: number}; of what a target did not tell as it should, nothing."""
    found = {}
    for guard in guards:
        key, stats = (guard['host'], guard['name']), guard.get('stats')
        told = stats.get(part) if isinstance(stats, dict) else None
        for name, one in {None: told}.items() if part == 'agent' else told.items() if isinstance(told, dict) else ():
            with contextlib.suppress(LookupError, TypeError, ValueError):
                found[key if name is None else (*key, name)] = float(number(one))
    return found


def _seconds(moment):
    try:
        return datetime.fromisoformat(moment.replace('Z', '+00:00')).timestamp()
    except (AttributeError, ValueError):
        return None


def _family(output, name, sort, help_text, labels, samples):
    unit = f'# UNIT {name} seconds\n' if name.endswith('_seconds') else ''
    output.write(f'# TYPE {name} {sort}\n{unit}# HELP {name} {help_text}\n'.encode())
    merged = {}  # labels may differ in what can't be shown alone
    for values, number in samples.items():
        if number is not None:
            told = ','.join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values))
            merged[told] = number + (merged.get(told, 0) if sort == 'counter' else 0)
    for told, number in merged.items():
        output.write(f'{name}{"_total" * (sort == "counter")}{"{" + told + "}" if told else ""} {number}\n'.encode())


def _escaped(value):
    return MEANING.sub(r'\\\g<0>', findings.clip(value))
