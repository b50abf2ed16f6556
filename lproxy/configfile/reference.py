# -*- test-case-name: tests.configfile.test_reference -*-
"""
The reference of all settings, as reStructuredText, from the fields of L{lproxy.config}.
"""

from __future__ import annotations

import inspect
import json
import re

from lproxy.config import INBOUND, Config, Listen, Service, Timeouts
from lproxy.configfile.kinds import Setting, settings
from lproxy.configfile.load import TOP, plain_sections
from lproxy.configfile.profile.reference import sections, service_keys
from lproxy.configfile.services import SERVICE_HEADER

#: in the docs, what stands between these lines is generated
BEGIN = ".. begin of the generated reference: python -m lproxy.configfile --write FILE"
END = ".. end of the generated reference"


def reference() -> str:
    """Every table and every setting: its kind, its default and what it is for."""
    plain = plain_sections()
    # the top of the file, listeners and where they lead first, then the rest as config.py has it
    tables: dict[str, type] = {TOP: Config, "[[listen]]": Listen, SERVICE_HEADER: Service, "[timeouts]": Timeouts}
    tables |= {f"[{name}]": kind for name, kind in plain.items()}
    parts = []
    for header, kind in tables.items():
        parts.append(section(header, kind))
        if kind is Service:
            parts += ["\n".join(service_keys()), sections()]
    return "\n".join(parts)


def own_reference(kind: type) -> str:
    """The same for a plugin's own table, of which the docstring of C{kind} says the name first: C{C{[kafka]}}."""
    header = re.match(r"C\{([^}]*)\}", inspect.getdoc(kind) or "")
    return section(header[1] if header else kind.__name__, kind)


def refresh(page: str, text: str, begin: str = BEGIN) -> str:
    """
    C{page} with C{text} as its generated part.

    @param begin: the line that it stands below
    @raise ValueError: it has no such part
    """
    start, end = page.find(begin), page.find(END)
    if not 0 <= start < end:
        raise ValueError(f"the page needs a line {begin!r} and below it a line {END!r}")
    return f"{page[:start]}{begin}\n\n{text}\n{page[end:]}"


def section(header: str, kind: type) -> str:
    title = f"``{header}``" if header.startswith("[") else capital(header)
    lines = [title, "-" * len(title), ""]
    if summary := sentence(plain_text(inspect.getdoc(kind) or "")):
        lines += [summary, ""]
    for setting in settings(kind).values():
        lines += [
            f"``{setting.key}``",
            f"    {facts(setting, kind)}.",
            "",
            f"    {sentence(literal(setting.help))}",
            "",
        ]
    return "\n".join(lines)


def facts(setting: Setting, kind: type) -> str:
    """Kind and default on one line."""
    if setting.required:
        return f"{capital(setting.kind.name)}; required"
    text = f"{capital(setting.kind.name)}; default {toml(setting, setting.default)}"
    if kind is Timeouts and setting.key in INBOUND:
        text += f", inbound {toml(setting, INBOUND[setting.key])}"
    return text


def toml(setting: Setting, value: object) -> str:
    """C{value} as a file would have it."""
    write = setting.kind.write
    written = [write(element) for element in value] if isinstance(value, tuple) else write(value)
    return "unset" if written is None else f"``{json.dumps(written, ensure_ascii=False)}``"


def plain_text(docstring: str) -> str:
    """What a table's docstring says of it, without the header that the title repeats."""
    text = re.sub(r"C\{([^}]*)\}", r"``\1``", " ".join(docstring.split()))
    return re.sub(r"^``\[[^`]*``[:;.]\s*", "", text)


def literal(text: str) -> str:
    """A help text, whose stars emphasise nothing."""
    return text.replace("*", r"\*")


def sentence(text: str) -> str:
    text = capital(text)
    return text if not text or text.endswith(".") else f"{text}."


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
