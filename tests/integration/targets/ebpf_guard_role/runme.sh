#!/usr/bin/env bash
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The role and the callback, by what they print and the exit status of the run.
set -euo pipefail
export ANSIBLE_CALLBACKS_ENABLED=loopbreak.deploy.ebpf_guard
guard=ansible-test-$$ # that no other run on this machine has

# What one run of the role prints, and its exit status as the last line. $1: what the deployment does
deploy() {
  local status=0
  ansible-playbook -i ../../inventory play.yml -e "guard=$guard" -e "deployment=$1" 2>&1 || status=$?
  echo "status $status"
}

said=$(deploy nothing)
echo "$said"
grep -qF "GUARD $guard on testhost [enforce]: clean" <<< "$said"
grep -qxF 'status 0' <<< "$said"

said=$(deploy reach)
echo "$said"
grep -qF "GUARD $guard on testhost [enforce]: 1 access denied" <<< "$said"
grep -qxF 'status 2' <<< "$said"
rm "/var/log/ebpf_guard/$guard.jsonl"
