# -*- test-case-name: tests.configfile.test_syntax -*-
"""
What is no TOML: where, and what was probably meant.

C{tomllib} stops at the first thing that it cannot read. What it says is for those who know TOML's grammar; users write
YAML, JSON, shell variables, names without quotes and the same key twice.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib

from lproxy.configfile.lines import scan
from lproxy.configfile.pieces import DEEP, MAX_PARTS, read_pieces
from lproxy.configfile.problem import Problem, show, spell

#: C{3s} without quotes, the most common mistake
UNQUOTED = re.compile(r"=\s*([0-9.]{1,40}(?:ms|[smhB]|[KMG]iB|kB|MB))\b")
#: C{[services.web.local:80]}
HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_-]+)\.([^\"'\[\]]+)\]")
#: C{key: value}, C{- item}, C{---}
YAML = re.compile(r"(?:---\s*|\s*(?:- )?[A-Za-z0-9_\"'.-]+:(?:\s.*)?|\s*- .*)")
#: C{server { }, C{upstream web {}: nginx, HCL, Caddy
BRACES = re.compile(r"\s*[A-Za-z_][\w\"' ./:*-]*\{\s*")
VARIABLE = re.compile(r"=\s*\$")
BOOLEAN = re.compile(r"=\s*(?:(True|TRUE|yes|Yes|on|On)|(False|FALSE|no|No|off|Off))\s*(?:#.*)?")
#: a value without quotes: C{web}, C{127.0.0.1:80}, C{/var/log/x}
BARE = re.compile(r"=\s*([A-Za-z0-9_./:*\[-][^\s\"'#,]*)\s*(?:#.*)?")
#: a key as tomllib prints it
TUPLE = re.compile(r"\((?:'[^']*'|\"[^\"]*\")(?:, (?:'[^']*'|\"[^\"]*\"))*,?\)")

TOML = "lproxy reads TOML: write key = value, below a table such as [admin] or [[listen]]"


def parse(text: str, name: str) -> dict[str, object] | Problem:
    """What C{text} says, or why it is no TOML."""
    found = read_pieces(text)
    if found is not None:
        return found
    if deep := DEEP.search(text):
        line = text.count("\n", 0, deep.start()) + 1
        return Problem("error", name, line, "", f"not valid TOML: a key of more than {MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        return Problem("error", name, None, "", "not valid TOML: nested too deeply")
    except tomllib.TOMLDecodeError as error:
        return problem(text, name, error)
    except ValueError:  # from int() itself
        return Problem("error", name, None, "", "not valid TOML: a number of thousands of digits")


def problem(text: str, name: str, error: ValueError) -> Problem:
    """What is wrong with C{text}, of which C{tomllib} says C{error}."""
    if other := other_format(text):
        return Problem("error", name, first_line(text)[0], "", f"not TOML but {other}", TOML)
    message = str(error)
    line = text.count("\n") + 1 if message.endswith("(at end of document)") else None
    if place := re.search(r" \(at line ([0-9]+), column ([0-9]+)\)$", message):
        line = int(place[1])
        message = f"{message[: place.start()]}, at column {place[2]}"
    if repeated := twice(text, name, message):
        return repeated
    right = meant(text.split("\n")[line - 1], message) if line is not None else ""
    return Problem("error", name, line, "", f"not valid TOML: {TUPLE.sub(spelled, message)}", right)


def twice(text: str, name: str, message: str) -> Problem | None:
    """The key or table that C{text} has twice, where C{message} is about one."""
    if not re.match(r"Cannot (overwrite|declare)|Duplicate", message):
        return None
    for path, first, line in scan(text).repeated:
        if "declare" in message:
            double = path == ("listen",)
            right = (
                "write [[listen]], in double brackets, for each listener" if double else "put all its keys below one"
            )
            return Problem("error", name, line, f"[{spell(path)}]", f"is declared twice, on line {first} too", right)
        return Problem(
            "error", name, line, spell(path), f"is given twice, on line {first} too", "leave out one of the two"
        )
    return None


def meant(line: str, message: str) -> str:
    """What would be right on the C{line} that is none of TOML's."""
    if slip := UNQUOTED.search(line):
        return f'durations and sizes stand in quotes: write "{slip[1]}"'
    if (slip := HEADER.match(line)) and re.search(r"[^A-Za-z0-9_. -]", slip[3]):
        closing = "]" * len(slip[1])
        return f"names with dots or colons stand in quotes: write {slip[1]}{slip[2]}.{show(slip[3].strip())}{closing}"
    if "\u201c" in line or "\u201d" in line:
        return 'write straight quotes: "'
    if re.search(r"(?:[\]\"'0-9]|true|false)\s*(?:;|//|--)", line):
        return "comments begin with #, and nothing ends a line"
    if VARIABLE.search(line):
        return "variables are not replaced: write the value, or fill it in before: envsubst < FILE"
    if slip := BOOLEAN.search(line):
        return f"write {'true' if slip[1] else 'false'}"
    if re.search(r"\\[A-Za-z]", line) and re.match("Invalid hex|Unescaped|Escaped", message):
        return "write a path in single quotes, where a backslash is one: 'C:\\logs'"
    if YAML.fullmatch(line) or BRACES.fullmatch(line):
        return TOML
    if re.match("Invalid value|Expected newline", message) and (slip := BARE.search(line)):
        return f"text stands in quotes: write {show(slip[1])}"
    return ""


def other_format(text: str) -> str:
    """The format that C{text} is in, where it is another one."""
    line = first_line(text)[1]
    if line.startswith("{") or is_json(text):
        return "JSON"
    if line.startswith("<"):
        return "XML"
    if YAML.fullmatch(line):
        return "YAML"
    return "the configuration of another program" if BRACES.fullmatch(line) else ""


def first_line(text: str) -> tuple[int, str]:
    """Number and text of the first line that says something."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            return number, line.strip()
    return 1, ""


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def spelled(match: re.Match[str]) -> str:
    """A key as a file has it, not as Python has."""
    return spell(ast.literal_eval(match[0]))
