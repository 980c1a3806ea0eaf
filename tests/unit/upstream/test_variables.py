"""Are nested members flattened without loss, and without a way to fill the memory?"""

from __future__ import annotations

import json

from responsys_activation.json_text import JsonNumber, Repeated, read_json
from responsys_activation.upstream.variables import flattened


def test_members_of_objects_have_dotted_names_in_their_order() -> None:
    given = read_json('{"b": {"y": {"z": 1}, "x": null}, "a": [{"c": 1}], "e": {}, "d": ""}')

    assert list(flattened(given).items()) == [
        ("b.y.z", JsonNumber("1")),
        ("b.x", None),
        ("a", [{"c": JsonNumber("1")}]),
        ("d", ""),
    ]


def test_only_outermost_members_are_left_out() -> None:
    assert flattened({"id": 1, "a": {"id": 2}}, without={"id"}) == {"a.id": 2}


def test_a_name_that_two_ways_lead_to_keeps_both_values() -> None:
    assert flattened({"a.b": "1", "a": {"b": "2"}}, {"a.b": "3"}) == {"a.b": Repeated(("1", "2", "3"))}


def test_a_name_that_comes_twice_in_the_json_keeps_its_values() -> None:
    given = read_json('{"a": {"b": 1, "b": {"c": 2}}}')

    assert flattened(given) == {"a.b": Repeated((JsonNumber("1"), {"c": JsonNumber("2")}))}


def test_any_depth_is_read() -> None:
    given: dict[str, object] = {"a": "x"}
    for _ in range(50_000):
        given = {"a": given}

    (name,) = flattened(given)

    assert len(name) < 300


def test_a_long_name_is_not_written_before_many() -> None:
    given = {"n" * 500_000: {f"m{number}": "x" for number in range(50_000)}}

    assert json.dumps(flattened(given)) == json.dumps(given)
