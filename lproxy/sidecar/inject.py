# -*- test-case-name: tests.sidecar.test_inject -*-
"""
From a manifest to the manifest with sidecars: reading, deciding, and writing no more than what changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from lproxy.sidecar.manifest import JOBS, Document, Pods, Unreadable, documents, line, pods, shown
from lproxy.sidecar.patch import Change, patched
from lproxy.sidecar.pod import expect_annotations, inject, why_not
from lproxy.sidecar.settings import INJECTED, PREFIX, Settings, annotated


@dataclass(frozen=True)
class Injected:
    """
    @ivar text: the manifest
    @ivar notes: what became of each object that makes pods, a line each
    @ivar pods: how many have a sidecar now
    """

    text: str
    notes: list[str]
    pods: int


def injected(text: str, settings: Settings) -> Injected:
    """
    C{text} with a sidecar in each pod that is to have one. What has one, as it is to be, stays as it is.

    @raise Unreadable: what is wrong, beginning with line, document and path; nothing is changed then
    """
    notes: list[str] = []
    count = 0
    found = documents(text)
    for document in found:
        try:
            for one in pods(document.new):
                note = put(one, settings)
                count += not note
                notes.append(f"{one}: {note or 'has the sidecar'}")
        except Unreadable as e:
            raise Unreadable(f"{placed(document, e)}{e}") from e
    if not count and not notes:
        notes.append("nothing in it makes pods")
    changes = [Change(document.node, document.old, document.new) for document in found]
    result, lost = patched(text, changes)
    for document, change in zip(found, changes, strict=True):
        if change in lost:
            notes.append(f"document {document.number}: written anew, without its comments")
    return Injected(result, notes, count)


def put(one: Pods, settings: Settings) -> str:
    """Give pods their sidecar, or say why they get none; the path of an L{Unreadable} is that from the document."""
    try:
        why = why_not(one.template, one.own)
        if why:
            has = ", with the sidecar that it has" if PREFIX + INJECTED in expect_annotations(one.template) else ""
            return f"left as it is{has}: {why}"
        try:
            own = annotated(settings, expect_annotations(one.template))
        except ValueError as e:
            raise Unreadable(str(e), ("metadata", "annotations")) from e
        inject(one.template, own, one.kind in JOBS)
    except Unreadable as e:
        raise Unreadable(str(e), (*one.path, *e.path), str(one)) from e
    return ""


def placed(document: Document, error: Unreadable) -> str:
    """C{line 12: document 2, Pod web: spec.containers: }"""
    of = f", {error.of}" if error.of else ""
    path = f"{shown(error.path)}: " if error.path else ""
    return f"line {line(document.node, error.path)}: document {document.number}{of}: {path}"
