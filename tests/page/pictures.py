# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the documentation, light and dark, of a page: pictures.py build/demo.html docs/report"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZE = {'width': 1180, 'height': 1000}


def main():
    address, target = Path(sys.argv[1]).resolve().as_uri(), sys.argv[2]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox'])
        for scheme in ('light', 'dark'):
            page = browser.new_page(viewport=SIZE, color_scheme=scheme)
            page.goto(address)
            page.screenshot(path=f'{target}-{scheme}.png')
        browser.close()


if __name__ == '__main__':
    main()
