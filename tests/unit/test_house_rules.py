"""Do modules import downwards only, and does none of them reach for the environment or a client of its own?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "layers/responsys_activation/responsys_activation"
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}

# From the ground up: a module imports only from rows above its own, from its own folder, and from observability.
# A new module gets its row here.
ROWS = [
    {"observability"},
    {"settings", "outcome", "endpoint", "received", "json_text", "moment"},
    {"envelope"},
    {"membership"},
    {"connector", "replay_request"},
    {"account", "change", "recipient"},
    {"custom_event"},
    {"planning"},
    {"responsys"},
    {"aws"},
    {"sending", "replay"},
    {"check_request", "finding", "proving_login"},
    {"checked_connector"},
    {"account_comparison", "check_report"},
    {"connector_check"},
    {"dispatch", "settling"},
    {"reporting"},
    {"delivery"},
    {"login_composition"},
    {"composition", "check_composition"},
]
RANKS = {room: rank for rank, row in enumerate(ROWS) for room in row}


def room_of(module: str) -> str:
    """Folders are one room."""
    return module.partition(".")[0]


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> Iterator[str]:
    """Every imported module by its full name, wherever in the file the import stands."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield node.module or ""


def own_imports(module: str) -> Iterator[str]:
    for name in imports(module):
        if name.startswith("responsys_activation."):
            yield room_of(name.removeprefix("responsys_activation."))


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__"])
def test_a_module_imports_from_rooms_below_its_own_only(module: str) -> None:
    room = room_of(module)
    assert room in RANKS, f"{room} has no row in this test yet"

    upwards = {other for other in own_imports(module) if other != room and RANKS[other] >= RANKS[room]}

    assert not upwards


@pytest.mark.parametrize("room", sorted(RANKS))
def test_every_row_is_about_a_room_that_exists(room: str) -> None:
    assert (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()


AWS_LIBRARIES = {"boto3", "botocore", "mypy_boto3_sqs", "mypy_boto3_ssm", "mypy_boto3_dynamodb"}
HTTP_LIBRARIES = {"requests", "urllib3", "http", "httpx"}


def libraries(module: str) -> set[str]:
    return {room_of(name) for name in imports(module)}


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("aws.")])
def test_only_the_aws_room_speaks_to_aws(module: str) -> None:
    assert not libraries(module) & AWS_LIBRARIES


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("aws.")])
def test_the_aws_room_speaks_no_http(module: str) -> None:
    assert not libraries(module) & HTTP_LIBRARIES


@pytest.mark.parametrize("module", [module for module in MODULES if module != "aws.clients"])
def test_clients_are_handed_in_and_never_built_here(module: str) -> None:
    assert "boto3" not in libraries(module)
    built = [
        node.lineno
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"client", "resource"}
    ]
    assert not built


@pytest.mark.parametrize("module", MODULES)
def test_no_http_session_is_opened_at_import(module: str) -> None:
    statements = [node for node in tree(module).body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    called = {ast.unparse(call.func) for node in statements for call in ast.walk(node) if isinstance(call, ast.Call)}
    assert not called & {"requests.Session", "requests.session", "Session", "open_http_session", "ThreadPoolExecutor"}


@pytest.mark.parametrize("module", MODULES)
def test_the_environment_is_not_read_in_the_package(module: str) -> None:
    assert "os" not in libraries(module)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_in_a_sentence_which_question_it_answers(module: str) -> None:
    text = ast.get_docstring(tree(module))

    assert text
    assert text.splitlines()[0][-1] in ".?"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_tells_what_it_offers(module: str) -> None:
    if module.endswith("__init__"):
        return
    offered = [
        ast.literal_eval(node.value)
        for node in tree(module).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert offered
    assert offered[0] == sorted(offered[0], key=lambda name: (not name.isupper(), not name[0].isupper(), name))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_has_a_name_that_says_nothing(module: str) -> None:
    assert not set(module.split(".")) & {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
