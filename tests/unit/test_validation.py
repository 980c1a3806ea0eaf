"""Is each refused field named as it was written, with a reason in plain words and without its value?"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from responsys_activation.validation import reasons

SECRET = "anna@example.com"


class Inner(BaseModel):
    a_name: str


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    a_text: str
    a_number: Annotated[int, Field(ge=1)] = 1
    a_flag: StrictBool = True
    a_word: Literal["one", "two"] = "one"
    a_list: Annotated[list[str], Field(min_length=1)] = ["x"]
    a_time: AwareDatetime | None = None
    inner: Inner | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Form:
        if self.a_number == 13:
            raise ValueError("aNumber must not be 13")
        return self


def refusal(document: object, **options: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        Form.model_validate(document)
    return reasons(refused.value, "event", **options)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aText": 1}, "aText: must be a text"),
        ({"a_text": SECRET}, "a_text: is not a known field"),
        ({"aNumber": 0}, "aNumber: must be greater than or equal to 1"),
        ({"aNumber": SECRET}, "aNumber: must be a valid integer, unable to parse string as an integer"),
        ({"aFlag": SECRET}, "aFlag: must be true or false"),
        ({"aWord": SECRET}, "aWord: must be 'one' or 'two'"),
        ({"aList": []}, "aList: must have at least 1 item after validation, not 0"),
        ({"aList": [SECRET, 1]}, "aList.1: must be a text"),
        ({"aTime": datetime(2026, 1, 1)}, "aTime: must have timezone info"),  # noqa: DTZ001
        ({"inner": SECRET}, "inner: must be a JSON object"),
        ({"inner": {}}, "inner.a_name: is missing"),
        ({"aNumber": 13}, "event: aNumber must not be 13"),
    ],
)
def test_a_field_is_named_with_what_it_must_be(changes: dict[str, Any], reason: str) -> None:
    assert refusal({"aText": "x", **changes}) == reason


@pytest.mark.parametrize("document", [None, 7, SECRET, [SECRET]])
def test_what_is_no_object_has_no_field(document: object) -> None:
    assert refusal(document) == "event: must be a JSON object"


def test_every_field_is_named_unless_only_some_are_asked_for() -> None:
    document = {"aNumber": 0, "aFlag": 1}

    assert refusal(document).split("; ") == [
        "aText: is missing",
        "aNumber: must be greater than or equal to 1",
        "aFlag: must be true or false",
    ]
    assert refusal(document, most=1) == "aText: is missing; 2 more"
    assert refusal(document, most=3) == refusal(document)


def test_a_reader_may_have_words_of_its_own() -> None:
    assert refusal({"aText": 1, "aFlag": 1}, in_our_words={"string_type": "must be your name"}) == (
        "aText: must be your name; aFlag: must be true or false"
    )


def test_a_text_that_is_no_json_is_told_by_its_place() -> None:
    with pytest.raises(ValidationError) as refused:
        Form.model_validate_json(json.dumps({"aText": SECRET})[:-1])

    assert (
        reasons(refused.value, "settings") == "settings: Invalid JSON: EOF while parsing an object at line 1 column 28"
    )
