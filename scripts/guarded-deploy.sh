#!/bin/sh
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The playbook loopbreak.deploy.run on one host, for pipelines that know nothing of Ansible.
set -eu

usage() {
  cat << 'END'
Usage: guarded-deploy.sh --policy FILE [OPTION...] HOST -- COMMAND [ARGUMENT...]

Runs COMMAND on HOST inside a guard, and passes on its output and its exit status.
HOST is localhost, which needs no SSH, or NAME, USER@NAME or USER@NAME:PORT.
COMMAND alone is a line for the shell. With arguments, each reaches it as it is.

  -p, --policy FILE     the policy, on this machine
  -m, --mode MODE       monitor, enforce or drill, in place of the policy's mode
  -n, --name NAME       the guard's name (deploy); runs that may meet on a host
                        need a name each
  -C, --chdir DIRECTORY run COMMAND there; without it in the user's home, and on
                        localhost in the working directory
  -b, --become          run COMMAND as root; without it as the login user
  -h, --help            this text

Standard output is that of COMMAND and comes when COMMAND has ended. All else,
the guard's report too, goes to standard error.

Exit status: that of COMMAND, 128+N where signal N ended it. 2 where something was
denied in mode enforce, or COMMAND was not run. 4 where HOST was not reached.

It needs ansible-core with the collection loopbreak.deploy here, and on HOST root
by sudo. Ansible's environment variables hold, such as ANSIBLE_PRIVATE_KEY_FILE
and ANSIBLE_BECOME_PASSWORD_FILE; its configuration files do not.
END
}

fail() {
  echo "guarded-deploy.sh: $1" >&2
  exit 2
}

# As one word of a shell, whatever is in it
quoted() {
  printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"
}

policy='' mode='' name=deploy chdir='' become='' host=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    -b | --become) become=--become ;;
    -p | --policy | -m | --mode | -n | --name | -C | --chdir)
      [ $# -gt 1 ] || fail "$1 needs a value. See --help."
      case $1 in
        -p | --policy) policy=$2 ;;
        -m | --mode) mode=$2 ;;
        -n | --name) name=$2 ;;
        *) chdir=$2 ;;
      esac
      shift
      ;;
    --)
      shift
      break
      ;;
    -*) fail "there is no option $1. See --help." ;;
    *)
      [ -z "$host" ] || fail "'$1' stands where -- and the command should. See --help."
      host=$1
      ;;
  esac
  shift
done

[ -n "$host" ] || fail 'no host was given. See --help.'
[ $# -gt 0 ] || fail 'no command was given. It stands after --. See --help.'
[ -n "$policy" ] || fail 'no policy was given, and without one nothing is guarded. See --help.'
[ -r "$policy" ] || fail "the policy file '$policy' can't be read."
command -v ansible-playbook > /dev/null || fail 'there is no ansible-playbook here. Install ansible-core.'

case $host in
  *[!A-Za-z0-9._:@-]* | *@*@* | @* | *@ | *:*:* | *:*@* | *: | *@:* | :*) fail "'$host' is no host. Write NAME, USER@NAME or USER@NAME:PORT." ;;
esac
address=${host##*@}
user=${host%"$address"}
port=${address#"${address%%:*}"}
address=${address%%:*}

if [ $# -eq 1 ]; then
  command=$1
else
  command=
  for word in "$@"; do
    command="$command $(quoted "$word")"
  done
fi
if [ "$address" = localhost ] && [ -z "$chdir" ]; then
  chdir=$PWD
fi

# What comes from the command line goes through the environment, where no YAML and no template can read it otherwise
export ebpf_guard_command="$command" ebpf_guard_policy="$policy" ebpf_guard_mode="$mode" ebpf_guard_name="$name" \
  ebpf_guard_chdir="$chdir"

work=$(mktemp -d)
running=
trap 'rm -rf "$work"' EXIT
# The command may go on there, and must not do so unguarded
# shellcheck disable=SC2317  # the traps call it
stopped() {
  trap '' HUP INT TERM
  [ -z "$running" ] || kill -TERM "$running" 2> /dev/null || true
  echo "guarded-deploy.sh: stopped by a signal. The command may still run on $address, and its guard '$name' is left up" \
    'there. It takes itself down after 6 hours.' >&2
  exit "$1"
}
trap 'stopped 129' HUP
trap 'stopped 130' INT
trap 'stopped 143' TERM

cat > "$work/ansible.cfg" << 'END'
[defaults]
interpreter_python = auto_silent
display_ok_hosts = false
display_skipped_hosts = false
localhost_warning = false
module_strict_utf8_response = false
[connection]
pipelining = true
END
{
  echo 'all:'
  echo '  hosts:'
  echo "    '$address':"
  [ "$address" != localhost ] || echo '      ansible_connection: local'
  [ -z "$user" ] || echo "      ansible_user: '${user%@}'"
  [ -z "$port" ] || echo "      ansible_port: ${port#:}"
  for variable in ebpf_guard_command ebpf_guard_policy ebpf_guard_mode ebpf_guard_name ebpf_guard_chdir; do
    [ -z "$(printenv "$variable")" ] || echo "      $variable: \"{{ lookup('ansible.builtin.env', '$variable') }}\""
  done
} > "$work/inventory.yml"

# Installed as part of the collection, this finds it wherever it is
here=$(cd "$(dirname "$0")" && pwd -P)
case $here in
  */ansible_collections/loopbreak/deploy/scripts)
    export ANSIBLE_COLLECTIONS_PATH="${here%/ansible_collections/*}${ANSIBLE_COLLECTIONS_PATH:+:$ANSIBLE_COLLECTIONS_PATH}"
    ;;
esac
export ANSIBLE_CONFIG="$work/ansible.cfg" ANSIBLE_CALLBACKS_ENABLED=loopbreak.deploy.ebpf_guard
export EBPF_GUARD_COMMAND_STDOUT="$work/stdout"

# In the background, so that a signal is answered at once
ansible-playbook -i "$work/inventory.yml" loopbreak.deploy.run ${become:+"$become"} < /dev/null >&2 &
running=$!
status=0
wait "$running" || status=$?
running=
[ ! -e "$work/stdout" ] || cat "$work/stdout"
exit "$status"
