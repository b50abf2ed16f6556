# -*- test-case-name: tests.admin.test_assets -*-
"""
The page's style and script: all that it loads, from here alone.
"""

from __future__ import annotations

CSS = """\
:root { --back: #fff; --text: #1d2126; --dim: #5d6670; --line: #d9dee3; --band: #f5f7f9; --link: #0b57a4;
  --good: #17692c; --doubt: #8a5a00; --bad: #a3261b; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e3e7ea; --dim: #97a1ab; --line: #333a41;
  --band: #1c2125; --link: #7db7f2; --good: #6cc283; --doubt: #dfae4c; --bad: #f0857a; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 90rem; padding: 1rem; color: var(--text);
  background: var(--back); }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: baseline; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
small, dt, footer p { color: var(--dim); font-weight: normal; }
a { color: var(--link); } nav a { margin-right: .6rem; }
form { margin-left: auto; } input, button { font: inherit; padding: .15rem .5rem; color: inherit;
  background: var(--band); border: 1px solid var(--line); border-radius: 4px; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem .3rem; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: normal; white-space: nowrap; }
tr.service { background: var(--band); } tr.endpoint td:first-child { padding-left: 1.6rem; }
td:not(:last-child) { white-space: nowrap; } td:last-child { overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .93em; }
.good { color: var(--good); } .doubt { color: var(--doubt); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.idle { color: var(--dim); }
p.ready { font-size: 1.2rem; margin: .8rem 0 .2rem; }
.figures { display: flex; flex-wrap: wrap; gap: .3rem 2.5rem; margin: .4rem 0; }
.figures dd { margin: 0; font-size: 1.25rem; }
footer dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; } footer dd { margin: 0; }
body.lost p.ready::after { content: " (connection lost: figures are old)"; color: var(--bad); }
"""

#: what came is compared with what is there, row by row, so that whoever reads or has the focus is not disturbed
JS = """\
"use strict";
const source = new EventSource("/events" + location.search);
source.onopen = () => document.body.classList.remove("lost");
source.onerror = () => document.body.classList.add("lost");
source.onmessage = event => {
  const next = document.createElement("main");
  next.innerHTML = JSON.parse(event.data);
  merge(document.querySelector("main"), next);
};
function merge(old, next) {
  const rows = [...next.children].map(child => {
    const known = child.id && document.getElementById(child.id);
    if (!known || known.parentNode !== old) return child;
    if (known.outerHTML === child.outerHTML) return known;
    const focused = known.contains(document.activeElement) && document.activeElement.tagName === "A";
    if (child.tagName === "SECTION" && child.querySelector("tbody") && known.querySelector("tbody")) {
      for (const part of ["h2", "thead"]) known.querySelector(part).innerHTML = child.querySelector(part).innerHTML;
      merge(known.querySelector("tbody"), child.querySelector("tbody"));
      return known;
    }
    if (focused) return known;
    known.replaceWith(child);
    return child;
  });
  rows.forEach((row, n) => { if (old.children[n] !== row) old.insertBefore(row, old.children[n] || null); });
  while (old.children.length > rows.length) old.lastElementChild.remove();
}
"""
