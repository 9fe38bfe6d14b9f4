# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as SARIF 2.1.0, for code scanning: a result for each thing that a task reached and should not have.

Its place is the task's. What has no place in the code, such as a guard that was not whole, is a notification.
"""

from __future__ import annotations

import itertools
from urllib.parse import quote

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import findings
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.spool import encoded

SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json'
HOME = 'https://github.com/loopbreak/loopbreak.deploy'
BASE = '%SRCROOT%'  # of places: the root of the repository
NOTIFICATIONS = 1000
ABOUT = {findings.NEW_RULE: 'The deployment reached something that its baseline does not have.',
         findings.NO_RULE: 'No rule of the policy speaks of it.'}


def write(document, output):
    found, left_out, _counts = document.folded
    rules = _rules(found)
    numbers = {rule['id']: number for number, rule in enumerate(rules)}
    run = document.run
    output.write(encoded({'$schema': SCHEMA, 'version': '2.1.0'})[:-1].encode() + b',"runs":[{')
    for key, value in {
            'tool': {'driver': {'name': 'loopbreak.deploy', 'informationUri': HOME, 'rules': rules,
                                **({'version': run['collection']} if run['collection'] else {})}},
            # of two uploads for a commit, one takes the place of the other where all but the last part of this is the same
            'automationDetails': {'id': '/'.join(['loopbreak', *map(findings.clip, run['playbooks']), run['id']])},
            'originalUriBaseIds': {BASE: {'description': {'text': 'The root of the repository.'}}},
            'columnKind': 'unicodeCodePoints', 'invocations': [_invocation(document, left_out)],
            'properties': {'totals': findings.sums(document), 'leftOut': left_out}}.items():
        output.write(f'{encoded(key)}:{encoded(value)},\n'.encode())
    output.write(b'"results":[')
    for number, one in enumerate(found):
        output.write(b',\n' * bool(number) + encoded(_result(run, one, numbers)).encode())
    output.write(b']}]}\n')


def _rules(found):
    rules = {}
    for one in found:
        record = one.record
        if one.rule in rules:
            continue
        about = ABOUT.get(one.rule) or findings.clip(record['reason']) or one.rule
        rule = rules[one.rule] = {'id': one.rule, 'shortDescription': {'text': about},
                                  'fullDescription': {'text': about}}
        if one.rule in ABOUT:
            continue
        runbook = findings.link(record['runbook'])
        rule.update({'helpUri': runbook} if runbook else {})
        owner = [f'Owner: {findings.clip(record["owner"])}'] if record['owner'] else []
        owner += [f'Runbook: {findings.clip(record["runbook"], 2 * findings.TEXT_ROOM)}'] if record['runbook'] else []
        rule['help'] = {'text': '\n'.join([about, *owner])}
    return list(rules.values())


def level(one):
    if one.fails:
        return 'error'
    return 'note' if one.verdict in findings.HARMLESS else 'warning'


def _result(run, one, numbers):
    path, line = findings.where(run, one.record['task'])
    place = {'physicalLocation': {'artifactLocation': {'uri': quote(path), 'uriBaseId': BASE},
                                  'region': {'startLine': line}}} if path else {}
    return {'ruleId': one.rule, 'ruleIndex': numbers[one.rule], 'level': level(one),
            # "](" would make a link of what a target said
            'message': {'text': one.message.replace('](', '] (')}, **({'locations': [place]} if place else {}),
            # the second is the one that GitHub looks at, and would make of the line in the file
            'partialFingerprints': {'loopbreakAccess/v1': one.fingerprint, 'primaryLocationLineHash': f'{one.fingerprint[:16]}:1'},
            'occurrenceCount': max(1, one.count),
            'properties': {'verdict': one.verdict, 'accesses': one.count, 'hosts': len(one.hosts),
                           'endpoint': one.what}}


def _invocation(document, left_out):
    run = document.run
    problems = list(itertools.islice(findings.problems(document), NOTIFICATIONS))
    notes = [{'level': 'error' if one.fails else 'warning', 'message': {'text': one.message.replace('](', '] (')}}
             for one in problems]
    if left_out:
        notes.append({'level': 'warning', 'message': {'text': findings.left_out_of(left_out)}})
    return {'executionSuccessful': not run['cut_off'], 'exitCode': document.outcome['status'],
            'startTimeUtc': run['started'], 'endTimeUtc': run['ended'], 'toolExecutionNotifications': notes}
