# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The outcome of a run in a sentence for people who have never seen a guard, and what has to be said beside it.

It claims no more than the guards can know: what a deployment reached for, and not whether it would have gone on without.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.folded import WAY_OUT
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import NEW, REASONS
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import amount, clip, survival

NAMED, LONGEST = 2, 60  # so many names are in a sentence, each with so many letters; of more, it says how many
# hosts of the outcome for which nobody can say that all is well, and why
IN_DOUBT = {'broken': 'the guard was not whole all the time', 'never_up': 'tasks ran there without the guard meant for them',
            'deserted': 'no task entered the guard', 'missing': 'the guard was up, and its report never came'}
# what a run has beside something worse
BESIDE = {outcome.DRILL: 'Denied in a drill', outcome.WOULD_DENY: 'Only watched, and would be denied'}
UNTOLD = {'up': 'the guard is still up, and has not told yet', 'no_log': 'no_log hides what the guard told'}


class Headline(NamedTuple):
    tone: str  # bad, warn, good or plain
    sentence: str
    beside: list  # sentences


def of(run, result, folded):
    """`result`: the outcome of the document."""
    hosts = {guard.host for guard in folded.guards}
    doubtful = {sort: len(found) for sort, found in result['hosts'].items() if sort in IN_DOUBT and found}
    tone, sentence, beside = _first(run, result, folded, len(hosts), doubtful)
    if result['status']:
        beside = [' '.join([*beside, 'The run fails with exit status 2.'])]
        beside += [f'{because}.' for because in result['reasons'] if not because.startswith(tuple(REASONS.values()))]
    beside += [f'{_on(number, len(hosts))} {IN_DOUBT[sort]}.' for sort, number in doubtful.items()]
    for word, because in UNTOLD.items():
        number = len({guard.host for guard in folded.guards if guard.outcome == word})
        beside += [f'{_on(number, len(hosts))} {because}.'] if number else []
    for sort, said in BESIDE.items():
        found = folded.shown(sort)
        beside += [f'{said}: {_names(found)}.'] if found and tone == 'bad' else []
    new = folded.shown(NEW)
    if new and not sentence.startswith('Something new'):
        beside.append(f'New, because the baseline does not have it: {_names(new)}.')
    if folded.outside:
        beside.append(f'{amount(len(folded.outside.rows), "task")} ran outside the guards, unwatched.')
    if folded.findings.get(WAY_OUT):
        beside.append('Something asked other programs to act for it. What these did, no guard saw.')
    if run['cut_off'] and 'cut off' not in sentence:
        beside.append('The run was cut off, so this is not all that the deployment would have done.')
    return Headline('bad' if result['status'] else tone, sentence, beside)


def _first(run, result, folded, hosts, doubtful):
    """(tone, sentence, what belongs to it) of the worst that is known."""
    denied, drilled, foreseen = (folded.shown(sort) for sort in (outcome.DENIED, outcome.DRILL, outcome.WOULD_DENY))
    if denied or result['hosts']['denied']:
        number = len(result['hosts']['denied']) or _number(denied)
        return 'bad', _circle(denied, number, hosts), ['The guards denied it.']
    if doubtful:
        number = len(set().union(*(result['hosts'][sort] for sort in doubtful)))
        return 'bad', f'Nobody can say what the deployment needed on {_of(number, max(hosts, number))}', []
    if not hosts:
        return _unguarded(run, result)
    if drilled:
        return 'warn', f'The drill took {_names(drilled)} away from {_of(_number(drilled), hosts)}', [
            survival(folded.drills())]
    if foreseen:
        return 'warn', _circle(foreseen, _number(foreseen), hosts), [
            'Nothing was denied, because the guards only watched (mode monitor). In mode enforce this run would fail.']
    new = folded.shown(NEW)
    if new:
        return 'warn', f'Something new: the deployment reached {_names(new)} on {_of(_number(new), hosts)}', [
            'The baseline of the policy does not have it. Somebody should look at it.']
    return _nothing(run, folded, hosts)


def _unguarded(run, result):
    if result['status']:
        return 'bad', 'The run failed, and no guard was up in it', []
    if run['cut_off']:
        return 'warn', 'The run was cut off before any guard was up', []
    if run['check']:
        return 'plain', 'This was a check: nothing was deployed, and no guard was up', []
    return 'plain', 'No guard was up in this run, so nothing was watched', [
        'A guard comes up where a play has the role loopbreak.deploy.ebpf_guard around its tasks.']


def _nothing(run, folded, hosts):
    told = len({guard.host for guard in folded.guards if guard.totals})
    if not told:
        return 'plain', f'The {"guard has" if hosts == 1 else "guards have"} not told anything yet', []
    doubt = folded.outside or folded.findings.get(WAY_OUT)
    until = (' until the run was cut off' if run['cut_off'] else '') + (', as far as the guards saw' if doubt else '')
    counted = 'The host' if told == 1 else f'All {told:,} hosts'
    expected = folded.shown(outcome.EXPECTED)
    if expected:
        return 'warn' if until else 'good', f'{counted} needed nothing but what the policy expects{until}', [
            f'Denied, as expected: {_names(expected)}.']
    beside = [] if told == hosts else [f'Of {hosts:,} guarded hosts, {told:,} told.']
    return 'warn' if until or beside else 'good', f'{counted} needed nothing that the policy denies{until}', beside


def _circle(findings, number, hosts):
    """An outage is what people fear; what was executed has none."""
    if not findings:
        return f'On {_of(number, hosts)} the deployment reached for what the policy denies'
    if any(one.kind == 'exec' for one in findings):
        return f'On {_of(number, hosts)} the deployment did what the policy denies: {_names(findings)}'
    those = _of(number, hosts)
    return f'{those[0].upper()}{those[1:]} might not survive an outage of {_names(findings)}'


def _names(findings):
    """Those of most hosts; a service where the rule follows from a service map."""
    found = list(dict.fromkeys(one.rule.partition(':')[2].replace('+', ' and ') if (one.rule or '').startswith('service:')
                               else one.what for one in findings))
    found = [clip(name, LONGEST) for name in found]
    left = len(found) - NAMED
    if left <= 0:
        return ' or '.join(found)
    return f'{", ".join(found[:NAMED])} or {amount(left, "other")}'


def _number(findings):
    return len(set().union(*(one.hosts for one in findings)))


def _of(number, hosts):
    return 'the host' if hosts == 1 else f'all {hosts:,} hosts' if number == hosts else f'{number:,} of {hosts:,} hosts'


def _on(number, hosts):
    return f'On {_of(number, hosts)}'
