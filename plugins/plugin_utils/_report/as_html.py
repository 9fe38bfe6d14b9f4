# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as one page for people: page/page.html.j2, with its style and its script in it, and no request to anywhere.

All that is printed goes through _shown and is escaped, whoever said it. A browser runs no script and takes no style but
these two: it is told their digests.
"""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.parse
from datetime import datetime, timezone

import jinja2
from markupsafe import Markup

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import clean
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import circle, folded, headline, model, text, waits
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import NEW, NOBODY
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.remedies import effect

PAGE = os.path.join(os.path.dirname(__file__), 'page')
HOSTS, HOST = 12, 64  # names of hosts beside a finding, and the letters of one
ROWS = 1500  # guards in the table
OPEN = 3  # findings whose details are open from the start
DRAWN = 600  # px, the width of the time line
AT_FAULT = (outcome.DENIED, outcome.DRILL, outcome.WOULD_DENY)
ON_DEMAND = {NEW: 'New: the baseline does not have it', outcome.EXPECTED: 'Denied, as the policy expects',
             outcome.EARLIER: 'Denied before this run took the guard over', folded.SEEN: 'Observed: allowed, and recorded'}
# how bad the outcome of a guard or of an access looks, and so where a guard stands in the table; all others in between
TONES = {outcome.DENIED: 'bad', 'faulty': 'bad', NOBODY: 'bad', 'left up': 'bad', 'report lost': 'bad', 'gone': 'bad',
         'never up': 'bad', 'clean': 'good', 'up': 'plain', 'no_log': 'plain', outcome.EXPECTED: 'plain',
         outcome.EARLIER: 'plain', folded.SEEN: 'plain', folded.WAY_OUT: 'plain'}
RANKS = ('bad', 'warn', 'plain', 'good')
CAPABILITIES = {'connect': 'connections', 'send': 'datagrams', 'dns': 'DNS questions', 'payload': 'names in TLS and HTTP',
                'unix': 'local sockets', 'lock': 'the lock', 'file': 'files', 'exec': 'execution of programs', 'refused': 'outage: refused',
                'timeout': 'outage: timeout', 'unresolvable': 'outage: unresolvable'}


def write(document, output):
    run, result = document.run, document.outcome
    found = folded.Folded(document.lists())
    style, script = _read('page.css'), _read('page.js')
    head = headline.of(run, result, found)
    chains = circle.chains(found.shown(*AT_FAULT))
    pieces = _template().generate(
        run=run, result=result, found=found, head=head, chains=chains, circle=circle, at_fault=AT_FAULT, on_demand=ON_DEMAND,
        way_out=folded.WAY_OUT, sums=_sums(found), style=style, script=script, style_digest=_digest(style),
        script_digest=_digest(script), guards=_guards(found), time=_time_line(found))
    for piece in pieces:
        output.write(piece.encode('utf-8', 'replace'))


def _template():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, finalize=_shown, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined)
    environment.filters.update(
        hosts=_hosts, tone=lambda word: TONES.get(word, 'warn'), figure=_figure,
        amount=_amount, link=_link, day=_day, clock=_clock, seconds=_seconds, place=folded.place, effect=effect)
    environment.globals.update(OPEN=OPEN, ROWS=ROWS, DRAWN=DRAWN, CAPABILITIES=CAPABILITIES, SHOWN=text.TAKEN,
                               SURVIVED=waits.SURVIVED)
    return environment.get_template('page.html.j2')


def _read(name):
    with open(os.path.join(PAGE, name), encoding='utf-8') as file:
        return Markup(file.read())


def _digest(content):
    return 'sha256-' + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _shown(value):
    """What is printed of a value: no control characters, no marks that turn the direction of text, and never endless."""
    if isinstance(value, Markup):
        return value
    return '' if value is None else text.clip(value, folded.LONGEST)


def _hosts(hosts):
    shown = Markup(', ').join(text.clip(host, HOST) for host in sorted(hosts, key=model.natural)[:HOSTS])
    return shown + f' and {_figure(len(hosts) - HOSTS)} more' if len(hosts) > HOSTS else shown


def _figure(number):
    return f'{number:,}'


def _amount(number, noun):
    return text.amount(number, noun).replace(str(number), _figure(number), 1)


def _link(address):
    """An address that may be followed, else None: javascript: is one, too."""
    try:
        parts = urllib.parse.urlsplit(address or '')
    except ValueError:
        return None
    return address if parts.scheme in ('http', 'https') and parts.netloc and len(address) < folded.LONGEST and (
        clean(address) == address) else None


def _moment(stamp):
    return datetime.fromisoformat(stamp.replace('Z', '+00:00'))


def _day(stamp):
    return f'{_moment(stamp):%Y-%m-%d %H:%M:%S} UTC'


def _clock(stamp):
    """The time of the day of an ISO moment, or of seconds."""
    try:
        moment = _moment(stamp) if isinstance(stamp, str) else datetime.fromtimestamp(stamp, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return ''
    return f'{moment:%H:%M:%S}'


def _seconds(number):
    if number < 60:
        return f'{number:.1f} s'
    minutes, seconds = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {seconds} s'


def _guards(found):
    """The worst first."""
    return sorted(found.guards, key=lambda one: (RANKS.index(TONES.get(one.outcome, 'warn')), model.natural(one.host), one.name))


def _sums(found):
    """Accesses of all guards by outcome, as the table has them: what a drill denied is denied."""
    told = [guard.totals for guard in found.guards if guard.totals]
    sums = {key: sum(totals[key] for totals in told) for key in ('denied', 'would_deny', 'expected', 'seen', 'outside')}
    return dict(sums, denied=sums['denied'] + sum(totals['drill'] for totals in told), new=sum(found.news.values()))


def _time_line(found):
    """When the first task began and the last one ended, and a row for each: (task, spans, bars as a path, marks, how long it waited
    in a drill), the marks of each outcome of denials as (outcome, path, accesses).
    """
    tasks = [(key, task, task.merged(), found.marks.get(key, {})) for key, task in found.tasks.items()
             if task.spans and (task.where or not task.idle)]  # but for those of the role itself
    if not tasks:
        return None
    start, end = min(spans[0][0] for _key, _task, spans, _marks in tasks), max(
        spans[-1][1] for _key, _task, spans, _marks in tasks)
    scale = DRAWN / max(end - start, 0.001)

    def drawn(spans):
        bars = []  # [x, end] in px
        for one, other in spans:
            x = round((one - start) * scale)
            last = max(x + 2, round((other - start) * scale))
            if bars and x <= bars[-1][1]:
                bars[-1][1] = max(bars[-1][1], last)
            else:
                bars.append([x, last])
        return ''.join(f'M{x} 4h{last - x}v8h-{last - x}z' for x, last in bars)

    def marked(marks, spans):
        first, last = spans[0][0], spans[-1][1]
        for sort in sorted(marks):  # the clock of a host may be wrong: what a task did stands in its time
            places = sorted({round((min(max(moment, first), last) - start) * scale) for moment in marks[sort].moments})
            yield sort, ''.join(f'M{place} 0v16' for place in places), marks[sort].accesses

    rows = [(task, spans, drawn(spans), list(marked(marks, spans)), found.waited.get(key))
            for key, task, spans, marks in sorted(tasks, key=lambda row: row[2][0][0])]
    return {'start': start, 'end': end, 'rows': rows}
