# -*- test-case-name: tests.admin.test_index -*-
"""
The first page: what there is to see, for people.
"""

from __future__ import annotations

from html import escape

_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>lproxy</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 44rem; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.6rem; }} small {{ color: #777; font-weight: normal; }}
.ready {{ color: #17692c; }} .not {{ color: #a3261b; }}
table {{ border-collapse: collapse; width: 100%; }} td {{ padding: .4rem .8rem .4rem 0; border-top: 1px solid #ddd; }}
td:first-child {{ white-space: nowrap; font-family: ui-monospace, monospace; }}
</style></head><body>
<h1>lproxy <small>{version}</small> <small class="{style}">{ready}</small></h1>
<table>
{rows}
</table>
<p>POST /shutdown and /log-level work from this machine, where the configuration turns them on.</p>
</body></html>
"""


def index(version: str, not_ready: str | None, pages: dict[str, str]) -> bytes:
    """
    @param not_ready: why the proxy is not ready, if it is not
    @param pages: what each is about, by its name; the one without a name is this
    """
    rows = "\n".join(
        f'<tr><td><a href="/{name}">/{name}</a></td><td>{escape(title)}</td></tr>'
        for name, title in pages.items()
        if name
    )
    return _HTML.format(
        version=escape(version),
        style="not" if not_ready else "ready",
        ready=escape(not_ready or "ready"),
        rows=rows,
    ).encode()
