# -*- test-case-name: tests.profiles.test_read -*-
"""
From a file's bytes to what its documents describe, or to everything that is wrong with them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lproxy.configfile.problem import Problem, did_you_mean, show
from lproxy.configfile.profile.read import refuse_name
from lproxy.profiles import gateway, linkerd
from lproxy.profiles.described import Described, key
from lproxy.profiles.field import Field, Sheet, Skip
from lproxy.profiles.names import DOMAIN
from lproxy.profiles.tree import BadYaml, Mapping, documents


def _group(version: str) -> str:
    """Whose an C{apiVersion} is."""
    return version.partition("/")[0]


#: bytes of a file: a thousand services with ten routes each have half of that
MAX_FILE: Final = 4 * 1024 * 1024

#: the versions of each kind that are read
APIS: Final = {linkerd.KIND: (linkerd.API,), **dict.fromkeys(gateway.KINDS, gateway.APIS)}
#: whose kinds those are, and which others they have: another kind of theirs is most likely one of the above, misspelt
GROUPS: Final = frozenset(_group(version) for versions in APIS.values() for version in versions)
OTHERS: Final = frozenset({"Gateway", "GatewayClass", "TCPRoute", "TLSRoute", "UDPRoute"})


@dataclass(frozen=True, slots=True)
class Within:
    """
    Where documents are that do not say it themselves.

    @ivar namespace: of those without one; empty: unknown
    @ivar domain: the cluster's
    """

    namespace: str = ""
    domain: str = DOMAIN


@dataclass(frozen=True, slots=True)
class Pages:
    """
    One file, read.

    @ivar described: empty where there is any error
    @ivar problems: what is wrong with it
    """

    file: str
    described: tuple[Described, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Why it is not used; none: it is."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def too_long(file: str, size: int) -> Pages | None:
    """What there is to say of a file of C{size} bytes, without its being read; C{None}: nothing."""
    if size <= MAX_FILE:
        return None
    wrong = f"is {size} bytes long, and {MAX_FILE} are the most"
    return Pages(file, (), (Problem("error", file, None, "", wrong, "split it into several"),))


def read(file: str, content: bytes, within: Within) -> Pages:
    """What C{content} describes; never raises for what stands in it."""
    for pages in in_steps(file, content, within):
        if pages is not None:
            return pages
    raise AssertionError("the last step has all")


def in_steps(file: str, content: bytes, within: Within, before: Iterable[Described] = ()) -> Iterator[Pages | None]:
    """
    The same, bit by bit: C{None} for each, and at the end what all documents describe. Between the bits there is time
    for others.

    @param before: what the file described before: of the same, the same value is had again
    """
    if (refused := too_long(file, len(content))) is not None:
        yield refused
        return
    sheet = Sheet(file)
    if file.endswith(".toml"):
        sheet.error(None, (), "is TOML", 'routes in TOML stand in the configuration: [services."NAME".routes.ROUTE]')
        yield Pages(file, (), tuple(sheet.problems))
        return
    known = {key(one): one for one in before}
    found: list[Described] = []
    try:
        # utf-8-sig: editors' byte order mark is ignored
        text = content.decode("utf-8-sig")
        for node in documents(text):
            for field in _resources(Field(sheet, node)) if node is not None else ():
                described = yield from _described(field, within)
                if described is not None:
                    earlier = known.get(key(described))
                    found.append(earlier if earlier is not None and earlier == described else described)
            yield None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        sheet.error(line, (), f"not UTF-8: byte 0x{content[error.start]:02x}", "save the file as UTF-8")
    except BadYaml as error:
        sheet.error(error.line, (), error.wrong, error.right)
    problems = tuple(sorted(sheet.problems, key=lambda problem: problem.line or 0))
    yield Pages(file, () if sheet.failed else tuple(found), problems)


def _resources(field: Field) -> Iterator[Field]:
    """A document itself, or what is in it where it is a list of such: as kubectl writes several."""
    items = field.get("items") if _is_list(field) else None
    if items is None:
        yield field
    elif items.attempt(lambda one: list(one.items())) is not None:
        yield from items.items()


def _is_list(field: Field) -> bool:
    """Whether it is a C{List}, or as the API server has those of one kind, such as C{HTTPRouteList}."""
    return field.says("kind", "List") or any(field.says("kind", f"{kind}List") for kind in APIS)


def _described(field: Field, within: Within) -> Generator[None, None, Described | None]:
    try:
        if not isinstance(field.node, Mapping):
            raise field.refuse("is no resource of Kubernetes", "write apiVersion, kind, metadata and spec")
        kind = field.need("kind", f"it is one of {', '.join(APIS)}").text()
        version = field.need("apiVersion", "write that of its kind, such as linkerd.io/v1alpha2").text()
        if kind not in APIS:
            near = did_you_mean(kind, APIS)
            if near and kind not in OTHERS and _group(version) in GROUPS:
                raise field.need("kind").refuse(f"{show(kind)} is unknown", near)
            field.need("kind").warn(f"a {kind} says nothing of routes: it is passed over")
            return None
        if version not in APIS[kind]:
            right = did_you_mean(version, APIS[kind]) or f"it is one of {', '.join(APIS[kind])}"
            raise field.need("apiVersion").refuse(f"{show(version)} has no {kind} that is known", right)
        metadata = field.need("metadata", "write metadata: and below it name:").known(free=True)
        named = metadata.need("name")
        name = named.text()
        if wrong := refuse_name(name):
            raise named.refuse(wrong)
        own = metadata.get("namespace")
        namespace = own.text() if own is not None else within.namespace
        if kind == linkerd.KIND:
            return (yield from linkerd.read(field, name, namespace))
        return (yield from gateway.read(field, kind, name, namespace, within.domain))
    except Skip:
        return None
