# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The launcher: a shell script through which tasks enter the guard. Ansible runs it as `launcher -c COMMAND`.

It needs nothing but a POSIX shell's own words, and cat where tasks are refused. Root writes itself into the cgroup. Anyone
else asks the agent, through a FIFO that only this user may write to, and waits until it sees itself inside. Who does not get
inside does not run.

Who is refused gets an answer that Ansible takes for the result of the task's module. So the task fails, with a sentence.
Without one, Ansible would call the host unreachable, and `always` would not run.
"""

from __future__ import annotations

import json
import shlex

from ansible_collections.loopbreak.deploy.plugins.module_utils import _said
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import company, standby

REFUSE = r'''
# Only letters of which no shell makes anything but a word.
plain() {
  case $1 in
    '' | *[!A-Za-z0-9_./:=,+@%%-]*) return 1 ;;
  esac
}

# Ansible's own preparations find the home directory, or make, hand over and remove a temporary directory. They may pass,
# so that Ansible comes as far as the task. Each is compared as a whole: nothing else is in it, but for a pause at the end
# before ansible-core 2.21.
prepares() {
  [ $# -eq 2 ] && [ "$1" = -c ] || return 1
  end=' && sleep 0' start='( umask 77 && mkdir -p "` echo ' name='`" && echo ' silent=' > /dev/null 2>&1'
  set -f
  asked=${2%%"$end"}
  case $asked in
    "$start"*)
      base=${asked#"$start"}
      base=${base%%%%' `"'*}
      name=${asked##*"$name"}
      name=${name%%%%=*}
      made="\"\` echo ${base%%/}/$name \`\""
      case $name in
        */*) return 1 ;;
        ansible-tmp-*)
          plain "$base" && plain "$name" && [ "$asked" = "$start$base \`\"&& mkdir $made && echo $name=$made )" ] ;;
        *) return 1 ;;
      esac
      return ;;
    'echo ~') return ;;
    'echo ~'*)
      plain "${asked#'echo ~'}"
      return ;;
    'rm -f -r '*"$silent") asked=${asked%%"$silent"} ;;
    'chmod '* | 'chown '* | 'chgrp '* | 'setfacl -m '*) ;;
    *) return 1 ;;
  esac
  # shellcheck disable=SC2086 # it is to become words
  set -- $asked
  case $1 in
    rm | setfacl) shift ;;
  esac
  shift
  plain "$1" && [ $# -gt 1 ] || return 1
  shift
  for word; do
    plain "$word" || return 1
    case $word in
      */..* | [!/]*) return 1 ;;
      */ansible-tmp-*) ;;
      *) return 1 ;;
    esac
  done
}

# Who becomes another user waits for a mark in the command, and sends nothing before it.
marked=
mark() {
  case $1 in
    *BECOME-SUCCESS-*)
      [ -n "$marked" ] || { marked=${1#*BECOME-SUCCESS-} && printf '%%s\n' "BECOME-SUCCESS-${marked%%%%[!a-z]*}"; } ;;
  esac
}

# A module that comes from standard input is read to its end. Else Ansible, which still sends it, may call the host unreachable.
swallow() {
  program=${1%%%%' && sleep 0'}
  program=${program%%%%"'"}
  case ${program##*[ /]} in
    *python*) [ -t 0 ] || cat > /dev/null ;;
  esac
}

# For a person the sentence, and then the task's result: with a terminal Ansible reads both, and warns of what is behind the
# result.
refuse() {
  answer=$1 sentence=$2
  shift 2
  if prepares "$@"; then
    exec %(shell)s "$@"
  fi
  printf '%%s\n' "$sentence" >&2
  mark "${2-}"
  printf '%%s\n' "$answer"
  swallow "${2-}"
  exit %(refused)d
}
'''

ENTER = r'''#!/bin/sh
# Runs its arguments as %(shell)s would, inside the guard '%(name)s', or not at all.
inside() {
  while IFS= read -r line; do
    case $line in
      0::%(relative)s | 0::%(relative)s/*) return 0 ;;
    esac
  done < /proc/self/cgroup
  return 1
}
%(refuse)s
# What the module ansible.builtin.reboot sends, also as another user.
reboots() {
  end=' && sleep 0' mark=' ; '
  case ${2-} in
    'echo BECOME-SUCCESS-'*"$mark"*) asked=${2#*"$mark"} ;;
    *) asked=${2-} asked=${asked%%"$end"} ;;
  esac
  program=${asked%%%% *}
  case ${program##*/}${asked#"$program"} in
    'shutdown -r '* | reboot | 'reboot '* | 'systemctl reboot' | 'systemctl reboot '*) return 0 ;;
  esac
  return 1
}

if reboots "$@"; then
  echo %(reboot)s >&2
  exit %(refused)d
fi
# Nothing runs in there then, and this would not come back.
frozen() {
  { read -r asked < %(cgroup)s/cgroup.freeze; } 2> /dev/null && [ "$asked" = 1 ] && return 0
  while read -r key value; do
    [ "$key $value" = 'frozen 1' ] && return 0
  done < %(cgroup)s/cgroup.events
  return 1
}

# In $uid, who this is.
ask_uid() {
  while read -r key _real uid _rest; do
    [ "$key" = Uid: ] && return
  done < /proc/self/status
}
# As in a container.
is_read_only() {
  while read -r _device _point kind options _rest; do
    case $kind:$options in
      cgroup2:ro | cgroup2:ro,*) return 0 ;;
    esac
  done < /proc/self/mounts
  return 1
}
# With what the security module calls this process, for whom it may have denied what it needs. That is text of somebody else.
refuse_label() {
  label=
  { read -r label < /proc/self/attr/current; } 2> /dev/null
  case $label in
    '' | *[!A-Za-z0-9_./:,\ \(\)-]*) label=unknown ;;
  esac
  answer=${1%%%%@label*}$label${1#*@label} sentence=${2%%%%@label*}$label${2#*@label}
  shift 2
  refuse "$answer" "$sentence" "$@"
}
# The agent, or its standby, is at work.
attended() {
  read -r _pid < %(desk)s
} 2> /dev/null

# All of them, and at least one.
all_plain() {
  [ $# -gt 0 ] || return 1
  for word; do
    plain "$word" || return 1
  done
}

# How another user is become: a program with options, of which one has a word behind it.
becomes() {
  case $1 in
    sudo | */sudo | doas | */doas) shift ;;
    *) return 1 ;;
  esac
  all_plain "$@" || return 1
  option=
  for word; do
    case $word in
      -*) ;;
      *) [ "$option" = -u ] || return 1 ;;
    esac
    option=$word
  done
}

# Ansible's question how a job is doing that began before: its module async_status, as a file or from standard input. What was
# read of that stands in `polled`. Who becomes another user comes here twice, and the second time tells.
polls() {
  polled=
  [ $# -eq 2 ] && [ "$1" = -c ] || return 1
  launcher=%(launcher)s
  asked=${2%%%%' && sleep 0'} again=" $launcher -c 'echo BECOME-SUCCESS-" prompt='-p "[sudo via ansible, key='
  set -f
  case $asked in
    *"$again"*" ; "*"'")
      before=${asked%%%%"$again"*} rest=${asked#*"$again"}
      case $before in
        *"$prompt"*'] password:" '*) before="${before%%%%"$prompt"*} ${before#*'] password:" '}" ;;
      esac
      # shellcheck disable=SC2086 # these are to become words
      becomes $before && all_plain ${rest%%%%' ; '*} && rest=${rest#*' ; '} && all_plain ${rest%%"'"} || return 1
      set +f
      return ;;
    'echo BECOME-SUCCESS-'*' ; '*) asked=${asked#*' ; '} ;;
  esac
  whole=$2 question=$asked
  # shellcheck disable=SC2086 # it is to become words
  set -- $asked
  set +f
  all_plain "$@" || return 1
  while case ${1-} in [A-Za-z_]*=*) ;; *) false ;; esac; do
    shift
  done
  case $#:${1-} in
    1:*python*) [ ! -t 0 ] || return 1 ;;
    2:*python*)
      case $2 in
        /*/ansible-tmp-*/AnsiballZ_async_status.py) return 0 ;;
      esac
      return 1 ;;
    *) return 1 ;;
  esac
  mark "$whole"
  polled=$(cat)
  # outside of a module's arguments, where each of these quotes has a backslash
  case $polled in
    *"module_fqn='ansible.modules.async_status',"* | *"run_module(mod_name='ansible.modules.async_status', "*) ;;
    *) return 1 ;;
  esac
}

# Something was denied, and the policy says on_denied: stop.
polled=
if [ -e %(flag)s ] && { IFS= read -r answer && IFS= read -r sentence; } 2> /dev/null < %(flag)s; then
  polls "$@" || refuse "$answer" "$sentence" "$@"
fi

if ! inside; then
  [ -e %(procs)s ] || refuse %(no_cgroup)s "$@"
  frozen && refuse %(frozen)s "$@"
  if [ -w %(procs)s ]; then
    attended || [ ! -e %(code)s ] || (%(revive)s < /dev/null > /dev/null 2>&1 &)
    { echo $$ > %(procs)s; } 2> /dev/null
  else
    ask_uid
    door=%(doors)s/$uid tries=0
    if [ "$uid" = 0 ]; then
      is_read_only && refuse %(read_only)s "$@"
      refuse_label %(not_let_in)s "$@"
    elif ! [ -w "$door" ]; then
      [ -e "$door" ] || refuse %(no_door)s "$@"
      refuse_label %(closed_door)s "$@"
    fi
    until inside; do
      case $tries in  # more than once: an agent that has ended may have been asked
        0 | 1002 | 1005 | 1010 | 1020 | 1040 | 1080) echo $$ 1<> "$door" ;;
      esac
      [ $tries -lt 1040 ] || attended || refuse %(no_agent)s "$@"
      tries=$((tries + 1))
      [ $tries -lt 1000 ] || sleep 0.05
      [ $tries -lt 1200 ] || refuse %(silent_agent)s "$@"
    done
  fi
  inside || refuse_label %(not_let_in)s "$@"
fi
%(names)s[ -z "$polled" ] || exec %(shell)s -c "$question" << POLLED
$polled
POLLED
exec %(shell)s "$@"
'''

# What stays in the launcher's place when the guard ends while tasks may still come.
TOMBSTONE = r'''#!/bin/sh
# The guard '%(name)s' is no more. Nothing runs here.
%(refuse)s
refuse %(gone)s "$@"
'''

# A denied question ends a search of the C library. So where the host has it try the search list first, a name with a
# dot is asked for as it is before: the name itself may be allowed.
AS_IS = '''RES_OPTIONS="${RES_OPTIONS:+$RES_OPTIONS }ndots:1"
export RES_OPTIONS
'''

LABELLED = ('If that was a security module, which calls this process @label (SELinux, or the profile of AppArmor), dmesg has what it '
            'denied.')


def script(place, relative, shell, as_is=False):
    """`as_is`: names with a dot are asked for as they are, before the resolver library tries its search list."""
    procs = place.cgroup + '/cgroup.procs'

    def because(why):
        return _answer("ebpf_guard: this task was not run, because it could not enter the guard '%s': %s" % (place.name, why))

    return ENTER % {
        'name': place.name, 'relative': relative, 'procs': shlex.quote(procs), 'cgroup': shlex.quote(place.cgroup),
        'doors': shlex.quote(place.doors), 'flag': shlex.quote(place.flag),
        'shell': shlex.quote(shell), 'launcher': shlex.quote(place.launcher),
        'refused': _said.REFUSED, 'names': AS_IS if as_is else '', 'refuse': _refuse(shell),
        'reboot': shlex.quote('ebpf_guard: ' + _said.REBOOT % place.name),
        'no_cgroup': because('the guard is not up on this host (there is no %s).' % procs),
        'frozen': because('its cgroup is frozen, so nothing in it runs. echo 0 > %s/cgroup.freeze lets it go on.'
                          % place.cgroup),
        'read_only': because('cgroup2 is read-only here, as in a container or a service with ProtectControlGroups=yes, so '
                             'that root can not join.'),
        'no_door': because('this user may not join it (see join_users), and is not root.'),
        'desk': shlex.quote(place.desk + '/cgroup.procs'), 'code': shlex.quote(place.code),
        'revive': ' '.join(map(shlex.quote, standby.command(place.code, *company.words(place, 'revive')))),
        'no_agent': because("the guard's agent, which lets this user in, has ended. It is started again when root enters the guard, "
                            'by ebpf_guard_info, and by state=present.'),
        'silent_agent': because("the guard's agent, which lets this user in, does not answer."),
        'closed_door': because("this user may join it, and something keeps this user from %s. %s" % (place.doors, LABELLED)),
        'not_let_in': because('the kernel did not let it in. %s' % LABELLED)}


def tombstone(name, shell, sentence, gone):
    """`sentence`: what became of the guard. `gone`: the same for the callback."""
    return TOMBSTONE % {'name': name, 'refuse': _refuse(shell), 'gone': _answer(sentence, **{_said.GONE: gone})}


def _refuse(shell):
    return REFUSE % {'shell': shlex.quote(shell), 'refused': _said.REFUSED}


def _answer(sentence, **more):
    """Two words of the script: what Ansible reads, and what a person does."""
    return '%s %s' % (shlex.quote(_result(sentence, **more)), shlex.quote(sentence))


def stopped(sentence):
    """What the flag says by which the launcher refuses everybody: the same as two lines."""
    return '%s\n%s\n' % (_result(sentence), sentence)


def _result(sentence, **more):
    return json.dumps(dict(more, failed=True, msg=sentence))
