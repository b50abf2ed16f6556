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
td small { white-space: nowrap; } small, dt, footer p { color: var(--dim); font-weight: normal; }
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
:is(#services, #failures) td:last-child { min-width: 15rem; }
#services td:nth-child(2) small { display: block; }
:is(#workers, #draining, #kafka, #certificates) table { width: auto; }
#services :is(th, td):nth-child(n + 3):nth-child(-n + 9), #routes :is(th, td):nth-child(n + 3),
#profiled :is(th, td):nth-child(n + 4), #kafka :is(th, td):nth-child(2),
#failures :is(th, td):is(:nth-child(2), :nth-child(5)) { text-align: right; }
code { font-family: ui-monospace, monospace; font-size: .93em; }
.good { color: var(--good); } .doubt { color: var(--doubt); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.idle { color: var(--dim); }
h1 a { color: inherit; text-decoration: none; } th a { color: inherit; }
th[aria-sort] a { color: var(--text); font-weight: 600; }
th[aria-sort=ascending] a::after { content: " \\2191"; } th[aria-sort=descending] a::after { content: " \\2193"; }
p.ready { font-size: 1.2rem; margin: .8rem 0 .2rem; }
.figures { display: flex; flex-wrap: wrap; gap: .3rem 2.5rem; margin: .4rem 0; }
.figures dd { margin: 0; font-size: 1.25rem; }
footer dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; } footer dd { margin: 0; }
body.lost p.ready::after { content: " (connection lost: figures are old)"; color: var(--bad); }
"""

#: what came is put into what is there, node by node: whoever reads, scrolls or has the focus is not disturbed. Nobody
#: looks while the page is hidden, so nobody is told
JS = """\
"use strict";
let source = null;
function watch() {
  if (source) source.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource("/events" + location.search);
  source.onopen = () => document.body.classList.remove("lost");
  source.onmessage = event => show(JSON.parse(event.data));
  source.onerror = () => {
    document.body.classList.add("lost");
    // the browser itself comes again, but not where it was refused
    if (source.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
  };
}
function show(html) {
  const next = document.createElement("main"), focused = document.activeElement;
  next.innerHTML = html;
  merge(document.querySelector("main"), next);
  // it was moved
  if (focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}
function merge(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) old.setAttribute(name, value);
  const named = new Map([...old.children].filter(child => child.id).map(child => [child.id, child]));
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    let mine = child.id ? named.get(child.id) : at && !at.id && at.nodeName === child.nodeName ? at : null;
    if (mine) merge(mine, child);
    else mine = child;
    if (mine === at) at = at.nextSibling;
    else old.insertBefore(mine, at);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}
document.addEventListener("visibilitychange", watch);
watch();
"""
