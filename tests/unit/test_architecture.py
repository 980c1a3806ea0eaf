"""Does the picture of the rooms in docs/architecture.md show who imports whom, no more and no less?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import grimp
import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = "responsys_activation"
GROUND = "ground"


class Picture(NamedTuple):
    """The mermaid block: which modules stand in which room, and the arrows between rooms."""

    rooms: dict[str, str]
    arrows: set[tuple[str, str]]


def read_picture(page: str) -> Picture:
    """Read the first mermaid block of a page.

    A room is a folder, ``aws["aws/<br>Where is it kept?"]``, or some modules, ``ground["settings · json_text"]``; an
    arrow may have several ends, ``delivery --> aws & responsys``.
    """
    block = re.search(r"^```mermaid\nflowchart TB\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    assert block, "docs/architecture.md has no picture"
    rooms: dict[str, str] = {}
    arrows: set[tuple[str, str]] = set()
    for line in block[1].splitlines():
        if node := re.fullmatch(r' *(\w+)\["(.+)"\]', line):
            folder = re.match(r"(\w+)/<br>", node[2])
            modules = [folder[1]] if folder else re.split(r" · |<br>", node[2])
            rooms |= dict.fromkeys(modules, node[1])
        elif arrow := re.fullmatch(r" *(\w+) --> (\w+(?: & \w+)*)", line):
            arrows |= {(arrow[1], end) for end in arrow[2].split(" & ")}
        elif "~~~" not in line:  # no arrow: it only keeps the ground below
            pytest.fail(f"docs/architecture.md: a line that this test does not understand: {line}")
    return Picture(rooms, arrows)


@pytest.fixture(scope="module")
def picture() -> Picture:
    return read_picture((REPOSITORY / "docs/architecture.md").read_text())


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The folders and modules at the top of the package, and `functions`, with those that each imports."""
    graph = grimp.build_graph(PACKAGE, "functions", cache_dir=None)

    def top(module: str) -> str:
        root, _, inner = module.partition(".")
        return inner.partition(".")[0] if root == PACKAGE else root

    found: dict[str, set[str]] = {top(module): set() for module in graph.modules}
    for module in graph.modules:
        found[top(module)] |= {top(imported) for imported in graph.find_modules_directly_imported_by(module)}
    del found[""]  # the package itself, which holds the version and imports nothing
    return {name: ends - {"", name} for name, ends in found.items()}


def test_every_module_has_its_room_in_the_picture(picture: Picture, imports: dict[str, set[str]]) -> None:
    assert set(picture.rooms) == set(imports)


def test_the_arrows_are_the_imports(picture: Picture, imports: dict[str, set[str]]) -> None:
    # Given the imports between rooms, but for those of the ground, which every room stands on
    between = {(picture.rooms[name], picture.rooms[end]) for name, ends in imports.items() for end in ends}
    real = {(room, end) for room, end in between if end not in (room, GROUND)}

    # Then each is an arrow, and no arrow is anything else
    assert picture.arrows == real


def test_every_module_that_the_page_names_is_there() -> None:
    # Given the names in code type that have a folder of the package in front
    package = REPOSITORY / "layers/responsys_activation" / PACKAGE
    folders = "|".join(path.parent.name for path in package.glob("*/__init__.py"))
    named = re.findall(rf"`((?:{folders})/\w+)(?:\.py)?`", (REPOSITORY / "docs/architecture.md").read_text())

    # Then each is a module
    assert named
    assert [name for name in named if not (package / f"{name}.py").is_file()] == []


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("aws --> responsys", "aws --> replay"),
        ("aws --> responsys & messages", "aws --> responsys"),
        ('aws["aws/<br>', 'aws["storage/<br>'),
    ],
)
def test_another_picture_is_another(picture: Picture, line: str, change: str) -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text()
    assert line in page

    assert read_picture(page.replace(line, change)) != picture
