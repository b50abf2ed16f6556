# -*- test-case-name: tests.benchmark.test_flame -*-
"""
Folded stacks to a flame graph: one SVG that needs nothing else, with the outermost call on top.

A click on a call makes it as wide as the picture, one on "reset" brings all back, "search" marks what matches and says
how much that is. Colours tell whose code it is: lproxy's, Twisted's, other Python, native.

C{python -m benchmark.flame FILE.folded > FILE.svg} draws what C{twistd lproxy --profile-port} answers.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

WIDTH, ROW, HEAD, CHARACTER = 1360, 17, 60, 6.7
#: calls narrower than this share of the picture are left out of it
LEAST = 0.0003
COLOURS = {"lproxy": "#f08a4b", "twisted": "#8fb8de", "python": "#f2d388", "native": "#b5cf9b"}
#: how Python's functions are written: py-spy has their files, --profile-port their modules
PYTHON = re.compile(r"\.py\b|<frozen |^[\w.]+:[\w.<>]+$")

Stack = tuple[str, ...]


def parse(lines: Iterable[str]) -> dict[Stack, int]:
    """Folded stacks: C{outer;inner;innermost count} on each line."""
    stacks: dict[Stack, int] = {}
    for line in lines:
        names, _, count = line.strip().rpartition(" ")
        if names and count.isdecimal():
            stack = tuple(names.split(";"))
            stacks[stack] = stacks.get(stack, 0) + int(count)
    return stacks


def kind(name: str) -> str:
    """Whose code a call is."""
    if not PYTHON.search(name):
        return "native"
    for whose in ("twisted", "lproxy"):
        if re.search(rf"\b{whose}[./]", name):
            return whose
    return "python"


def share(stacks: Mapping[Stack, int], whose: str) -> float:
    """The share of the time in which C{whose} code is on the stack."""
    total = sum(stacks.values())
    mine = sum(count for stack, count in stacks.items() if any(kind(name) == whose for name in stack))
    return mine / total if total else 0.0


@dataclass
class Call:
    """A call in the tree that the stacks make."""

    name: str
    count: int = 0
    inner: dict[str, "Call"] = field(default_factory=dict)


def tree(stacks: Mapping[Stack, int]) -> Call:
    """All stacks as one tree."""
    root = Call("all")
    for stack, count in stacks.items():
        root.count += count
        call = root
        for name in stack:
            call = call.inner.setdefault(name, Call(name))
            call.count += count
    return root


def boxes(root: Call) -> Iterable[tuple[Call, int, float, float]]:
    """Each call with its depth, its left edge and its width, as shares of the whole; the wide ones first."""
    waiting = [(root, 0, 0.0)]
    while waiting:
        call, depth, left = waiting.pop()
        width = call.count / root.count
        if width < LEAST:
            continue
        yield call, depth, left, width
        for inner in sorted(call.inner.values(), key=lambda one: one.name):
            waiting.append((inner, depth + 1, left))
            left += inner.count / root.count


SCRIPT = """
const W = %(width)d, CHAR = %(character)s, all = [...document.querySelectorAll('g.c')];
const of = (g, k) => parseFloat(g.dataset[k]);
function fit(name, room) {
  if (room < 3) return '';
  if (name.length > room && !name.includes('(')) name = name.slice(name.lastIndexOf(':') + 1);
  return name.length <= room ? name : name.slice(0, room - 1) + '\\u2026';
}
function draw(f) {
  const x0 = of(f, 'x'), w0 = of(f, 'w'), d0 = of(f, 'd'), tiny = 1e-9;
  for (const g of all) {
    let x = of(g, 'x'), w = of(g, 'w');
    const above = of(g, 'd') < d0 && x <= x0 + tiny && x + w >= x0 + w0 - tiny;
    const inside = of(g, 'd') >= d0 && x >= x0 - tiny && x + w <= x0 + w0 + tiny;
    g.style.display = above || inside ? '' : 'none';
    if (!above && !inside) continue;
    x = above ? 0 : (x - x0) / w0 * W; w = above ? W : w / w0 * W;
    g.style.opacity = above ? 0.55 : 1;
    const r = g.querySelector('rect'), t = g.querySelector('text'), n = Math.floor((w - 6) / CHAR);
    r.setAttribute('x', 10 + x); r.setAttribute('width', Math.max(w - 0.5, 0.2)); t.setAttribute('x', 13 + x);
    t.textContent = fit(g.dataset.n, n);
  }
}
function search() {
  const words = prompt('a name, or a part of one (a regular expression)'), said = document.getElementById('said');
  let re = null, sum = 0; const marked = [];
  try { if (words) re = new RegExp(words, 'i'); } catch (e) { said.textContent = e.message; return; }
  for (const g of all) {
    const hit = re && re.test(g.dataset.n);
    g.querySelector('rect').setAttribute('fill', hit ? '#c04ac0' : g.dataset.c);
    if (hit) marked.push(g);
  }
  for (const g of marked) {
    const inner = marked.some(o => of(o, 'd') < of(g, 'd') && of(o, 'x') <= of(g, 'x') + 1e-9 &&
      of(o, 'x') + of(o, 'w') >= of(g, 'x') + of(g, 'w') - 1e-9);
    if (!inner) sum += of(g, 'w');
  }
  said.textContent = re ? words + ': ' + (100 * sum).toFixed(1) + ' %%' : '';
}
for (const g of all) g.addEventListener('click', () => draw(g));
document.getElementById('reset').addEventListener('click', () => draw(all[0]));
document.getElementById('search').addEventListener('click', search);
draw(all[0]);
"""


def fit(name: str, room: int) -> str:
    """As much of C{name} as has room: without its module first, then cut off. The script does the same on a zoom."""
    if room < 3:
        return ""
    if len(name) > room and PYTHON.search(name) and "(" not in name:
        name = name.rpartition(":")[2]
    return name if len(name) <= room else name[: room - 1] + "\u2026"


def svg(stacks: Mapping[Stack, int], title: str, unit: str = "samples") -> str:
    """
    The picture.

    @param unit: what the stacks' counts are
    """
    root = tree(stacks)
    if not root.count:
        raise ValueError("no stacks to draw")
    drawn = list(boxes(root))
    height = HEAD + ROW * (max(depth for _, depth, _, _ in drawn) + 1) + 12
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 20} {height}" width="{WIDTH + 20}" '
        f'height="{height}" font-family="DejaVu Sans Mono, Menlo, monospace" font-size="11">',
        "<style>g.c { cursor: pointer } g.c:hover rect { stroke: #222 } text { pointer-events: none } "
        ".b { cursor: pointer; pointer-events: auto; fill: #1d5fa8 }</style>",
        f'<rect width="100%" height="100%" fill="#fff"/><text x="10" y="22" font-size="16">{escape(title)}</text>',
        f'<text x="10" y="44" fill="#555">{root.count:,} {escape(unit)}</text>',
        f'<text x="{WIDTH - 90}" y="22" class="b" id="search">search</text>',
        f'<text x="{WIDTH - 30}" y="22" class="b" id="reset">reset</text><text x="{WIDTH - 420}" y="22" id="said"/>',
    ]
    for n, (whose, colour) in enumerate(COLOURS.items()):
        x = WIDTH - 440 + 115 * n
        out.append(
            f'<rect x="{x}" y="34" width="12" height="12" fill="{colour}"/><text x="{x + 17}" y="44">{whose}</text>'
        )
    for call, depth, left, width in drawn:
        name, colour = escape(call.name), COLOURS[kind(call.name)] if depth else "#ddd"
        room = int((width * WIDTH - 6) / CHARACTER)
        shown = fit(call.name, room)
        y = HEAD + ROW * depth
        out.append(
            f'<g class="c" data-n="{name}" data-c="{colour}" data-d="{depth}" data-x="{left:.9f}" data-w="{width:.9f}">'
            f"<title>{name}: {call.count:,} {escape(unit)}, {width:.2%}</title>"
            f'<rect x="{10 + left * WIDTH:.2f}" y="{y}" width="{max(width * WIDTH - 0.5, 0.2):.2f}" height="{ROW - 1}" '
            f'fill="{colour}"/><text x="{13 + left * WIDTH:.2f}" y="{y + 12}">{escape(shown)}</text></g>'
        )
    script = SCRIPT % {"width": WIDTH, "character": CHARACTER}
    return "\n".join([*out, f"<script><![CDATA[{script}]]></script>", "</svg>", ""])


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m benchmark.flame FILE.folded > FILE.svg", file=sys.stderr)
        return 2
    stacks = parse(Path(sys.argv[1]).read_text().splitlines())
    if not stacks:
        print(f"{sys.argv[1]}: no folded stacks", file=sys.stderr)
        return 1
    print(svg(stacks, Path(sys.argv[1]).stem, "us of CPU"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
