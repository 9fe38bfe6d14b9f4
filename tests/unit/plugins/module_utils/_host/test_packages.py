# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to install where libbpf is missing, on each distribution, as its os-release tells which it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import packages

REQUIREMENTS = Path(__file__).resolve().parents[5] / 'docs' / 'requirements.md'

# What stands in /etc/os-release, and the command. Links, colours and the like are left out.
DISTRIBUTIONS = {
    'Debian 11': ("""\
PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"
NAME="Debian GNU/Linux"
VERSION_ID="11"
VERSION="11 (bullseye)"
VERSION_CODENAME=bullseye
ID=debian
""", 'apt-get install libbpf0'),
    'Debian 12': ("""\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
""", 'apt-get install libbpf1'),
    'Debian 13': ("""\
PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
NAME="Debian GNU/Linux"
VERSION_ID="13"
VERSION="13 (trixie)"
VERSION_CODENAME=trixie
DEBIAN_VERSION_FULL=13.1
ID=debian
""", 'apt-get install libbpf1'),
    'Debian sid': ("""\
PRETTY_NAME="Debian GNU/Linux forky/sid"
NAME="Debian GNU/Linux"
VERSION_CODENAME=forky
ID=debian
""", 'apt-get install libbpf1'),
    'Raspbian 11': ("""\
PRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"
NAME="Raspbian GNU/Linux"
VERSION_ID="11"
VERSION="11 (bullseye)"
VERSION_CODENAME=bullseye
ID=raspbian
ID_LIKE=debian
""", 'apt-get install libbpf0'),
    'Raspbian 12': ("""\
PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"
NAME="Raspbian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=raspbian
ID_LIKE=debian
""", 'apt-get install libbpf1'),
    'Devuan 4': ("""\
PRETTY_NAME="Devuan GNU/Linux 4 (chimaera)"
NAME="Devuan GNU/Linux"
VERSION_ID="4"
VERSION="4 (chimaera)"
VERSION_CODENAME="chimaera"
ID=devuan
ID_LIKE=debian
""", 'apt-get install libbpf0'),
    'Kali': ("""\
PRETTY_NAME="Kali GNU/Linux Rolling"
NAME="Kali GNU/Linux"
VERSION_ID="2024.1"
VERSION="2024.1"
VERSION_CODENAME=kali-rolling
ID=kali
ID_LIKE=debian
""", 'apt-get install libbpf1'),
    'Ubuntu 20.04': ("""\
NAME="Ubuntu"
VERSION="20.04.6 LTS (Focal Fossa)"
ID=ubuntu
ID_LIKE=debian
PRETTY_NAME="Ubuntu 20.04.6 LTS"
VERSION_ID="20.04"
VERSION_CODENAME=focal
UBUNTU_CODENAME=focal
""", 'apt-get install libbpf0'),
    'Ubuntu 22.04': ("""\
PRETTY_NAME="Ubuntu 22.04.4 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.4 LTS (Jammy Jellyfish)"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=jammy
""", 'apt-get install libbpf0'),
    'Ubuntu 24.04': ("""\
PRETTY_NAME="Ubuntu 24.04 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
LOGO=ubuntu-logo
""", 'apt-get install libbpf1'),
    'Mint 20': ("""\
NAME="Linux Mint"
VERSION="20.3 (Una)"
ID=linuxmint
ID_LIKE=ubuntu
PRETTY_NAME="Linux Mint 20.3"
VERSION_ID="20.3"
VERSION_CODENAME=una
UBUNTU_CODENAME=focal
""", 'apt-get install libbpf0'),
    'Mint 21': ("""\
NAME="Linux Mint"
VERSION="21.3 (Virginia)"
ID=linuxmint
ID_LIKE="ubuntu debian"
PRETTY_NAME="Linux Mint 21.3"
VERSION_ID="21.3"
VERSION_CODENAME=virginia
UBUNTU_CODENAME=jammy
""", 'apt-get install libbpf0'),
    'Mint 22': ("""\
NAME="Linux Mint"
VERSION="22 (Wilma)"
ID=linuxmint
ID_LIKE="ubuntu debian"
PRETTY_NAME="Linux Mint 22"
VERSION_ID="22"
VERSION_CODENAME=wilma
UBUNTU_CODENAME=noble
""", 'apt-get install libbpf1'),
    'Mint of Debian 11': ("""\
PRETTY_NAME="LMDE 5 (elsie)"
NAME="LMDE"
VERSION_ID="5"
VERSION="5 (elsie)"
VERSION_CODENAME=elsie
ID=linuxmint
ID_LIKE=debian
DEBIAN_CODENAME=bullseye
""", 'apt-get install libbpf0'),
    'Mint of Debian 12': ("""\
PRETTY_NAME="LMDE 6 (faye)"
NAME="LMDE"
VERSION_ID="6"
VERSION="6 (faye)"
VERSION_CODENAME=faye
ID=linuxmint
ID_LIKE=debian
DEBIAN_CODENAME=bookworm
""", 'apt-get install libbpf1'),
    'Pop 22.04': ("""\
NAME="Pop!_OS"
VERSION="22.04 LTS"
ID=pop
ID_LIKE="ubuntu debian"
PRETTY_NAME="Pop!_OS 22.04 LTS"
VERSION_ID="22.04"
VERSION_CODENAME=jammy
UBUNTU_CODENAME=jammy
""", 'apt-get install libbpf0'),
    'Fedora': ("""\
NAME="Fedora Linux"
VERSION="40 (Server Edition)"
ID=fedora
VERSION_ID=40
VERSION_CODENAME=""
PLATFORM_ID="platform:f40"
PRETTY_NAME="Fedora Linux 40 (Server Edition)"
""", 'dnf install libbpf'),
    'RHEL 8': ("""\
NAME="Red Hat Enterprise Linux"
VERSION="8.10 (Ootpa)"
ID="rhel"
ID_LIKE="fedora"
VERSION_ID="8.10"
PLATFORM_ID="platform:el8"
PRETTY_NAME="Red Hat Enterprise Linux 8.10 (Ootpa)"
""", 'dnf install libbpf'),
    'RHEL 9': ("""\
NAME="Red Hat Enterprise Linux"
VERSION="9.4 (Plow)"
ID="rhel"
ID_LIKE="fedora"
VERSION_ID="9.4"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Red Hat Enterprise Linux 9.4 (Plow)"
""", 'dnf install libbpf'),
    'CentOS Stream 9': ("""\
NAME="CentOS Stream"
VERSION="9"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="9"
PLATFORM_ID="platform:el9"
PRETTY_NAME="CentOS Stream 9"
""", 'dnf install libbpf'),
    'AlmaLinux 9': ("""\
NAME="AlmaLinux"
VERSION="9.4 (Seafoam Ocelot)"
ID="almalinux"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
PLATFORM_ID="platform:el9"
PRETTY_NAME="AlmaLinux 9.4 (Seafoam Ocelot)"
""", 'dnf install libbpf'),
    'Rocky Linux 8': ("""\
NAME="Rocky Linux"
VERSION="8.9 (Green Obsidian)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="8.9"
PLATFORM_ID="platform:el8"
PRETTY_NAME="Rocky Linux 8.9 (Green Obsidian)"
""", 'dnf install libbpf'),
    'Oracle Linux 9': ("""\
NAME="Oracle Linux Server"
VERSION="9.4"
ID="ol"
ID_LIKE="fedora"
VARIANT="Server"
VERSION_ID="9.4"
PLATFORM_ID="platform:el9"
""", 'dnf install libbpf'),
    'Amazon Linux 2023': ("""\
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
""", 'dnf install libbpf'),
    'SLES 12 SP5': ("""\
NAME="SLES"
VERSION="12-SP5"
VERSION_ID="12.5"
PRETTY_NAME="SUSE Linux Enterprise Server 12 SP5"
ID="sles"
""", 'zypper install libbpf1'),
    'SLES 15 SP4': ("""\
NAME="SLES"
VERSION="15-SP4"
VERSION_ID="15.4"
PRETTY_NAME="SUSE Linux Enterprise Server 15 SP4"
ID="sles"
ID_LIKE="suse"
""", 'zypper install libbpf0'),
    'SLES 15 SP6': ("""\
NAME="SLES"
VERSION="15-SP6"
VERSION_ID="15.6"
PRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"
ID="sles"
ID_LIKE="suse"
""", 'zypper install libbpf1'),
    'openSUSE Leap 15.4': ("""\
NAME="openSUSE Leap"
VERSION="15.4"
ID="opensuse-leap"
ID_LIKE="suse opensuse"
VERSION_ID="15.4"
PRETTY_NAME="openSUSE Leap 15.4"
""", 'zypper install libbpf0'),
    'openSUSE Leap 15.5': ("""\
NAME="openSUSE Leap"
VERSION="15.5"
ID="opensuse-leap"
ID_LIKE="suse opensuse"
VERSION_ID="15.5"
PRETTY_NAME="openSUSE Leap 15.5"
""", 'zypper install libbpf1'),
    'openSUSE Tumbleweed': ("""\
NAME="openSUSE Tumbleweed"
ID="opensuse-tumbleweed"
ID_LIKE="opensuse suse"
VERSION_ID="20240801"
PRETTY_NAME="openSUSE Tumbleweed"
""", 'zypper install libbpf1'),
    'Arch': ("""\
NAME="Arch Linux"
PRETTY_NAME="Arch Linux"
ID=arch
BUILD_ID=rolling
""", 'pacman -S libbpf'),
    'Manjaro': ("""\
NAME="Manjaro Linux"
PRETTY_NAME="Manjaro Linux"
ID=manjaro
ID_LIKE=arch
BUILD_ID=rolling
""", 'pacman -S libbpf'),
    'Alpine 3.20': ("""\
NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.20.0
PRETTY_NAME="Alpine Linux v3.20"
""", 'apk add libbpf'),
}


def release(tmp_path, text):
    (tmp_path / 'os-release').write_text(text)
    return [str(tmp_path / 'none'), str(tmp_path / 'os-release')]


@pytest.mark.parametrize('name', DISTRIBUTIONS)
def test_the_command_that_installs_libbpf(tmp_path, name):
    text, command = DISTRIBUTIONS[name]
    paths = release(tmp_path, text)
    assert packages.how(packages.libbpf(paths), paths) == "Install it with '%s'." % command


@pytest.mark.parametrize('text', ['', 'ID=solus\nID_LIKE=""\nVERSION_ID=4.5\n', 'no such\x00line', 'ID=\n'])
def test_a_distribution_that_nobody_knows(tmp_path, text):
    paths = release(tmp_path, text)
    assert packages.how(packages.libbpf(paths), paths) == 'Install its package, which most distributions call libbpf.'


def test_a_host_without_os_release(tmp_path):
    assert packages.libbpf([str(tmp_path / 'none')]) == 'libbpf'


@pytest.mark.parametrize('name, found', [
    ('Debian 12', ['python3-bpfcc', 'linux-headers-6.1']), ('Mint 22', ['python3-bpfcc', 'linux-headers-6.1']),
    ('Fedora', ['python3-bcc', 'kernel-devel-6.1']), ('AlmaLinux 9', ['python3-bcc', 'kernel-devel-6.1']),
    ('Arch', ['python3-bpfcc', 'linux-headers-6.1'])])
def test_what_bcc_comes_with(tmp_path, name, found):
    assert packages.bcc('6.1', paths=release(tmp_path, DISTRIBUTIONS[name][0])) == found


def test_the_docs_name_the_same_packages():
    """The table of docs/requirements.md: a line for each family, with its command and the packages that it may name."""
    rows = re.findall(r'^\| [^|]+ \| `([^`]+) (libbpf[01]?)`', REQUIREMENTS.read_text(), re.M)
    known = {(family.install, package) for family in packages.FAMILIES.values()
             for package in (family.libbpf, *family.older.values())}
    assert set(rows) == known
