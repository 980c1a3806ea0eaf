"""What of a deployed stack of the last release must stay? last_release.json; written anew when a release is made.

python -m tests.template.last_release [template.yaml]
"""

import json
import sys
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.template.cloudformation import Stack
from tests.template.conftest import REPOSITORY, REQUIRED, sam_translated
from tests.template.replacements import Identity, identities

_SNAPSHOT = Path(__file__).with_suffix(".json")


def last_release() -> dict[str, Identity]:
    """Return what must stay of the last release's stack, under the required parameters."""
    resources: dict[str, Identity] = json.loads(_SNAPSHOT.read_text())
    return resources


def main(template: Path) -> None:
    """Take a template for the last release."""
    stack = Stack(sam_translated(yaml_parse(template.read_text())), REQUIRED)
    _SNAPSHOT.write_text(json.dumps(identities(stack), indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "template.yaml")
