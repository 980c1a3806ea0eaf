"""Is JSON written so that it reads the same again?"""

from __future__ import annotations

import json

import pytest

from responsys_activation.json_text import JsonNumber, Repeated, read_json, write_json


@pytest.mark.parametrize(
    "text",
    [
        *('{"a":1.10,"b":[true,false,null,{}],"c":"é\\"\\n"}', "[]", "{}", '"x"', "30000000000000000000000000000001"),
        *('{"a":1,"a":2}', '{"a":[],"b":{"a":1,"a":{}},"c":3}', '["\\ud800","\\uffff","\\u0000"]', '{"":{"":""}}'),
    ],
)
def test_what_is_written_is_what_was_read(text: str) -> None:
    assert write_json(read_json(text)) == text


def test_what_sqs_does_not_take_is_escaped() -> None:
    assert write_json(["\ud800", "\ufffe", "\U0001f388"]) == '["\\ud800","\\ufffe","\U0001f388"]'


def test_any_depth_is_written() -> None:
    value: object = {"a": JsonNumber("1")}
    for _ in range(100_000):
        value = [value]

    assert write_json(value) == "[" * 100_000 + '{"a":1}' + "]" * 100_000


def test_every_value_of_a_name_is_written_in_its_place() -> None:
    value = {"a": Repeated((JsonNumber("1"), {"b": Repeated(("x", "y"))})), "c": None}

    assert write_json(value) == '{"a":1,"a":{"b":"x","b":"y"},"c":null}'
    assert json.loads(write_json(value)) == {"a": {"b": "y"}, "c": None}
