"""Does a new environment compile anything but its handler?"""

import json
import subprocess

from tests.local_stack.artifact import unpacked
from tests.local_stack.environments import program

# Prints the modules from the layers whose bytecode is missing, or of another source.
_STALE = """
import importlib.util, json, os, sys
from pathlib import Path
import responsys_activation.delivery.batch, responsys_activation.connector_check.check, responsys_activation.replay.run
import responsys_activation.delivery.reporting, aws_lambda_powertools.utilities.parameters
layer = sys.argv[1]
def is_fresh(module):
    cached = Path(module.__cached__)
    source = Path(module.__file__).read_bytes()
    return cached.exists() and cached.read_bytes()[8:16] == importlib.util.source_hash(source)
modules = [m for m in list(sys.modules.values()) if (getattr(m, "__file__", None) or "").startswith(layer)]
sources = [m for m in modules if m.__file__.endswith(".py")]
print(json.dumps({"loaded": len(sources), "stale": [m.__name__ for m in sources if not is_fresh(m)]}))
"""


def test_whatever_a_function_imports_from_its_layers_is_compiled_already() -> None:
    # Given the function as it is built
    with unpacked("SegmentEventsFunction") as artifact:
        # When a new environment imports what the functions import
        told = subprocess.run(
            [program(".venv-lambda", "python"), "-c", _STALE, str(artifact.layer_root)],
            env={"PYTHONPATH": artifact.path, "PYTHONDONTWRITEBYTECODE": "1", "POWERTOOLS_SERVICE_NAME": "test"},
            capture_output=True,
            text=True,
            check=True,
        )
    # Then each module has the bytecode of its very source
    modules = json.loads(told.stdout)
    assert modules["loaded"] > 200
    assert modules["stale"] == []
