# -*- test-case-name: tests.profiles.test_filters -*-
"""
Filters of the Gateway API's rules: edits of fields, rewrites and redirects; and what of them lproxy does not do.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lproxy.configfile.problem import Wrong, show
from lproxy.edits import REDIRECTS, bad_host, bad_path, bad_prefix, bad_value, forbidden
from lproxy.profile import Fields, Redirect, Rewrite
from lproxy.profiles.field import Field

#: each with the key that its settings stand below
TYPES: Final = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
    "CORS": "cors",
    "ExternalAuth": "externalAuth",
    "ExtensionRef": "extensionRef",
}
#: those that cannot be left out without harm, and what to do instead
NOT_DONE: Final = {
    "CORS": "CORS stays the application's affair",
    "ExternalAuth": "whom a service is for, allow and deny say",
    "ExtensionRef": "extensions are each implementation's own, and lproxy has none",
}


class Filters(NamedTuple):
    """What a rule does with requests and answers."""

    request: Fields | None = None
    response: Fields | None = None
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None


def read_filters(field: Field, prefixes: bool) -> Filters:
    """
    What the filters in C{field} do.

    @param prefixes: whether all of the rule's matches are of prefixes, which can be replaced
    """
    request: Fields | None = None
    response: Fields | None = None
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None
    seen: set[str] = set()
    for one in field.items():
        one.known("type", *TYPES.values())
        kind = one.need("type").one_of(*TYPES)
        if kind in seen and kind != "RequestMirror":
            one.error(f"a second {kind}", "write one of each type")
            continue
        seen.add(kind)
        if kind in NOT_DONE:
            one.error(f"lproxy does no {kind}", NOT_DONE[kind])
            continue
        if kind == "RequestMirror":
            one.warn("is left out: lproxy mirrors no requests")
            continue
        settings = one.need(TYPES[kind])
        if kind == "RequestHeaderModifier":
            request = _fields(settings)
        elif kind == "ResponseHeaderModifier":
            response = _fields(settings)
        elif kind == "URLRewrite":
            rewrite = _rewrite(settings, prefixes)
        else:
            redirect = _redirect(settings, prefixes)
    if rewrite is not None and redirect is not None:
        field.error("have a URLRewrite and a RequestRedirect", "leave out one of them")
    return Filters(request, response, rewrite, redirect)


def _fields(field: Field) -> Fields | None:
    field.known("set", "add", "remove")
    fixed, added, removed = field.get("set"), field.get("add"), field.get("remove")
    found = Fields(
        tuple(fixed.each(_pair)) if fixed is not None else (),
        tuple(added.each(_pair)) if added is not None else (),
        tuple(removed.each(lambda one: one.made(_editable))) if removed is not None else (),
    )
    return found if found != Fields() else None


def _pair(field: Field) -> tuple[str, str]:
    field.known("name", "value")
    return field.need("name").made(_editable), field.need("value").made(_valued)


def _editable(name: str) -> str:
    if wrong := forbidden(name):
        raise Wrong(f"{show(name)} {wrong}")
    return name.lower()


def _valued(value: str) -> str:
    if wrong := bad_value(value):
        raise Wrong(f"{show(value)} {wrong}")
    return value


def _rewrite(field: Field, prefixes: bool) -> Rewrite | None:
    field.known("hostname", "path")
    host = field.get("hostname")
    path, prefix = _path(field, prefixes)
    found = Rewrite(path, prefix, host.made(_host) if host is not None else "")
    return found if found != Rewrite() else None


def _redirect(field: Field, prefixes: bool) -> Redirect:
    field.known("scheme", "hostname", "path", "port", "statusCode")
    scheme, host, port, status = (field.get(name) for name in ("scheme", "hostname", "port", "statusCode"))
    path, prefix = _path(field, prefixes)
    code = status.whole(300, 399) if status is not None else 302
    if status is not None and code not in REDIRECTS:
        status.error(f"{code} is no redirect", f"they are {', '.join(map(str, REDIRECTS))}")
    return Redirect(
        code,
        scheme.one_of("http", "https") if scheme is not None else "",
        host.made(_host) if host is not None else "",
        port.whole(1, 65535) if port is not None else None,
        path,
        prefix,
    )


def _host(text: str) -> str:
    if wrong := bad_host(text):
        raise Wrong(f"{show(text)} {wrong}")
    return text


def _path(field: Field, prefixes: bool) -> tuple[str | None, str | None]:
    """The whole path, or what stands in a prefix's place."""
    path = field.get("path")
    if path is None:
        return None, None
    path.known("type", "replaceFullPath", "replacePrefixMatch")
    kind = path.need("type").one_of("ReplaceFullPath", "ReplacePrefixMatch")
    key = kind[0].lower() + kind[1:]
    wrong_with = bad_path if kind == "ReplaceFullPath" else bad_prefix
    value = path.need(key)
    # an empty prefix is nothing to YAML, unless in quotes
    text = value.text()
    if wrong := wrong_with(text):
        raise value.refuse(f"{show(text)} {wrong}")
    if kind == "ReplaceFullPath":
        return text, None
    if not prefixes:
        raise path.refuse("has a prefix to be replaced, and a match of the rule is of none", "match by PathPrefix")
    return None, text
