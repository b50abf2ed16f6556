# -*- test-case-name: tests.sidecar.test_inject -*-
"""
Kubernetes' word on a manifest, by the schemas of its API, strictly: what they do not know is a mistake.

They come with the package kubernetes-validate. Those of cert-manager v1.21, of which we use a part, are in
C{tests/schemas}: without descriptions, and without the kinds of issuers that we do not use.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.components import require
from tests.floors_source import ROOT

#: the oldest that has native sidecars, and the newest there is a schema of
VERSIONS = ("1.29", "1.37")


def complaints(manifest: str) -> list[str]:
    """What is wrong with the objects of C{manifest}, in any version; nothing, if nothing is."""
    require(packages=["kubernetes_validate", "jsonschema"])
    found = []
    for document in yaml.safe_load_all(manifest):
        for one in document["items"] if document["kind"] == "List" else [document]:
            name = f"{one['kind']} {one['metadata']['name']}"
            found += [f"{name}: {wrong}" for wrong in _wrong(one)]
    return found


def _wrong(one: dict[str, Any]) -> list[str]:
    import jsonschema
    import kubernetes_validate

    group, _, version = one["apiVersion"].rpartition("/")
    ours = ROOT / "tests" / "schemas" / f"{one['kind'].lower()}-{group.partition('.')[0]}-{version}.json"
    try:
        if ours.exists():
            jsonschema.validate(one, json.loads(ours.read_text()))
        else:
            for of in VERSIONS:
                kubernetes_validate.validate(one, of, strict=True)
    except jsonschema.ValidationError as e:
        return [f"{e.json_path}: {e.message}"]
    except kubernetes_validate.SchemaNotFoundError as e:
        return [str(e.message)]
    return []
