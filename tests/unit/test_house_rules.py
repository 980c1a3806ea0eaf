"""Does no module reach for the environment or a client of its own? (Imports: `lint-imports`, pyproject.toml.)"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "layers/responsys_activation/responsys_activation"
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


def root_of(module: str) -> str:
    return module.partition(".")[0]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def tree(module: str) -> ast.Module:
    return parsed(MODULES[module])


def imports(module: str) -> Iterator[str]:
    """Every imported module by its full name, wherever in the file the import stands."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield node.module or ""


@cache
def libraries(module: str) -> set[str]:
    return {root_of(name) for name in imports(module)}


OPEN_CLIENTS = {"aws.clients", "aws.deployed_stack"}  # the functions', and the command's
SESSIONS = {"requests.Session", "requests.session", "Session", "HttpSession", "ThreadPoolExecutor"}


def test_clients_are_handed_in_and_never_built_here() -> None:
    def builds_one(module: str) -> bool:
        return "boto3" in libraries(module) or any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"client", "resource"}
            for node in ast.walk(tree(module))
        )

    assert [module for module in MODULES if builds_one(module)] == sorted(OPEN_CLIENTS)


def test_no_http_session_is_opened_at_import() -> None:
    def opened_by(module: str) -> set[str]:
        statements = [node for node in tree(module).body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        calls = (call for node in statements for call in ast.walk(node) if isinstance(call, ast.Call))
        return {ast.unparse(call.func) for call in calls} & SESSIONS

    assert not [module for module in MODULES if opened_by(module)]


def test_the_environment_is_read_where_a_process_begins_and_nowhere_else() -> None:
    assert [module for module in MODULES if "os" in libraries(module)] == ["cli.__main__"]


FUNCTIONS = sorted((PACKAGE.parents[2] / "functions").glob("*/app.py"))
SAY_NOTHING = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
FOR_OPERATORS = {"cli", "aws.deployed_stack", "aws.deployment", "aws.temporary_source", "delivery.rehearsal"}


def loaded_by(path: Path) -> set[str]:
    """Every module of the package that a program loads, however it comes to it."""
    found: set[str] = set()
    to_read = [path]
    while to_read:
        named = {name.removeprefix("responsys_activation.") for name in _names_imported(to_read.pop())}
        for name in named | {f"{name}.__init__" for name in named}:
            if name in MODULES and name not in found:
                found.add(name)
                to_read.append(MODULES[name])
    return found


@cache
def _names_imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.parent.name)
def test_a_functions_cold_start_does_not_load_what_is_for_operators(function: Path) -> None:
    loaded = loaded_by(function)
    assert len(loaded) > 5
    assert not {module for module in loaded if module in FOR_OPERATORS or root_of(module) in FOR_OPERATORS}


def test_every_module_says_in_a_sentence_which_question_it_answers() -> None:
    first_lines = {module: (ast.get_docstring(tree(module)) or " ").splitlines()[0] for module in MODULES}

    assert not [module for module, line in first_lines.items() if line[-1] not in ".?"]


def test_every_module_tells_what_it_offers() -> None:
    def offers(module: str) -> bool:
        names = (ast.unparse(node.targets[0]) for node in tree(module).body if isinstance(node, ast.Assign))
        return "__all__" in names

    assert not [module for module in MODULES if not module.endswith("__init__") and not offers(module)]


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [module for module in MODULES if set(module.split(".")) & SAY_NOTHING]
