# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Which run a task belongs to, as a target remembers it of who holds a guard, and whether other runs are over. And what the
report says of the run.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import platform
import re
import secrets

from ansible import constants as C
from ansible import context
from ansible.release import __version__ as ansible_version

CHECKOUTS = ('GITHUB_WORKSPACE', 'CI_PROJECT_DIR', 'WORKSPACE')  # of GitHub Actions, GitLab CI and Jenkins
COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def of(host, guard, tries):
    """The run of this worker process. `host`: the name of the inventory that the guard is for.

    `tries`: it is about to bring this guard up. All later tasks of the run know of that, by a file of the run's own directory.
    """
    pid = os.getppid()  # each task has a worker of its own, which the run's process started
    note = _note(host, guard)
    if tries:
        with open(note, 'wb'):
            pass
    return {
        # a directory that each run makes for itself, with a random name
        'id': '%s %s' % (_machine(), os.path.basename(C.DEFAULT_LOCAL_TMP)), 'host': host,
        'controller': platform.node(), 'machine': _machine(), 'user': _user(), 'playbook': _playbook(),
        'pid': pid, 'started': _started(pid), 'tried': os.path.exists(note), 'over': [], 'running': []}


def keep(host, guard, baseline):
    """Remember for the rest of the run where the baseline of this guard is."""
    with open(_note(host, guard), 'w', encoding='utf-8') as note:
        note.write(baseline or '')


def kept(host, guard):
    """Where it is; None where this run did not bring the guard up, or its policy has none."""
    with contextlib.suppress(OSError):
        with open(_note(host, guard), encoding='utf-8') as note:
            return note.read() or None
    return None


def _note(host, guard):
    return os.path.join(C.DEFAULT_LOCAL_TMP, 'ebpf_guard-' + hashlib.sha256(repr((host, guard)).encode()).hexdigest())


def described():
    """What a report says of the run, but for its times."""
    return {'id': secrets.token_hex(4), 'playbooks': _playbooks(), 'directory': os.getcwd(), 'repository': _repository(),
            'controller': platform.node(), 'user': _user(), 'check': bool(context.CLIARGS.get('check')),
            'ansible': ansible_version, 'collection': _version()}


def _repository():
    """Where the files of the run are kept together: the root of their git repository, or what CI calls it where it made no
    repository of it. Else the working directory.
    """
    here = above = os.getcwd()
    while not os.path.lexists(os.path.join(above, '.git')) and above != os.path.dirname(above):
        above = os.path.dirname(above)
    if os.path.lexists(os.path.join(above, '.git')):
        return above
    given = (os.path.realpath(os.environ[name]) for name in CHECKOUTS if os.environ.get(name))
    return next((root for root in given if (here + os.sep).startswith(os.path.join(root, ''))), here)


def answered(run, asked):
    """The run, with what the target asks for: which of the other runs of this controller are over."""
    over = [one['id'] for one in asked if not _is_running(one)]
    return dict(run, over=over, running=[one['id'] for one in asked if one['id'] not in over])


def _machine():
    """The same for all who see the same processes; a container has its own."""
    try:
        with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as boot:
            return '%s %d' % (boot.read().strip(), os.stat('/proc/self/ns/pid').st_ino)
    except OSError:
        return platform.node()


def _user():
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return 'uid %d' % os.getuid()


def _playbook():
    """The playbooks of the command line; None where the call is alone (ad-hoc)."""
    return ' '.join(_playbooks()) or None


def _playbooks():
    given = context.CLIARGS.get('args')
    return list(given) if isinstance(given, (list, tuple)) else []


def _version():
    """Of the collection: as it is installed, or as its source has it. None where neither tells."""
    try:
        with open(os.path.join(COLLECTION, 'MANIFEST.json'), encoding='utf-8') as manifest:
            return json.load(manifest)['collection_info']['version']
    except (OSError, ValueError, LookupError):
        pass
    try:
        with open(os.path.join(COLLECTION, 'galaxy.yml'), encoding='utf-8') as source:
            return re.search(r'^version: *(\S+)', source.read(), re.MULTILINE)[1]
    except (OSError, ValueError, TypeError):
        return None


def _started(pid):
    """When a process started, in clock ticks since boot; None where nothing tells."""
    try:
        with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as stat:
            fields = stat.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def _is_running(one):
    if one['started'] is not None:
        return _started(one['pid']) == one['started']
    try:
        os.kill(one['pid'], 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
