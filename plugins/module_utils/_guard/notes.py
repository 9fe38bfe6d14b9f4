# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What the agent notes for the report: how often it was started again, whom it refused, what the event log lacks."""

from __future__ import annotations

import contextlib
import json
import os
import threading

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import standby
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log, records

SHOWN = 100  # processes that users tried to bring in; who tries more can't fill the log
KINDS = {'pid': int, 'restarts': int, 'gone_seconds': (int, float), 'refused': list, 'unlogged': int, 'why': str,
         'began': (int, float)}


class Notes:
    """The agent's end. They are written at once; where there is no room for them, they are kept, and written later."""

    def __init__(self, place):
        self.place, self.written = place, None
        self.noted, self.lock = none(), threading.Lock()  # who is at the doors is another thread
        self.lived = None  # seconds that the agent served whose place this one takes

    def begin(self, serving, is_restart):
        """Of the agent that serves from now on, and of nobody else: go on with what an earlier one noted. `serving`: its lock."""
        with self.lock:
            earlier, new, now = read(self.place), self.noted, standby.clock()
            self.noted = dict(earlier, pid=os.getpid(), began=now, refused=(earlier['refused'] + new['refused'])[:SHOWN],
                              unlogged=earlier['unlogged'] + new['unlogged'], why=new['why'] or earlier['why'])
            if is_restart:
                last = standby.last_beat(serving)
                self.lived = last - earlier['began']
                self.noted.update(restarts=earlier['restarts'] + 1,
                                  gone_seconds=round(earlier['gone_seconds'] + max(0, now - last), 1))
            self.written = ''
        self.write()

    def refuse(self, uid, pid, owner):
        """Note that a user tried to bring somebody else's process in, each once."""
        with self.lock:
            refused = self.noted['refused']
            if len(refused) >= SHOWN or (uid, pid, owner) in [(one['uid'], one['pid'], one['owner']) for one in refused]:
                return
            refused.append({'time': records.now(), 'uid': uid, 'pid': pid, 'owner': owner, 'command': processes.command_of(pid)})
        why = log.append_refusal(self.place.log, self.place.name, refused[-1])
        if why:
            with self.lock:
                self.noted.update(unlogged=self.noted['unlogged'] + 1, why=why)
        self.write()

    def write(self):
        with self.lock:
            text = json.dumps(self.noted)
            if self.written in (None, text):  # an earlier agent serves still, or nothing is new
                return
            with contextlib.suppress(OSError):  # no room: until the next time
                self.place.write_notes(text)
                self.written = text


def none():
    return {'pid': 0, 'restarts': 0, 'gone_seconds': 0.0, 'refused': [], 'unlogged': 0, 'why': '', 'began': 0}


def read(place):
    """What has been noted, and `damaged` where somebody else has changed it."""
    try:
        with open(place.notes, 'rb') as content:
            found = json.loads(content.read())
        return dict(_checked(found, KINDS), damaged=bool(found.get('damaged')),
                    refused=[_checked(one, log.ATTEMPT) for one in found['refused']])
    except FileNotFoundError:
        return dict(none(), damaged=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return dict(none(), damaged=True)


def _checked(found, kinds):
    """The fields that belong there. Raises ValueError where one is something else."""
    for key, kind in kinds.items():
        if not isinstance(found[key], kind) or kind not in (str, list) and not 0 <= found[key] < 2 ** 53:
            raise ValueError(key)
    return {key: found[key] for key in kinds}


def watched(place):
    """How often the agent ended and was started again, and how long it was gone until now. It may have ended."""
    found, gone = read(place), 0.0
    if not standby.is_held(place.serving):
        with contextlib.suppress(OSError):
            gone = max(0, standby.clock() - standby.last_beat(place.serving))
    return {'restarts': found['restarts'], 'gone_seconds': round(found['gone_seconds'] + gone, 1)}


def damages(place):
    """What the report has to say of it, as sentences."""
    found = read(place)
    if found['damaged']:
        yield ("The notes of the guard's agent, %s, were damaged, so how often it was started again, and whom it refused, may be "
               'lost.' % place.notes)
    if found['restarts']:
        yield ("The guard's agent ended and was started again, %s. It was gone for %.1f seconds. The rules held."
               % ('once' if found['restarts'] == 1 else '%d times' % found['restarts'], found['gone_seconds']))
    if found['unlogged']:
        yield ('The event log %s could not be written while the guard was up: %s. %d %s lost.'
               % (place.log, found['why'], found['unlogged'], 'line is' if found['unlogged'] == 1 else 'lines are'))
