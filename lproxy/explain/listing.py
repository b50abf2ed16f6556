# -*- test-case-name: tests.explain.test_listing -*-
"""
C{lproxy routes FILE}: the profiles in a file, as they were read: each service's routes, in the order in which they are
asked, what they are and what is done about their requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count

from lproxy.config import Config
from lproxy.configfile import Problem
from lproxy.configfile.collector import at_once
from lproxy.explain import words
from lproxy.profile import Profile
from lproxy.profiles.book import Book
from lproxy.profiles.library import Library
from lproxy.profiles.read import Within
from lproxy.target import join_host_port

#: how far what is said of a route stands to the right, C{response fields} being the longest word before it
_BESIDE = 17


def of_config(config: Config) -> Iterator[str]:
    """Those of a configuration: of its own tables, and of the files that it names."""
    for name, service in config.services.items():
        if service.profile is not None:
            yield from lines(name, service.profile)
    own = config.profiles
    library = Library(own.files, Within(own.namespace, own.cluster_domain), config.services)
    at_once(library.look(insist=True))
    yield from of_book(library.book)


def of_files(paths: Iterable[str]) -> tuple[list[str], list[Problem]]:
    """Those of files of Linkerd's profiles and of the Gateway API's routes, and what is wrong with them."""
    library = Library(list(paths), Within(), {})
    at_once(library.look(insist=True))
    return list(of_book(library.book)), library.problems()


def of_book(book: Book) -> Iterator[str]:
    """All that it knows, by host."""
    places = book.places()
    for host, port in places:
        profile = book.of(host, port or next(n for n in count(80) if (host, n) not in places))
        if profile is not None:
            yield from lines(host if port is None else join_host_port(host, port), profile)


def lines(name: str, profile: Profile) -> Iterator[str]:
    """What C{profile}, of whoever is called C{name}, says."""
    yield f"{name}: {words.several(len(profile.routes), 'route')}{f', {profile.source}' if profile.source else ''}"
    for kind, what in words.service(profile):
        yield f"    {kind:<{_BESIDE}}{what}"
    width = len(str(len(profile.routes)))
    for number, route in enumerate(profile.routes, 1):
        yield f"{number:>{width + 2}}  {route.name}"
        indent = " " * (width + 4)
        yield f"{indent}{'if':<{_BESIDE}}{words.condition(route.condition)}"
        for kind, what in words.policies(route):
            yield f"{indent}{kind:<{_BESIDE}}{what}"
    yield ""
