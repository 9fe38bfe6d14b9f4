# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the pictures of docs/: of an act of the demo in a terminal, of the demo's page, and of pages of models.

It takes what the demo left, build/demo.txt and build/demo.html. `make pictures` runs the demo first.
"""

from __future__ import annotations

import html
import io
import re
import tempfile
from pathlib import Path

import models
from PIL import Image  # which sarif-tools brings
from playwright.sync_api import sync_playwright

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import as_html

ROOT = Path(__file__).resolve().parents[2]
DOCS, TEXT, PAGE = ROOT / 'docs', ROOT / 'build' / 'demo.txt', ROOT / 'build' / 'demo.html'
WIDTH = 1180
# a third of the bytes, and nobody sees it: no colour is a rare one that goes without
COLOURS = {'colors': 256, 'method': Image.Quantize.MAXCOVERAGE, 'kmeans': 1, 'dither': Image.Dither.NONE}
ACT = 'Enforce:'  # the one that is shown
ACTS = re.compile(r'\n(?=\x1b\[1m\d+\. )')
PAINTED = re.compile('\x1b\\[(\\d+)m(.*?)\x1b\\[0m', re.DOTALL)
TERMINAL = '''<!DOCTYPE html><meta charset="utf-8"><style>
body { margin: 0 }
pre { font: 14px/1.35 "DejaVu Sans Mono", monospace; width: 80ch; white-space: pre-wrap; word-break: break-all; padding: 20px 24px;
  margin: 0; background: #0f1318; color: #e6eaf0 }
.c31 { color: #ff8f85 } .c32 { color: #6cd69a } .c33 { color: #f2b45a } .c1 { font-weight: bold } .c2 { color: #9ba6b4 }
</style><pre>%s</pre>'''


def terminal(output):
    """A page that shows an act as a terminal does."""
    act = next(act for act in ACTS.split(output) if ACT in act.splitlines()[0])
    return TERMINAL % PAINTED.sub(r'<span class="c\1">\2</span>', html.escape(act.strip()))


def pictures():
    """(name, content of the page, height; 0 for as much as there is, scheme)"""
    page = PAGE.read_bytes()
    yield 'report-light', page, 1000, 'light'
    yield 'report-dark', page, 1000, 'dark'
    for name, model, height in (('empty', models.Model(), 300), ('clean', models.clean(50), 760),
                                ('fleet', models.fleet(1000, 100), 1000)):
        yield f'report-{name}', models.written(as_html.write, model), height, 'light'
    yield 'terminal', terminal(TEXT.read_text()).encode(), 0, 'dark'


def main():
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as directory:
        browser = playwright.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox'])
        for name, content, height, scheme in pictures():
            file, target = Path(directory, f'{name}.html'), DOCS / f'{name}.png'
            file.write_bytes(content)
            page = browser.new_page(viewport={'width': WIDTH, 'height': height or 1000}, color_scheme=scheme)
            page.goto(file.as_uri())
            shot = (page if height else page.locator('pre')).screenshot()
            Image.open(io.BytesIO(shot)).convert('RGB').quantize(**COLOURS).save(target, optimize=True)
            print(f'{target.relative_to(ROOT)}: {target.stat().st_size / 1000:.0f} kB')
        browser.close()


if __name__ == '__main__':
    main()
