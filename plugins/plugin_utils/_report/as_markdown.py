# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as Markdown, for merge requests and the summary of a job: what happened in a sentence, then tables.

A text of a target stands in <code>, where a Markdown that knows tables has neither mentions nor emoji. Each character in it
that means something to Markdown or HTML is a character reference, which never has such a meaning.
"""

from __future__ import annotations

import heapq
import itertools
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import spoken
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import findings, remedies
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import TAKEN, survival
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.waits import SURVIVED, seconds

LIMIT = 1_024_000  # bytes: GitHub takes no more of a step
CUT = '\nThe rest is left out, because there is no room for it.\n'
MEANING = re.compile(r'[^\w\s./,=+%?;()"\'-]|_|(?<=www)\.')
CELL = 120  # characters
WORDS = dict(findings.WORDS, guards='guards', outside='tasks outside', lost='without details')
HEADS = ('guards', *findings.WORDS, 'outside', 'lost')  # of the table of sums
OF_GUARD = (*findings.WORDS, 'outside')


def write(document, output):
    _write(lines(document), output, LIMIT)


def append(document, output, before):
    """Append to a file that has so many bytes."""
    _write(itertools.chain(['\n'] if before else [], lines(document)), output, LIMIT - before)


def _write(texts, output, room):
    """As many whole lines as there is room for, so that a table is never cut within a row."""
    room -= len(CUT)
    for text in texts:
        data = text.encode('utf-8')
        if len(data) > room:
            if room >= 0:
                output.write(CUT.encode())
            return
        output.write(data)
        room -= len(data)


def text(value, room=CELL):
    """What a person of the deployment wrote. It has no meaning to Markdown either."""
    return MEANING.sub(lambda found: f'&#{ord(found[0])};', findings.clip(value, room))


def code(value, room=CELL):
    shown = text(value, room)
    return f'<code>{shown}</code>' if shown else ''


def row(cells):
    return f'| {" | ".join(map(str, cells))} |\n'


def table(title, heads, rows, number, room):
    """`rows`: as many as are shown. `number`: how many there are."""
    if number:
        yield f'\n### {title}\n\n'
        if room:
            yield row(heads)
            yield row('---' for _head in heads)
            yield from map(row, rows)
        if number > room:
            yield f'\n{number - room} more not shown (max_rows)\n'


def lines(document):
    room, sums = document.max_rows, findings.sums(document)
    yield from _head(document, sums)
    found, left_out, _counts = document.folded
    yield from table('What was reached', ('what', 'result', 'accesses', 'hosts', 'task', 'rule and reason', 'command', 'owner'),
                     (_finding(document.run, one) for one in found[:room]), len(found), room)
    if left_out:
        yield f'\n{findings.left_out_of(left_out)}\n'
    yield from _drill(document, room)
    yield from table('What was not whole', ('host', 'guard', 'what', 'why'), (
        (code(one.host), code(one.guard), text(one.sort), code(one.text, findings.TEXT_ROOM))
        for one in itertools.islice(_problems(document), room)), _number(_problems(document)), room)
    yield from table('Tasks that ran outside their guard', ('host', 'guard', 'how', 'task'), (
        (code(one['host']), code(one['guard']), text(one['how']), _task(document.run, one['task']))
        for one in itertools.islice(document.rows('outside'), room)), _number(document.rows('outside')), room)
    yield from table('Guards', ('host', 'guard', 'mode', 'result', *map(WORDS.get, OF_GUARD), WORDS['lost']), map(
        _guard, heapq.nsmallest(room, document.rows('guards'), _order)), sums['guards'], room)


def _drill(document, room):
    """What a drill took away from which task, how long the task went on after that, and whether it survived."""
    yield from table('Drill', ('task', 'endpoint and outage', 'hosts', 'waited', 'survived'), (
        (_task(document.run, one['task']), _taken(one['taken']), text(findings.some(one['hosts'])),
         '' if one['waited'] is None else seconds(one['waited']), SURVIVED.get(one['outcome'], ''))
        for one in itertools.islice(document.rows('drill'), room)), _number(document.rows('drill')), room)
    drills = [(guard['waited'], guard['survived']) for guard in document.rows('guards') if (guard['totals'] or {}).get('drill')]
    if drills:
        yield f'\n{survival(drills)}\n'


def _taken(taken):
    more = [f'{len(taken) - TAKEN} more'] if taken[TAKEN:] else []
    return '; '.join([f'{code(one["what"])} {text(one["outage"])}' for one in taken[:TAKEN]] + more)


def _problems(document):
    """Those of guards: what is wrong with the run stands at the top."""
    return (one for one in findings.problems(document) if one.host is not None)


def _number(rows):
    return sum(1 for _row in rows)


def _head(document, sums):
    run, result = document.run, document.outcome
    name = ', '.join(run['playbooks']) or 'an ad-hoc call'
    yield f'## Guards of {code(name)}: {"FAILED" if result["status"] else "passed"}\n\n'
    for reason in result['reasons']:
        yield f'- {text(reason, findings.TEXT_ROOM)}\n'
    if run['cut_off']:
        yield '- the run was cut off before its last playbook was over\n'
    if result['reasons'] or run['cut_off']:
        yield '\n'
    yield row(WORDS[head] for head in HEADS)
    yield row('---:' for _head in HEADS)
    yield row(sums[head] for head in HEADS)
    yield f'\nRun {run["id"]}, {run["started"]} to {run["ended"]}, by {code(run["user"])} on {code(run["controller"])}\n'


def _finding(run, one):
    record = one.record
    reason = '' if one.verdict == 'new' else ': '.join(filter(None, (code(record['rule']), text(record['reason']))))
    runbook = _linked('runbook', record['runbook']) or text(record['runbook'], findings.TEXT_ROOM)
    owner = ' '.join(filter(None, (text(record['owner']), runbook)))
    result = f'**{findings.WORDS[one.verdict]}**' if one.fails else findings.WORDS[one.verdict]
    return (code(one.what), result, one.count, text(findings.some(one.hosts)), _task(run, record['task']), reason,
            ' '.join(filter(None, (code(spoken(record['command'])), _remedy(one.remedy)))), owner)


def _remedy(remedy):
    return f'{_linked("remedy", remedy["url"])}: {code(remedy["switch"])} {text(remedies.effect(remedy))}' if remedy else ''


def _linked(word, address):
    """Nothing where a browser does not open it."""
    link = findings.link(address)
    return f'[{word}]({link.replace("&", "&amp;")})' if link else ''


def _task(run, task):
    if not task:
        return ''
    path, line = findings.where(run, task) if task.get('file') else (None, None)
    return text(task['name']) + (f' ({code(path)}:{line})' if path else '')


def _order(guard):
    """Those come first that told the worst, or nothing."""
    counts = guard['totals'] or {'denied': 1}
    return [-counts.get(verdict, 0) for verdict in findings.WORDS] + [guard['host'], guard['name']]


def _guard(guard):
    counts = guard['totals'] or {}
    return (code(guard['host']), code(guard['name']), code(guard['mode']), text(guard['outcome']),
            *(counts.get(key, '') for key in OF_GUARD), findings.lost(guard))
