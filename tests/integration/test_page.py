# -*- test-case-name: tests.integration.test_page -*-
"""
The admin server's page in a browser: a real one, without a window.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from typing import Any
from urllib.error import HTTPError

from twisted.internet.task import deferLater
from twisted.internet.threads import blockingCallFromThread

from lproxy.admin import live
from lproxy.admin.server import admin_site
from lproxy.config import Admin, Config, Listen, Service
from lproxy.errors import Failed
from tests.admin.case import FakeProxy
from tests.integration.chromium import Page, chromium
from tests.integration.http_case import GET, OK, HttpCase, Wire, reactor, threaded

#: what clients and certificates may call themselves, and what would show that a browser took it for more than text
HOSTILE = '<img src=x onerror="document.body.dataset.owned=1"></td></tr><script>document.body.dataset.owned=2</script>'
NARROW, WIDE = 400, 1280
#: what is seen against what, of every text on the page: the least contrast (WCAG 2.2, 1.4.3), and where
CONTRAST = """(() => {
  const numbers = colour => colour.match(/[0-9.]+/g).map(Number);
  const linear = one => (one /= 255) <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
  const light = colour => colour.slice(0, 3).map(linear)
    .reduce((sum, one, n) => sum + one * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some(child => child.nodeType === 3 && child.nodeValue.trim())) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) least = [ratio, element.outerHTML.slice(0, 200)];
  }
  return least;
})()"""
#: what has the focus: the address that it leads to, else what it is; whether that can be seen, and what it is called
FOCUSED = """(() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 && box.width > 0 && box.bottom > 0
    && box.top < innerHeight;
  const label = document.getElementById(at.getAttribute("aria-labelledby") || "-") || at;
  return [at.getAttribute("href") || at.tagName, seen, at.getAttribute("aria-label") || label.textContent.trim()];
})()"""


class PageCase(HttpCase):
    """A page of a proxy of the test's."""

    def config(self) -> Config:
        address = "127.0.0.1:0"
        return Config(
            admin=Admin(address=address),
            listen=(
                Listen(name="web", address=address),
                Listen(name="shut", address=address, target="service:gone:80"),
            ),
            services={
                "web.local:80": Service("web.local:80", (self.upstream.address,)),
                "gone:80": Service("gone:80", ("127.0.0.1:1",)),
            },
        )

    def setUp(self) -> None:
        # what a person waits for is too long for a test
        self.patch(live, "INTERVAL", 0.1)
        self.patch(live, "PACE", 1)
        self.pages: list[Page] = []
        super().setUp()

    async def tearDown(self) -> None:
        for page in self.pages:
            page.close()
        # a browser keeps its connections for a while
        for _ in range(1_000):
            if not any("HTTPChannel" in repr(one) for one in reactor.getReaders()):
                break
            await deferLater(reactor, 0.01)
        await super().tearDown()

    def opened(self, path: str = "/", port: int | None = None, scripts: bool = True) -> Page:
        """The page in a browser, from a test's thread."""
        page = chromium().page()
        self.pages.append(page)
        page.width(WIDE)
        if not scripts:
            page.tell("Emulation.setScriptExecutionDisabled", value=True)
        self.home = f"http://127.0.0.1:{port or self.admin}"
        page.go(self.home + path)
        return page

    @property
    def admin(self) -> int:
        """The port of the admin server."""
        address = self.proxy.admin_address()
        assert address is not None
        return address[1]

    def traffic(self, times: int = 1) -> Wire:
        """Requests on one connection, each answered; and one that fails."""
        if not self.upstream.wires:
            client, up = self.ask(GET, OK)
            client.message()
            self.http, self.up = client, up
            self.client(GET, port="shut").message()
            times -= 1
        for _ in range(times):
            self.http.send(GET)
            self.up.message()
            self.up.send(OK)
            self.http.message()
        return self.http

    def quiet(self, page: Page) -> None:
        """Nothing was complained of, and nobody else was asked for anything."""
        self.assertEqual([], page.complaints())
        self.assertEqual(set(), {url for url in page.asked() if not url.startswith((self.home, "data:"))})


class PageTests(PageCase):
    """What a person sees and does."""

    @threaded
    def test_live(self) -> None:
        """
        Figures follow by themselves; who has the focus in a table keeps it; an end of the connection is said, and
        what comes after it is shown again.
        """
        self.traffic()
        page = self.opened()
        service = "document.getElementById('service-outbound-http-web.local:80')"
        page.until(f"{service} && document.querySelector('strong').textContent !== 'all time'")
        page.run(f"{service}.kept = true")
        page.run(f"{service}.querySelector('td a').focus()")
        for _ in range(3):
            self.traffic()
        page.until(f"parseFloat({service}.cells[2].textContent) > 0")
        self.assertEqual("100 %", page.run(f"{service}.cells[3].textContent"))
        self.assertEqual("web.local:80", page.run("document.activeElement.textContent"))
        self.assertTrue(page.run(f"{service}.kept"), "nobody has put another row into its place")
        row = page.until("document.querySelector('#failures tbody tr')?.textContent")
        self.assertRegex(row, r"ago1connect(?:gone:80|127.0.0.1:1)")
        self.quiet(page)
        page.run("source.close(), source.onerror()")
        self.assertIn("old", page.run("getComputedStyle(document.querySelector('p.ready'), '::after').content"))
        page.run("watch()")
        page.until("!document.body.classList.contains('lost')")

    @threaded
    def test_hidden(self) -> None:
        """Nobody is told anything while the page cannot be seen, and all that there is once it can."""
        page = self.opened()
        page.until("source?.readyState === 1")
        page.run("Object.defineProperty(document, 'hidden', { get: () => window.away, configurable: true })")
        page.run("window.away = true, document.dispatchEvent(new Event('visibilitychange'))")
        self.assertEqual(True, page.run("source === null"))
        page.run("window.away = false, document.dispatchEvent(new Event('visibilitychange'))")
        page.until("source?.readyState === 1")
        self.quiet(page)

    @threaded
    def test_without_script(self) -> None:
        """All of it is there for browsers that run no scripts: figures, filter and order."""
        self.traffic(3)
        page = self.opened("/?q=web.local&sort=p99", scripts=False)
        text = page.run("document.querySelector('main').textContent")
        for word in ("web.local:80", "100 %", "ready", "Recent failures", "127.0.0.1:1 refused", self.upstream.address):
            self.assertIn(word, text)
        self.assertEqual("web.local", page.run("document.querySelector('input[type=search]').value"))
        self.assertEqual("p99", page.run("document.querySelector('[aria-sort]').textContent"))
        self.assertEqual([], [url for url in page.asked() if url.endswith("/events")])
        self.quiet(page)

    @threaded
    def test_keyboard(self) -> None:
        """
        Tab reaches every link, field and table, and what has the focus is seen and named; Enter opens it; each link
        has an answer; there is one of each landmark, and heads of columns are heads.
        """
        self.traffic()
        page = self.opened()
        page.run("source.close()")
        links = page.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
        reached: Counter[str] = Counter()
        for _ in range(page.run("document.querySelectorAll('a, input, button, [tabindex]').length")):
            page.press("Tab")
            what, seen, name = page.run(FOCUSED)
            self.assertTrue(seen and name, (what, seen, name))
            reached[what] += 1
        self.assertEqual(Counter(links), Counter({name: n for name, n in reached.items() if name[0] in "/#"}))
        self.assertEqual({"INPUT": 1, "BUTTON": 1}, {name: reached[name] for name in ("INPUT", "BUTTON")})
        self.assertEqual(page.run("document.querySelectorAll('table').length"), reached["DIV"])
        for selector in ("header", "nav[aria-label]", "main", "footer", "form[role=search]", "h1", "[role=status]"):
            self.assertEqual(1, page.run(f"document.querySelectorAll('{selector}').length"), selector)
        self.assertEqual(0, page.run("document.querySelectorAll('th:not([scope])').length"))
        self.assertTrue(page.run("document.documentElement.lang && document.title"))
        for link in sorted(set(links)):
            if link.startswith("#"):
                self.assertTrue(page.run(f"document.getElementById('{link[1:]}') !== null"), link)
            else:
                self.assertEqual(200, self.status(link), link)
        page.run("document.querySelector('#services td a').focus()")
        page.press("Enter")
        page.until("location.search !== '' && document.readyState === 'complete'")
        self.assertIn("in their names", page.run("document.querySelector('#services h2').textContent"))
        self.quiet(page)

    def status(self, path: str) -> int:
        """What C{path} is answered with."""
        try:
            with urllib.request.urlopen(self.home + path, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as e:
            return e.code

    @threaded
    def test_looks(self) -> None:
        """By day and by night each text can be read; nothing is wider than the window, narrow or wide."""
        self.traffic()
        page = self.opened()
        grounds = set()
        for scheme in ("light", "dark"):
            page.prefer(scheme)
            ratio, where = page.run(CONTRAST)
            self.assertGreaterEqual(ratio, 4.5, f"{scheme}: {where}")
            grounds.add(page.run("getComputedStyle(document.body).backgroundColor"))
        self.assertEqual(2, len(grounds))
        for width in (WIDE, NARROW):
            page.width(width)
            self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)
            for selector in ("input[type=search]", "button", "#services h2", "p.ready"):
                box = page.run(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
                self.assertTrue(box["left"] >= 0 and box["right"] <= width, (width, selector, box))
        self.quiet(page)


class Hostile(FakeProxy):
    """Whatever is shown has a name that peers have chosen, or might."""

    def row(self, **more: Any) -> dict[str, Any]:
        endpoints = [{"address": HOSTILE, "state": HOSTILE, "last_error": HOSTILE, "client_ids": [HOSTILE]}]
        return {"target": HOSTILE, "state": HOSTILE, "last_error": HOSTILE, "endpoints": endpoints, **more}

    def services(self, wanted: str = "") -> list[dict[str, Any]]:
        return [self.row(protocol="kafka"), self.row(protocol=HOSTILE, direction=HOSTILE)]

    def connections(self, limit: int = 1_000) -> list[dict[str, Any]]:
        names = ("client", "remote_identity", "listener", "protocol", "state", "target", "upstream", "path", "agent")
        return [dict.fromkeys(names, HOSTILE), {"sni": HOSTILE, "worker": HOSTILE}]

    def failures(self) -> list[dict[str, Any]]:
        parts = Failed(HOSTILE, HOSTILE, HOSTILE, 0.1)
        row = {"at": time.time(), "kind": HOSTILE, "text": HOSTILE, "times": 1, "key": HOSTILE}
        return [{**row, "layer": parts.layer, "target": parts.target, "cause": parts.cause}]

    def glance(self) -> dict[str, Any]:
        listen = {"name": HOSTILE, "direction": HOSTILE, "target": HOSTILE, "protocol": HOSTILE, "tls": HOSTILE}
        return {"listen": [listen], "live": {"file": HOSTILE, "since": HOSTILE, "hash": HOSTILE}}

    def draining(self) -> list[dict[str, Any]]:
        return [{"pid": HOSTILE, "connections": HOSTILE, "in_flight": HOSTILE, "seconds": 1, "within": 2}]

    def workers(self) -> list[Any]:
        return [{"worker": HOSTILE, "pid": HOSTILE, "state": HOSTILE, "held_by": HOSTILE}]


class HostileTests(PageCase):
    """Names that are more than names."""

    def served(self) -> int:
        """The port of an admin server that shows them."""
        proxy = Hostile()
        proxy.reason = HOSTILE
        site = admin_site(proxy, self.proxy.metrics, Admin(), "127.0.0.1", reactor, time.time)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    @threaded
    def test_text(self) -> None:
        """Markup in names is text, on the page as it comes, as the script keeps it, and in the filter."""
        page = self.opened(
            f"/?q={'%22%3E' + urllib.request.quote(HOSTILE)}", blockingCallFromThread(reactor, self.served)
        )
        page.until("document.querySelector('strong').textContent !== 'all time'")
        text = page.run("document.body.innerText")
        self.assertGreater(text.count(HOSTILE), 20, text)
        self.assertEqual(
            [None, 0, 1],
            page.run(
                "[document.body.dataset.owned ?? null, "
                "document.querySelectorAll('img').length, document.querySelectorAll('script').length]"
            ),
        )
        for part in re.findall('<section id="([a-z]+)"', page.run("document.body.innerHTML")):
            self.assertTrue(page.run(f"document.querySelector('main > #{part}') !== null"), part)
        self.quiet(page)
