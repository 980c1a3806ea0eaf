"""Is the release the same each time, complete, and enough to deploy with the AWS CLI alone?"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from responsys_activation import __version__
from tests.local_stack.environments import REPOSITORY, program

_STRICT = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""


def test_two_builds_of_a_commit_are_the_same(builds: list[Path]) -> None:
    # Given two builds / When they are compared / Then each byte is the same
    first, second = (build.read_bytes() for build in builds)
    assert first == second


def test_the_release_is_complete(unpacked: Path) -> None:
    # Given the unpacked release / When its files are listed
    files = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    # Then all that is deployed is there, and all that tells of it
    assert unpacked.name == f"responsys-activation-{__version__}"
    assert files == {
        *("CHANGELOG.md", "LICENSE", "README.md", "SHA256SUMS", "parameters.json", "sbom.cdx.json", "template.json"),
        *(
            "functions/ConnectorCheckFunction.zip",
            "functions/ReplayFunction.zip",
            "functions/SegmentEventsFunction.zip",
            "functions/WebhookFunction.zip",
        ),
        *("layers/BytecodeLayer.zip", "layers/ResponsysActivationLayer.zip"),
        *("layers/DependenciesLayerArm64.zip", "layers/DependenciesLayerX8664.zip"),
        "functions/upstream_stream/template.yaml",
    }
    # And the checksums are theirs
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(check, cwd=unpacked, check=True)


def test_the_bill_names_each_package_that_is_required_and_keeps_to_the_schema(unpacked: Path) -> None:
    # Given the list of packages in the release, and what is required
    bill = (unpacked / "sbom.cdx.json").read_text()
    required = (REPOSITORY / "layers/dependencies/requirements.txt").read_text()
    # When they are compared / Then they are the same
    found = {f"{component['name']}=={component['version']}" for component in json.loads(bill)["components"]}
    assert found == set(re.findall(r"^\S+==\S+", required, re.MULTILINE))
    # And each has a licence
    assert all(component["licenses"] for component in json.loads(bill)["components"])
    # And CycloneDX's own validator takes it
    subprocess.run([program(".venv-release", "python"), "-c", _STRICT], input=bill, text=True, check=True)


def test_its_own_command_deploys_it_and_it_delivers_the_messages_of_the_demo(release: Path) -> None:
    # Given the release / When the demo deploys it by the command of its README, and publishes its 2,000 memberships
    demo = [sys.executable, "-m", "tests.local_stack.demo", "--release", str(release)]
    environment = {**os.environ, "PYTHONPATH": "layers/responsys_activation"}
    run = subprocess.run(demo, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    # Then all arrives that should have, and nothing else
    assert run.returncode == 0, run.stdout + run.stderr
    assert "All is as it should be" in run.stdout
