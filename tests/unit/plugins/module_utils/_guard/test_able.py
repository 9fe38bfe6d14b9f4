# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has, as its files tell it, and how that is told."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import able
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import libbpf

HOST = {'kernel': '6.1.0-18-amd64', 'architecture': 'x86_64', 'python': '3.11.2', 'btf': True, 'lsm': ['capability', 'bpf'],
        'lockdown': 'none', 'cgroup2': '/sys/fs/cgroup', 'cgroup_layout': 'unified', 'bpffs': True, 'libbpf': '1.1.2',
        'bcc': False, 'kernel_headers': False, 'loader': 'libbpf'}
ALL = dict.fromkeys(programs.CAPABILITIES, True)


# --- files of the host ---

@pytest.mark.parametrize('line, version', [
    ('7f0-7f1 r-xp 0 00:00 1 /usr/lib/x86_64-linux-gnu/libbpf.so.1.1.2\n', '1.1.2'),
    ('7f0-7f1 r-xp 0 00:00 1 /usr/lib64/libbpf.so.0.5.0\n', '0.5.0'),
    ('7f0-7f1 r-xp 0 00:00 1 /opt/libbpf.so.1\n', None)])
def test_the_version_of_the_library(tmp_path, line, version):
    (tmp_path / 'maps').write_text('7f0-7f1 r-xp 0 00:00 1 /usr/bin/python3.11\n' + line)
    assert libbpf.version(str(tmp_path / 'maps')) == version


# --- how it is told ---

def test_a_host_that_is_able():
    verdict, summary = able.verdict(HOST, ALL)
    assert (verdict, summary[0]) == ('fully', 'able')
    assert summary[1:] == [
        'kernel    6.1.0-18-amd64 on x86_64', 'BTF       yes', 'LSM       capability, bpf', 'lockdown  none',
        'cgroup2   /sys/fs/cgroup, unified', 'bpffs     mounted', 'libbpf    1.1.2',
        'bcc       not installed, no kernel headers; not needed', 'Python    3.11.2',
        'connect   yes', 'send      yes', 'dns       yes', 'payload   yes', 'unix      yes', 'lock      yes',
        'file      yes', 'exec      yes']


def test_a_host_that_is_partly_able_tells_each_reason_once():
    verdict, summary = able.verdict(HOST, dict(ALL, unix='too old', file='no hooks', exec='only seen, because no hooks'))
    assert (verdict, summary[0]) == ('partly', 'partly able, without unix: too old; without file and exec: no hooks')
    assert summary[-4:] == [
        'unix      no: too old', 'lock      yes', 'file      no: no hooks', 'exec      no: only seen, because no hooks']


def test_a_host_that_is_not_able():
    host = dict(HOST, btf=False, lsm=None, lockdown=None, cgroup2=None, cgroup_layout=None, bpffs=False, libbpf=None,
                bcc=True, kernel_headers=True, loader=None)
    verdict, summary = able.verdict(host, dict.fromkeys(ALL, 'There is nothing.'))
    assert (verdict, summary[0]) == ('not', 'not able: There is nothing.')
    unknown = 'unknown: securityfs is not mounted'
    assert summary[2:9] == [
        'BTF       no', 'LSM       ' + unknown, 'lockdown  ' + unknown, 'cgroup2   not mounted',
        'bpffs     not mounted: the guard mounts it', 'libbpf    missing',
        'bcc       installed, kernel headers']
