"""Does a new environment compile anything but its handler?"""

import json
import marshal
import subprocess
import sys
import zipfile
from pathlib import PurePosixPath
from types import CodeType

from tests.local_stack.artifact import unpacked
from tests.local_stack.build import built
from tests.local_stack.environments import REPOSITORY, program

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


def test_the_bytecode_is_of_one_python_and_tells_nothing_of_where_it_was_built() -> None:
    # Given the bytecode layer as it is built
    with built(REPOSITORY / "template.yaml") as build, zipfile.ZipFile(build.archives["BytecodeLayer"]) as layer:
        # When each file is read / Then it is for the interpreter that runs it
        for name in layer.namelist():
            folder, file = PurePosixPath(name).parent.parent, PurePosixPath(name).name
            module = file.removesuffix(f".{sys.implementation.cache_tag}.pyc")
            assert module != file, name
            # And names the source beside which Lambda lays it
            code: CodeType = marshal.loads(layer.read(name)[16:])  # noqa: S302  built here
            assert code.co_filename == f"/opt/{folder}/{module}.py"
