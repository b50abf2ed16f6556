# -*- test-case-name: tests.test_docs -*-
"""
How Sphinx makes the book: C{sphinx-build -W --keep-going docs OUT}.

The pages are plain reStructuredText that reads well without Sphinx, too, and docstrings are epytext, as Twisted's are.
What Sphinx wants instead is made here, of both: links between pages become C{:doc:}, C{C{}}, C{L{}} and fields become
roles and field lists.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import os
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from unittest import mock

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from zope.interface.interface import InterfaceClass, Method

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import lproxy.api  # noqa: E402  (found by the line above)
from lproxy import cli  # noqa: E402

project = "lproxy"
author = "lproxy's contributors"
version = release = lproxy.__version__
extensions = ["sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"lproxy {release}"
html_copy_source = False
html_show_copyright = False
# of what does not say its language: commands, mostly
highlight_language = "none"
exclude_patterns = ["_build"]
nitpicky = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"show-inheritance": True}

#: a link to another page, as those who read the file itself follow it
LINK = re.compile(r"`([^`<]+?)\s+<([\w./-]+?)\.rst>`_")
CONTENTS = re.compile(r"^\.\. contents::.*\n(?:   :.*\n)*", re.MULTILINE)
#: C{X}, I{X}, B{X} and L{X}, nested at most as in C{dict[str, {}]}
MARKUP = re.compile(r"\b([CIBL])\{((?:[^{}]|\{[^{}]*\})*)\}", re.DOTALL)
FIELD = re.compile(r"^(\s*)@(\w+)((?: [^:]+)?):\s*(.*)$")
#: in docs/commands.rst, where what the commands themselves say belongs
HELP = ".. help of all commands: docs/conf.py puts it here\n"
#: in docs/api.rst, where the names belong that autodoc passes over
REST = ".. the rest of lproxy.api: docs/conf.py puts it here\n"
#: where the name of a file in README.rst and CHANGES.rst leads to in the book
PAGES = {"CHANGES": "changes", "README": "introduction"}


def links(text: str, folder: str) -> str:
    """
    C{text} with its links to other pages as roles.

    @param folder: where it is, from docs/: C{""}, C{"operations"}, or C{".."} for what is included from the root
    """

    def role(match: re.Match[str]) -> str:
        page = posixpath.normpath(posixpath.join("docs", folder, match[2]))
        name = page.removeprefix("docs/") if page.startswith("docs/") else PAGES[page]
        # who reads the file wants its name, who reads the book its title
        return f":doc:`/{name}`" if match[1].endswith(".rst") else f":doc:`{match[1]} </{name}>`"

    # the theme has each page's contents beside it
    return LINK.sub(role, CONTENTS.sub("", text))


def markup(text: str) -> str:
    """Epytext's inline markup as reStructuredText's."""

    def role(match: re.Match[str]) -> str:
        kind, said = match[1], re.sub(r"\s+", " ", match[2]).strip()
        if kind == "L":
            return f":py:obj:`{said}`"
        return f"*{said}*" if kind == "I" else f"**{said}**" if kind == "B" else f"``{said}``"

    return MARKUP.sub(role, text)


def fields(lines: list[str]) -> list[str]:
    """Epytext's fields as reStructuredText's, which wants a blank line before the first and after the last."""
    out: list[str] = []
    within: str | None = None
    for line in lines:
        match = FIELD.match(line)
        if match is not None:
            if within is None and out and out[-1].strip():
                out.append("")
            within, name, about, said = match[1], match[2], match[3], match[4]
            name = {"raise": "raises", "return": "returns", "cvar": "ivar"}.get(name, name)
            out.append(f"{within}:{name}{about}: {said}")
            continue
        if within is not None and line.strip() and not line.startswith(within + " "):
            within = None
            if out[-1].strip():
                out.append("")
        out.append(line)
    return out


def said(*command: str) -> str:
    """What a command says of itself."""
    out = io.StringIO()
    wide = mock.patch.dict(os.environ, COLUMNS="88")
    with wide, contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    return out.getvalue().rstrip()


def helps(*command: str) -> Iterator[str]:
    """A section for each command below C{command}, or for itself."""
    text = said(*command)
    below = re.findall(r"(?m)^    ([a-z][\w-]*) ", text.partition("\n  COMMAND\n")[2])
    if command and not below:
        title = f"``lproxy {' '.join(command)}``"
        yield from (title, "-" * len(title), "", "::", "")
        yield from (f"    {line}".rstrip() for line in text.split("\n"))
        yield ""
    for name in below:
        yield from helps(*command, name)


def homes(module: ModuleType) -> dict[str, ModuleType]:
    """Where the names are at home that C{module} has imported from elsewhere in lproxy."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imports = [
        node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lproxy")
    ]
    return {name.name: importlib.import_module(str(node.module)) for node in imports for name in node.names}


def remark(name: str, home: ModuleType) -> str:
    """What the comment above C{name} says of it."""
    source = Path(str(home.__file__)).read_text()
    match = re.search(rf"((?:^#: .*\n)+)(?:^[A-Z]\w* = .*\n)*?^{name}\b[^=\n]* = ", source, re.MULTILINE)
    return re.sub(r"(?m)^#: ", "", match[1]).strip() if match is not None else ""


def rest(module: ModuleType) -> Iterator[str]:
    """
    Entries for the names of C{module} that are neither classes nor functions: autodoc knows nothing of interfaces of
    zope, and of values and types by another name no more than that they are there.
    """
    at_home = homes(module)
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, InterfaceClass):
            yield from described(f"py:class:: {module.__name__}.{name}", str(value.__doc__), "")
            for below, part in value.namesAndDescriptions():
                kind = "py:method" if isinstance(part, Method) else "py:attribute"
                shape = part.getSignatureString() if isinstance(part, Method) else ""
                yield from described(f"{kind}:: {below}{shape}", part.__doc__, "   ")
        elif not isinstance(value, type | FunctionType):
            yield from described(f"py:data:: {module.__name__}.{name}", remark(name, at_home[name]), "")


def described(what: str, doc: str, indent: str) -> Iterator[str]:
    """A directive with what there is to say."""
    yield from (f"{indent}.. {what}", "")
    said = fields(markup(inspect.cleandoc(doc or "")).split("\n"))
    yield from (f"{indent}   {line}".rstrip() for line in (*said, ""))


def docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Autodoc has read a docstring; those that Python made for named tuples say nothing."""
    lines[:] = [] if lines[0].startswith("Alias for field number") else fields(markup("\n".join(lines)).split("\n"))


def page(app: Sphinx, name: str, content: list[str]) -> None:
    """Sphinx has read a page."""
    content[0] = links(content[0], posixpath.dirname(name))
    if HELP in content[0]:
        content[0] = content[0].replace(HELP, "\n".join(helps()))
    if REST in content[0]:
        content[0] = content[0].replace(REST, "\n".join(rest(lproxy.api)))


def included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """A page includes a file of the root."""
    content[0] = links(content[0], "..").replace(".. image:: docs/", ".. image:: /")


def shown_by_the_door(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element) -> Element | None:
    """
    Annotations name where a class is at home; it is documented where plugins import it from.

    What is documented nowhere (Twisted's, Python's, our own business) is its name alone, and no mistake.
    """
    if node.get("refdomain") != "py":
        return None
    domain, name = env.domains.python_domain, node["reftarget"].rpartition(".")[2]
    for door in ("lproxy.api", "lproxy.testing"):
        if f"{door}.{name}" in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"{door}.{name}", node, contnode)
    return contnode


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", page)
    app.connect("include-read", included)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("missing-reference", shown_by_the_door)
