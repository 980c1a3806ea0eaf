"""Which packages of others are in the release? (CycloneDX 1.6)

Read from what was built, not from what was asked for. What the Lambda runtime brings, boto3 among it, is not in the
release and not in the list.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["bill_of_materials"]

_PROJECT = "responsys-activation"


def bill_of_materials(packages: Path, version: str, *, revision: str, time: datetime) -> bytes:
    """Return the list as JSON.

    Parameters
    ----------
    packages : Path
        Folder that holds the installed packages with their metadata.
    version, revision, time
        Of the release, its commit, and when that was made. Nothing else tells one list from another, so that it is
        the same each time.
    """
    found: dict[str, Distribution] = {
        canonicalize_name(each.name): each for each in distributions(path=[str(packages)])
    }
    needed = {name: _needs(distribution, found) for name, distribution in found.items()}
    project = f"pkg:generic/{_PROJECT}@{version}"
    references = {name: f"pkg:pypi/{name}@{distribution.version}" for name, distribution in found.items()}
    wanted = set(found).difference(*needed.values())
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{project}?commit={revision}')}",
        "version": 1,
        "metadata": {
            "timestamp": time.isoformat(),
            "component": {
                "type": "application",
                "bom-ref": project,
                "name": _PROJECT,
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "properties": [{"name": "commit", "value": revision}],
            },
        },
        "components": [
            {
                "type": "library",
                "bom-ref": references[name],
                "name": name,
                "version": found[name].version,
                "licenses": _licences(found[name]),
                "purl": references[name],
            }
            for name in sorted(found)
        ],
        "dependencies": [
            {"ref": project, "dependsOn": [references[name] for name in sorted(wanted)]},
            *(
                {"ref": references[name], "dependsOn": [references[other] for other in sorted(needed[name])]}
                for name in sorted(found)
            ),
        ],
    }
    return json.dumps(bill, indent=2).encode() + b"\n"


def _needs(distribution: Distribution, among: Iterable[str]) -> set[str]:
    requirements = map(Requirement, distribution.requires or ())
    names: set[str] = {
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    return names.intersection(among)


def _licences(distribution: Distribution) -> list[dict[str, Any]]:
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        return [{"expression": metadata["License-Expression"]}]
    if "License" in metadata:
        return [{"license": {"name": metadata["License"]}}]
    classifiers = metadata.get_all("Classifier") or []
    return [
        {"license": {"name": classifier.rpartition(" :: ")[2]}}
        for classifier in classifiers
        if classifier.startswith("License ::")
    ]
