#!/usr/bin/python
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ebpf_guard_learn
short_description: Keep a baseline of what a deployment depends on
version_added: 1.0.0
description:
  - Reads the JSON reports of runs, and writes what they show into a baseline. This is a YAML file with the dependencies of a
    deployment, to be kept in git.
  - The playbook C(loopbreak.deploy.learn) does this and prints what came out.
  - Runs on the controller, whatever host the task is for. Two tasks that change one file wait for each other, and the file
    is replaced as a whole.
  - What people write into a baseline stays, which is C(reason), C(reviewed), C(fold), comments, and the order of the
    entries. Without news the file stays as it is, to the last byte.
author:
  - The Loopbreak authors (@loopbreak)
extends_documentation_fragment:
  - loopbreak.deploy.attributes
options:
  reports:
    description:
      - The directory with the reports, C(*.json) and C(*.json.gz), on the controller. One that is none, or that was cut off,
        is left out and told in RV(left_out).
    type: path
    required: true
  baseline:
    description:
      - The file of the baseline, on the controller. It is written anew where there is none.
    type: path
    required: true
  service:
    description:
      - The deployment that the baseline is of. Guards of other ones are left out.
      - By default the one that the baseline names, and else the only one that the reports tell.
    type: str
  services:
    description:
      - The service map that a draft of a policy is to name, a file or several.
    type: list
    elements: path
  prune:
    description:
      - Drop what no report has any more, and write the evidence of all entries as the reports show it.
    type: bool
    default: false
  executions:
    description:
      - Take the programs that were executed as dependencies, too. A baseline that lists some always does.
    type: bool
    default: false
  policy_out:
    description:
      - Where to write a draft of a policy, on the controller. It denies everything but what the baseline has.
      - A file that this module has not written is refused.
    type: path
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: loopbreak.deploy.ebpf_guard
"""

EXAMPLES = r"""
- name: See whether the last runs had dependencies that are not known yet
  loopbreak.deploy.ebpf_guard_learn:
    reports: reports
    baseline: mysql.deps.yml
  check_mode: true
  diff: true
  delegate_to: localhost
"""

RETURN = r"""
evidence:
  description: For each entry of the baseline, on how many runs and hosts it stands, as text. Also what was not looked at.
  returned: success
  type: list
  elements: str
  sample: ["host mirror.example (443)  in 1 of 3 runs, on 1 host, weak: one run and one host, new"]
circles:
  description: What the service map denies of the baseline, and who uses it, a sentence each. The draft has no rule for these.
  returned: success
  type: list
  elements: str
  sample: ["host github.com: github.com → mysql (rule service:github.com). It is used by: Build (tasks/deploy.yml:1)"]
left_out:
  description: The files that are no report, or were cut off, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["reports/cut.json: it was cut off"]
runs:
  description: How many runs have recorded what was allowed.
  returned: success
  type: int
  sample: 3
"""
