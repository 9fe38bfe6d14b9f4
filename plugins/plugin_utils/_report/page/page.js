// SPDX-License-Identifier: GPL-3.0-or-later
'use strict';
(function () {
  // what only a script can do is shown where one runs
  document.querySelectorAll('.tools').forEach((tools) => { tools.hidden = false; });

  function filters(input, rows, says) {
    if (!input) { return; }
    const texts = rows.map((row) => row.textContent.toLowerCase());
    input.addEventListener('input', () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      rows.forEach((row, number) => {
        row.hidden = !words.every((word) => texts[number].includes(word));
        left += !row.hidden;
      });
      says.textContent = words.length ? left + ' of ' + rows.length : '';
    });
  }
  const fleet = document.getElementById('fleet');
  const rows = fleet ? Array.from(fleet.tBodies[0].rows) : [];
  filters(document.getElementById('filter'), rows, document.getElementById('count'));
  filters(document.getElementById('find'), Array.from(document.querySelectorAll('#denied > .finding')), document.getElementById('found'));

  const order = new Intl.Collator('en', {numeric: true}).compare;
  (fleet ? Array.from(fleet.tHead.rows[0].cells) : []).forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const numbers = head.classList.contains('number');
      const before = head.getAttribute('aria-sort');
      const up = before ? before === 'descending' : !numbers;
      Array.from(fleet.tHead.rows[0].cells).forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
      const keys = new Map(rows.map((row) => [row, row.cells[column].textContent]));
      rows.sort((one, other) => (up ? 1 : -1) * order(keys.get(one), keys.get(other)));
      fleet.tBodies[0].append(...rows);
    });
  });

  // paper has no summaries to click on
  let closed = [];
  addEventListener('beforeprint', () => {
    closed = Array.from(document.querySelectorAll('details:not([open])'));
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener('afterprint', () => { closed.forEach((one) => { one.open = false; }); });
}());
