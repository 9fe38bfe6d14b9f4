# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What the host's distribution calls the packages that a loader needs, and the command that installs them.

Debian and SUSE name the package of a library after its ABI: libbpf0 holds libbpf 0.x, libbpf1 holds 1.x. All others have one
package, libbpf. That a release has the older one stands in the package lists of Debian (11: 0.3) and Ubuntu (22.04: 0.5; 20.04: 0.5
of its updates), and in the build service of openSUSE (Leap 15.4 and SUSE Linux Enterprise 15 SP4: 0.5; both have 1.1 in 15.5). A
release from before libbpf 1.0, which came in 2022, can have no other. `libbpf` stands in Fedora's list, in the base repositories of
RHEL 8 (0.5) and 9 and of what is made of them, in Arch's core and in Alpine's main.
"""

from __future__ import annotations

import os
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files

OS_RELEASE = ('/etc/os-release', '/usr/lib/os-release')  # the second one is the distribution's own, and the first wins

# `older`: {release: its package of libbpf}, where it is not `libbpf`. A release is a code name, or a version where a family has
# no such names. `bcc`: what BCC comes with; `headers`: what it compiles with, of a kernel's release.
Family = namedtuple('Family', 'install libbpf older bcc headers')
FAMILIES = {
    'debian': Family('apt-get install', 'libbpf1', dict.fromkeys(('bullseye', 'chimaera', 'focal', 'jammy'), 'libbpf0'),
                     'python3-bpfcc', 'linux-headers-%s'),
    'fedora': Family('dnf install', 'libbpf', {}, 'python3-bcc', 'kernel-devel-%s'),
    'suse': Family('zypper install', 'libbpf1', dict.fromkeys(('15.3', '15.4'), 'libbpf0'), None, None),
    'arch': Family('pacman -S', 'libbpf', {}, None, None),
    'alpine': Family('apk add', 'libbpf', {}, None, None),
}
# what a distribution calls itself, or those that it is like
KIN = {'ubuntu': 'debian', 'rhel': 'fedora', 'centos': 'fedora', 'opensuse': 'suse', 'sles': 'suse'}
# the release that its packages are of: a derivative has versions and code names of its own, and tells its parent's
RELEASE = ('UBUNTU_CODENAME', 'DEBIAN_CODENAME', 'VERSION_CODENAME', 'VERSION_ID')


def libbpf(paths=OS_RELEASE):
    """The package that holds libbpf."""
    family, release = _distribution(paths)
    return family.older.get(release, family.libbpf) if family else 'libbpf'


def bcc(kernel, family=None, paths=OS_RELEASE):
    """The packages of BCC, and of the headers of a kernel. For a distribution that is not known to have them, Debian's names."""
    its = FAMILIES[family] if family else _distribution(paths)[0]
    if not its or not its.bcc:
        its = FAMILIES['debian']
    return [its.bcc, its.headers % kernel]


def how(package, paths=OS_RELEASE):
    """How to install it, as a sentence."""
    family, _release = _distribution(paths)
    if family:
        return "Install it with '%s %s'." % (family.install, package)
    return 'Install its package, which most distributions call %s.' % package


def _distribution(paths):
    """(its family, None where it is of none that is known; the release that its packages are of)."""
    words = {}
    for line in _text(paths).split('\n'):
        key, _sep, value = line.strip().partition('=')
        words[key] = value.strip('"\'')
    names = [words.get('ID', ''), *words.get('ID_LIKE', '').split()]
    family = next((its for its in map(FAMILIES.get, (KIN.get(name, name) for name in names)) if its), None)
    return family, next((words[key] for key in RELEASE if words.get(key)), None)


def _text(paths):
    return next((files.text(path) for path in paths if os.path.isfile(path)), '')
