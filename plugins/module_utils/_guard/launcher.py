# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The launcher: a shell script through which tasks enter the guard. Ansible runs it as `launcher -c COMMAND`.

It needs nothing but a POSIX shell's own words. Root writes itself into the cgroup. Anyone else asks the agent, through
a FIFO that only this user may write to, and waits until it sees itself inside. Who does not get inside does not run.
"""

from __future__ import annotations

import shlex

REFUSED = 97  # the exit status of a task that was not run

TEMPLATE = r'''#!/bin/sh
# Runs its arguments as %(shell)s would, inside the guard '%(name)s', or not at all.
inside() {
  while IFS= read -r line; do
    case $line in
      0::%(relative)s | 0::%(relative)s/*) return 0 ;;
    esac
  done < /proc/self/cgroup
  return 1
}

# Without pipelining Ansible shows only what comes on stdout here, with pipelining both.
refuse() {
  for out in 1 2; do
    echo "ebpf_guard: this task was not run, because it could not enter the guard '%(name)s': $1" >&$out
  done
  exit %(refused)d
}

is_root() {
  while read -r key _real effective _rest; do
    [ "$key" = Uid: ] && break
  done < /proc/self/status
  [ "$effective" = 0 ]
}

if ! inside; then
  [ -e %(procs)s ] || refuse "the guard is not up on this host (there is no %(procs)s)."
  if [ -w %(procs)s ]; then
    { echo $$ > %(procs)s; } 2> /dev/null
  elif is_root; then
    refuse "cgroup2 is read-only here, as in a container or a service with ProtectControlGroups=yes, so that root can not join."
  else
    door=
    for candidate in %(doors)s/*; do
      [ -w "$candidate" ] && door=$candidate
    done
    [ -n "$door" ] || refuse "this user may not join it (see join_users), and is not root."
    echo $$ 1<> "$door"
    tries=0
    until inside; do
      tries=$((tries + 1))
      [ $tries -lt 1000 ] || sleep 0.05
      [ $tries -lt 1200 ] || refuse "the guard's agent, which lets this user in, does not answer."
    done
  fi
  inside || refuse "the kernel did not let it in."
fi
%(names)sexec %(shell)s "$@"
'''

# A denied question ends a search of the C library. So where the host has it try the search list first, a name with a
# dot is asked for as it is before: the name itself may be allowed.
AS_IS = '''RES_OPTIONS="${RES_OPTIONS:+$RES_OPTIONS }ndots:1"
export RES_OPTIONS
'''


def script(place, relative, shell, as_is=False):
    """`as_is`: names with a dot are asked for as they are, before the resolver library tries its search list."""
    return TEMPLATE % {'name': place.name, 'relative': relative, 'procs': shlex.quote(place.cgroup + '/cgroup.procs'),
                       'doors': shlex.quote(place.doors), 'shell': shlex.quote(shell), 'refused': REFUSED,
                       'names': AS_IS if as_is else ''}
