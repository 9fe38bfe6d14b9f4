# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Write plugins/ebpf_guard.bpf.c, the one text that BCC compiles on targets: `gen_source.py guard.bpf.c > ebpf_guard.bpf.c`.

What a file includes with quotes is put in its place, once. The compiler still names a line by the file in bpf/.
"""

import re
import sys
from pathlib import Path

HEADER = '''/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Written by bpf/gen_source.py from bpf/%s and what it includes: do not edit, run `make bpf`. */
'''
INCLUDE = re.compile(r'#include "(.+)"')


def lines(path, done):
    """`done`: the files that are in the text already. Each has a guard against being there twice."""
    done.add(path)
    here = '#line %%d "bpf/%s"' % path.name
    yield here % 1
    for number, line in enumerate(path.read_text().splitlines(), 1):
        included = INCLUDE.match(line)
        if not included:
            yield line
        elif path.with_name(included.group(1)) not in done:
            yield from lines(path.with_name(included.group(1)), done)
            yield here % (number + 1)
        else:
            yield ''


def main():
    path = Path(sys.argv[1])
    sys.stdout.write(HEADER % path.name + '\n'.join(lines(path, set())) + '\n')


if __name__ == '__main__':
    main()
