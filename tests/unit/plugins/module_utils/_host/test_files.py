# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the host, whoever wrote them."""

from __future__ import annotations

import os

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files, resolver


def test_lines_and_words_are_those_of_the_c_library(tmp_path):
    path = tmp_path / 'resolv.conf'
    path.write_bytes(b'# B\xfcro\nnameserver\t192.0.2.53\0 192.0.2.54\n\n'
                     b' search a.test\xc2\xa0 \xe2\x80\xa8 b\x85.test c.test\r\n')
    assert files.words(path) == [['#', 'B\udcfcro'], ['nameserver', '192.0.2.53'],
                                 ['search', 'a.test\u00a0', '\u2028', 'b\udc85.test', 'c.test']]
    assert resolver.resolvers(path) == ['192.0.2.53'] and resolver.search_domains(path) == ['c.test']
    assert os.fsencode(files.text(path)) == path.read_bytes() == files.content(path)


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: os.symlink('/dev/null', path), lambda path: None])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    path = tmp_path / 'resolv.conf'
    make(path)
    with pytest.raises(OSError):
        files.content(path)
    assert resolver.resolvers(path) == ['127.0.0.1'] and not resolver.searches_first(path)
