# -*- test-case-name: tests.testing.test_feed -*-
"""
Feed a codec as networks do: all at once, byte by byte, and with trailing bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Codec = Callable[[bytes], Iterable[Any]]


def feed_three_ways(
    make_codec: Callable[[], Codec],
    data: bytes,
    trailing: bytes = b"",
    joined: Callable[[list[Any]], list[Any]] = lambda events: events,
) -> list[Any]:
    """
    What C{data} means to a codec, which must not depend on how it arrives.

    @param make_codec: makes a new codec: called with bytes, it returns the events that these complete
    @param trailing: what follows C{data} in the third way; with it, the events of C{data} must come first
    @param joined: puts together what may come in pieces, such as a body
    @return: the events of C{data}
    @raise AssertionError: they differ
    """
    whole = joined(list(make_codec()(data)))
    codec = make_codec()
    single = joined([event for i in range(len(data)) for event in codec(data[i : i + 1])])
    if single != whole:
        raise AssertionError(f"byte by byte {data[:200]!r} becomes\n{single}\nand at once it becomes\n{whole}")
    if trailing:
        more = joined(list(make_codec()(data + trailing)))
        if more[: len(whole)] != whole:
            raise AssertionError(f"before {trailing[:200]!r}, {data[:200]!r} becomes\n{more}\nand alone\n{whole}")
    return whole
