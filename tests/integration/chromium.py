# -*- test-case-name: tests.integration.test_page -*-
"""
A headless Chromium, told what to do by the DevTools protocol: JSON over two pipes, by the standard library alone.

https://chromedevtools.github.io/devtools-protocol/ has the names of commands and events.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import fcntl
import functools
import json
import os
import select
import shutil
import signal
import tempfile
import time
from typing import Any

from tests.components import missing

#: programs that would do, that which brings no windows first
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
#: what we write to and read from, as the other side has it (C{--remote-debugging-pipe})
COMMANDS, ANSWERS = 3, 4
#: seconds for whatever should be a matter of an instant, on a busy machine
PATIENCE = 45.0
#: nothing of its own: neither requests to its makers nor a sandbox, which root cannot have, nor a GPU
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
    *("--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-extensions"),
    *("--disable-component-update", "--disable-sync", "--mute-audio", "--no-proxy-server", "--no-zygote"),
)
#: virtual key codes and what a key says
KEYS = {"Tab": (9, ""), "Enter": (13, "\r")}

Event = dict[str, Any]


class Chromium:
    """The browser."""

    def __init__(self) -> None:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            missing("chromium is not installed")
        self._home = tempfile.mkdtemp(prefix="lproxy-chromium-")
        theirs, self._write = _high(*os.pipe())
        self._read, others = _high(*os.pipe())
        self.pid = os.posix_spawn(
            program,
            [program, *OPTIONS, f"--user-data-dir={self._home}", "about:blank"],
            {**os.environ, "HOME": self._home},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs, COMMANDS),
                (os.POSIX_SPAWN_DUP2, others, ANSWERS),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.path.join(self._home, "log"), os.O_WRONLY | os.O_CREAT, 0o600),
            ],
            setpgroup=0,
        )
        os.close(theirs)
        os.close(others)
        self._number = 0
        self._buffer = b""
        #: what happened on pages, by session
        self.events: dict[str, list[Event]] = {}

    def tell(self, method: str, session: str = "", /, **parameters: Any) -> dict[str, Any]:
        """Have it do something, and what it says to that."""
        self._number += 1
        said = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps({**said, "sessionId": session} if session else said).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            one = self._next(end)
            if one.get("id") == self._number:
                break
        if "error" in one:
            raise AssertionError(f"{method}: {one['error']}")
        result: dict[str, Any] = one["result"]
        return result

    def _next(self, end: float) -> dict[str, Any]:
        """What it says next; events are remembered."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                with open(os.path.join(self._home, "log"), errors="replace") as log:
                    raise AssertionError(f"chromium {'has ended' if ready else 'says nothing'}: {log.read()[-2000:]}")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        one: dict[str, Any] = json.loads(text)
        if "method" in one:
            self.events.setdefault(one.get("sessionId", ""), []).append(one)
        return one

    def page(self) -> Page:
        """An empty one."""
        context = self.tell("Target.createBrowserContext")["browserContextId"]
        target = self.tell("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        return Page(self, context, self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def end(self) -> None:
        """All of it is gone."""
        os.close(self._write)
        os.close(self._read)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        shutil.rmtree(self._home, ignore_errors=True)


class Page:
    """One page, which shares nothing with others."""

    def __init__(self, browser: Chromium, context: str, session: str) -> None:
        self._browser = browser
        self._context = context
        self._session = session
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """Have it do something."""
        return self._browser.tell(method, self._session, **parameters)

    def close(self) -> None:
        """It is gone."""
        self._browser.tell("Target.disposeBrowserContext", browserContextId=self._context)
        self._browser.events.pop(self._session, None)

    def go(self, url: str) -> None:
        """Load C{url}, all of it."""
        said = self.tell("Page.navigate", url=url)
        assert "errorText" not in said, said
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of what it promises."""
        said = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            raise AssertionError(f"{expression}: {said['exceptionDetails']}")
        return said["result"].get("value")

    def until(self, expression: str) -> Any:
        """The value of C{expression} once it is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(expression)):
            if time.monotonic() > end:
                raise AssertionError(f"not within {PATIENCE:g} s: {expression}")
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """A key, down and up."""
        code, text = KEYS[key]
        one = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **one)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **one)

    def width(self, pixels: int) -> None:
        """As wide as so many pixels."""
        self.tell("Emulation.setDeviceMetricsOverride", width=pixels, height=900, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """C{light} or C{dark}."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self) -> bytes:
        """All of it, as PNG."""
        return base64.b64decode(self.tell("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def events(self, *methods: str) -> list[Event]:
        """Those that came with one of C{methods}."""
        return [one["params"] for one in self._browser.events.get(self._session, ()) if one["method"] in methods]

    def complaints(self) -> list[Event]:
        """Whatever its console has."""
        return self.events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")

    def asked(self) -> list[str]:
        """The URLs that it has asked for."""
        return [one["request"]["url"] for one in self.events("Network.requestWillBeSent")]


def _high(*fds: int) -> list[int]:
    """The same, beyond those that the other side is to have, and closed there."""
    found = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds]
    for fd in fds:
        os.close(fd)
    return found


@functools.cache
def chromium() -> Chromium:
    """The one that all tests of a run share, until Python ends."""
    browser = Chromium()
    atexit.register(browser.end)
    return browser
