# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a run in Debian's Chromium, which has no network at all: that of a namespace of its own."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import models
import pytest
from playwright.sync_api import sync_playwright

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import as_html

CHROMIUM = '#!/bin/sh\nexec unshare --net /usr/bin/chromium "$@"\n'
AXE = (Path(axe_playwright_python.__file__).parent / 'axe.min.js').read_text()
FOUND = """async () => (await axe.run()).violations.map(
    one => one.id + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 200)).join(' | '))"""
WIDE, NARROW = {'width': 1280, 'height': 900}, {'width': 360, 'height': 740}


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    script = tmp_path_factory.mktemp('browser') / 'chromium'
    script.write_text(CHROMIUM)
    script.chmod(0o755)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(script), args=['--no-sandbox'])  # root has none
        yield found
        found.close()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """{sample: the address of its page}"""
    directory = tmp_path_factory.mktemp('pages')
    for name, make in models.SAMPLES.items():
        (directory / f'{name}.html').write_bytes(models.written(as_html.write, make()))
    return {name: f'file://{directory}/{name}.html' for name in models.SAMPLES}


@pytest.fixture
def visit(browser, files):
    """Opens a page; at the end nothing was asked for but the page, and the console is empty."""
    contexts, asked, said = [], [], []

    def opened(name, viewport=None, **options):
        context = browser.new_context(viewport=viewport or WIDE, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('request', lambda request: asked.append(request.url))
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.on('dialog', lambda dialog: said.append(dialog.message))
        page.goto(files[name])
        return page
    yield opened
    for context in contexts:
        context.close()
    assert not said and set(asked) <= set(files.values()) and len(asked) == len(contexts)


def tab(page, wanted, most=60):
    """Go on with the keyboard until what is wanted has the focus; what had it before on the way."""
    passed = []
    for _number in range(most):
        page.keyboard.press('Tab')
        focus = page.evaluate("""() => {
            const one = document.activeElement, style = getComputedStyle(one);
            return [one.textContent.trim().slice(0, 60) || one.id,
                    style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
        }""")
        assert focus[1], f'{focus[0]}: the focus is not seen'
        passed.append(focus[0])
        if page.evaluate('(wanted) => document.activeElement.matches(wanted)', wanted):
            return passed
    raise AssertionError(f'{wanted} is not reached: {passed}')


def hosts(page):
    return page.locator('#fleet tbody tr:visible th').all_text_contents()


def test_the_network_is_refused(browser):
    page = browser.new_context().new_page()
    with pytest.raises(Exception, match='ERR_'):
        page.goto('http://192.0.2.1/', timeout=5000)
    page.close()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('sample', ['story', 'watched', 'everything', 'empty', 'clean', 'hostile'])
def test_everybody_can_read_it(visit, sample, scheme):
    page = visit(sample, color_scheme=scheme, bypass_csp=True)  # for the script of axe, which comes with the test
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)[0]")
    assert shade > 200 if scheme == 'light' else shade < 60
    page.evaluate("document.querySelectorAll('details').forEach((one, number) => { one.open = number < 12; })")
    page.evaluate(AXE)
    assert not page.evaluate(FOUND)


@pytest.mark.parametrize('sample', models.SAMPLES)
def test_a_telephone_shows_it_without_scrolling_to_the_side(visit, sample):
    page = visit(sample, NARROW)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate('document.documentElement.scrollWidth') == NARROW['width']


def test_what_a_screen_reader_says(visit):
    page = visit('story')
    assert page.get_by_role('heading', level=1).inner_text() == (
        'All 3 hosts might not survive an outage of api.internal or github.com.')
    assert [one.inner_text() for one in page.get_by_role('heading', level=2).all()] == [
        'The circle', 'Hosts', 'Denials', 'Time line', 'What ran outside', 'What was not in force', 'More']
    drawing = page.get_by_role('img', name='mysql: task Deploy mysql runs')
    assert drawing.count() == 1 and 'github.com needs mysql.' in drawing.get_attribute('aria-label')
    assert page.get_by_role('row').count() == 4 and page.get_by_role('rowheader', name='web1').count() == 1
    assert page.get_by_role('searchbox', name='Filter').count() == 2


def test_filter_and_sort(visit):
    page = visit('everything')
    assert hosts(page) == ['web1', 'web2', 'web3', 'web4', 'web5']
    page.get_by_role('searchbox').first.fill('ENFORCE  deNied')
    assert hosts(page) == ['web1'] and page.locator('#count').inner_text() == '1 of 5'
    page.get_by_role('searchbox').first.fill('')
    assert len(hosts(page)) == 5 and not page.locator('#count').inner_text()
    page.get_by_role('button', name='would deny').click()
    assert hosts(page)[0] == 'web4' and page.locator('th[aria-sort=descending]').inner_text().startswith('would deny')
    page.get_by_role('button', name='host').click()
    page.get_by_role('button', name='host').click()
    assert hosts(page) == ['web5', 'web4', 'web3', 'web2', 'web1'] and page.locator('th[aria-sort]').count() == 1
    page.get_by_role('searchbox').nth(1).fill('registry drill')
    assert page.locator('#denied > .finding:visible .what').all_text_contents() == ['registry.example']


def test_many_hosts_are_in_the_order_of_their_numbers(visit):
    page = visit('fleet')
    assert hosts(page)[:3] == ['web0', 'web1', 'web2'] and hosts(page)[-1] == 'web199'
    page.get_by_role('button', name='host').click()
    page.get_by_role('button', name='host').click()
    assert hosts(page)[:2] == ['web199', 'web198']


def test_keyboard_alone(visit):
    page = visit('everything')
    assert tab(page, '.skip') == ['Skip to the report']
    page.keyboard.press('Enter')
    assert page.evaluate('location.hash') == '#main'
    tab(page, '.scroll.wide')
    tab(page, '#filter')
    page.keyboard.type('web4')
    assert hosts(page) == ['web4']
    for _letter in 'web4':
        page.keyboard.press('Backspace')
    tab(page, 'thead button')
    page.keyboard.press('Enter')
    page.keyboard.press('Space')
    assert hosts(page)[0] == 'web5'
    passed = tab(page, '#denied .finding summary')
    assert any('outside' in one for one in passed)
    page.keyboard.press('Enter')
    assert page.locator('#denied .finding').first.get_attribute('open') is None
    tab(page, '#denied a')
    tab(page, '#more .list > summary')
    page.keyboard.press('Enter')
    tab(page, '#more .list .finding summary')
    page.keyboard.press('Space')
    assert page.locator('#more .list .finding').first.inner_text().count('new.example') > 1


def test_scripts_off(visit):
    page = visit('everything', java_script_enabled=False)
    assert not page.locator('input:visible').count() and page.locator('#fleet tbody tr:visible').count() == 5
    assert page.locator('.across').is_visible() and page.locator('#denied .way:visible').count() == 3
    page.locator('#more .list summary').first.click()
    assert page.locator('#more .finding:visible').count() == 1


def test_on_paper(visit):
    page = visit('everything')
    page.emulate_media(media='print')
    assert not page.locator('nav').is_visible() and not page.locator('input:visible').count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator('#more .way:visible').count() == 4
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator('#more details[open]').count() == 0
    assert page.pdf().startswith(b'%PDF')


def test_nothing_of_a_target_runs(visit):
    page = visit('hostile')
    assert page.evaluate('[document.scripts.length, document.images.length, document.styleSheets.length]') == [1, 0, 1]
    assert set(page.evaluate("Array.from(document.links, (one) => one.protocol)")) == {'file:', 'https:'}


def test_nothing_would_run_were_it_not_escaped(browser, files):
    """The page's own policy refuses it."""
    page = browser.new_context().new_page()
    page.goto(files['hostile'])
    refused = page.evaluate("""() => new Promise((resolve) => {
        const refused = [];
        addEventListener('securitypolicyviolation', (event) => {
            refused.push(event.effectiveDirective);
            if (refused.length === 3) { resolve(refused); }
        });
        const made = document.createElement('div');
        made.innerHTML = '<img src="https://192.0.2.1/x"><b onclick="1">x</b>';
        document.body.append(made);
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        if (window.ran) { resolve('ran'); }
    })""")
    assert sorted(refused) == ['img-src', 'script-src-attr', 'script-src-elem']
    page.context.close()
