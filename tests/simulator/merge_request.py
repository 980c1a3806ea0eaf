"""Is this body a well-formed list merge?

As strict as the documented schema and the recordings: what the real API might let pass or drop, this one refuses.
"""

from collections.abc import Collection
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from tests.simulator import refusals
from tests.simulator.event_request import RequestModel, explain, invalid_record, read_json_object
from tests.simulator.list_members import PermissionStatus
from tests.simulator.settings import Replies

MAXIMUM_RECORDS = 200
LONGEST_FIELD_NAME = 30
HASH_COLUMNS = frozenset({"EMAIL_MD5_HASH_", "EMAIL_SHA256_HASH_"})

MatchColumn = Literal[
    "RIID_", "CUSTOMER_ID_", "EMAIL_ADDRESS_", "MOBILE_NUMBER_", "EMAIL_MD5_HASH_", "EMAIL_SHA256_HASH_"
]


class RecordData(RequestModel):
    """The `recordData` object, its records still to be looked at."""

    field_names: Annotated[list[str], Field(min_length=1)]
    records: list[object]
    map_template_name: None = None


class MergeRule(RequestModel):
    """The `mergeRule` object; replies echo it whole."""

    html_value: str | None = None
    optin_value: str | None = None
    text_value: str | None = None
    insert_on_no_match: bool
    update_on_match: Literal["REPLACE_ALL", "NO_UPDATE"]
    match_column_name_1: Annotated[MatchColumn, Field(alias="matchColumnName1")]
    match_column_name_2: Annotated[MatchColumn | None, Field(alias="matchColumnName2")] = None
    match_operator: Literal["NONE", "AND"] | None = None
    optout_value: str | None = None
    reject_record_if_channel_empty: str | None = None
    default_permission_status: PermissionStatus = "OPTOUT"
    match_column_name_3: Annotated[None, Field(alias="matchColumnName3")] = None

    @property
    def match_columns(self) -> list[str]:
        """The one or two columns that tell whether a list has somebody."""
        return [column for column in (self.match_column_name_1, self.match_column_name_2) if column]


class MergeRequest(RequestModel):
    """A whole body."""

    record_data: RecordData
    merge_rule: MergeRule


class ListMerge(NamedTuple):
    """A well-formed merge.

    Attributes
    ----------
    records : list of dict
        Each record's values by column, the columns in capitals.
    """

    rule: MergeRule
    records: list[dict[str, str | None]]


RECORD: TypeAdapter[list[str | None]] = TypeAdapter(list[str | None])


def parse_merge_request(body: bytes, content_type: str, *, list_fields: Collection[str], replies: Replies) -> ListMerge:
    """Read the body of a list merge.

    Parameters
    ----------
    list_fields : collection of str
        The columns that can be written.

    Raises
    ------
    RequestRefusedError
        It is not ASCII JSON, has too many records, or columns or rule are not as documented.
    """
    content = read_json_object(body, content_type)
    try:
        request = MergeRequest.model_validate(content)
    except ValidationError as exc:
        raise refusals.invalid_content(explain(exc)) from exc
    columns = [name.upper() for name in request.record_data.field_names]
    rows = request.record_data.records
    if not rows:
        raise refusals.invalid_content()
    if len(rows) > MAXIMUM_RECORDS:
        raise refusals.record_limit_exceeded()
    _check_columns(columns, request.merge_rule, list_fields)
    return ListMerge(
        request.merge_rule, [_record(position, row, columns, replies) for position, row in enumerate(rows)]
    )


def _record(position: int, row: object, columns: list[str], replies: Replies) -> dict[str, str | None]:
    try:
        cells = RECORD.validate_python(row, strict=True)
    except ValidationError as exc:
        raise invalid_record(position, explain(exc), replies) from exc
    if len(cells) != len(columns):
        raise invalid_record(position, "as many values as fieldNames are needed", replies)
    return dict(zip(columns, cells, strict=True))


def _check_columns(columns: list[str], rule: MergeRule, list_fields: Collection[str]) -> None:
    matching = set(rule.match_columns)
    if len(set(columns)) < len(columns):
        raise refusals.invalid_field_name("A field name is there twice")
    for column in columns:
        if len(column) > LONGEST_FIELD_NAME or column not in {*list_fields, *HASH_COLUMNS}:
            raise refusals.invalid_field_name(f"Field {column} does not exist")
        if column in HASH_COLUMNS and column not in matching:
            raise refusals.invalid_field_name(f"Field {column} is read only")
    if not matching <= set(columns):
        raise refusals.invalid_parameter("Match column is not among the field names")
    if (len(rule.match_columns) == 2) != (rule.match_operator == "AND"):
        raise refusals.invalid_parameter("matchOperator must be AND for two match columns, NONE for one")
    if len(matching & HASH_COLUMNS) == 2 or (matching & HASH_COLUMNS and "EMAIL_ADDRESS_" in matching):
        raise refusals.invalid_parameter("Email and its hashes cannot be match columns at the same time")
    if matching & HASH_COLUMNS and rule.insert_on_no_match:
        raise refusals.invalid_parameter("insertOnNoMatch must be false with a hash as match column")
