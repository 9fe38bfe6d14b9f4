# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has, as its files tell it, and how that is told."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import able
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import libbpf
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

HOST = {'kernel': '6.1.0-18-amd64', 'architecture': 'x86_64', 'python': '3.11.2', 'btf': True, 'lsm': ['capability', 'bpf'],
        'lockdown': 'none', 'cgroup2': '/sys/fs/cgroup', 'cgroup_layout': 'unified', 'bpffs': True, 'libbpf': '1.1.2',
        'bcc': False, 'kernel_headers': False, 'loader': 'libbpf'}
ALL = dict.fromkeys(programs.CAPABILITIES, True)


# --- files of the kernel ---

@pytest.mark.parametrize('files, found', [
    ({}, (None, None)),
    ({'lsm': 'capability,yama\n'}, (['capability', 'yama'], 'none')),
    ({'lsm': 'lockdown,capability', 'lockdown': '[none] integrity confidentiality\n'}, (['lockdown', 'capability'], 'none')),
    ({'lsm': 'lockdown', 'lockdown': 'none [integrity] confidentiality\n'}, (['lockdown'], 'integrity')),
    ({'lsm': 'lockdown', 'lockdown': 'none integrity [confidentiality]\n'}, (['lockdown'], 'confidentiality'))])
def test_security_modules_and_lockdown(tmp_path, files, found):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert able.security(str(tmp_path)) == found


@pytest.mark.parametrize('line, version', [
    ('7f0-7f1 r-xp 0 00:00 1 /usr/lib/x86_64-linux-gnu/libbpf.so.1.1.2\n', '1.1.2'),
    ('7f0-7f1 r-xp 0 00:00 1 /usr/lib64/libbpf.so.0.5.0\n', '0.5.0'),
    ('7f0-7f1 r-xp 0 00:00 1 /opt/libbpf.so.1\n', None)])
def test_the_version_of_the_library(tmp_path, line, version):
    (tmp_path / 'maps').write_text('7f0-7f1 r-xp 0 00:00 1 /usr/bin/python3.11\n' + line)
    assert libbpf.Library().version(str(tmp_path / 'maps')) == version


# --- what to change ---

@pytest.mark.parametrize('version', ['0.5.0', '1.1.2', None])
def test_a_library_that_does(version):
    able.check_libbpf(version)


def test_a_library_that_is_too_old():
    with pytest.raises(GuardError, match='libbpf 0.3.0, and the guard needs 0.5 or later. Install a newer libbpf'):
        able.check_libbpf('0.3.0')


@pytest.mark.parametrize('host, code, said', [
    ({'lockdown': 'confidentiality'}, errno.EINVAL, 'lockdown=integrity'),
    ({'kernel': '5.4.0-42-generic'}, errno.EINVAL, 'It is Linux 5.4.0-42-generic. The guard needs 5.10 or later.'),
    ({'kernel': '4.18.0-553.el8_10.x86_64'}, errno.EPERM, '5.10 or later'),
    ({'kernel': '5.10+'}, errno.EINVAL, 'CONFIG_CGROUP_BPF'),
    ({}, errno.EPERM, 'security module')])
def test_what_to_change_where_the_kernel_refuses(host, code, said):
    """By root of the machine, on a kernel that has the options: that is the one which runs the tests."""
    assert said in able.remedy(dict(HOST, **host), code)


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
