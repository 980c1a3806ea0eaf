"""Is the dashboard one that CloudWatch takes, and does each widget look at something that exists?"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from tests.template.cloudformation import Stack
from tests.template.dashboard import metric_of, written_out
from tests.template.published import OURS, require_metric, written_by_our_code
from tests.template.runbook import RUNBOOK, headings_of

# ---- the form of a dashboard's body, as CloudWatch documents it and for as much of it as is used


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Axis(Part):
    min: float | None = None
    label: str | None = None
    show_units: bool | None = None


class YAxis(Part):
    left: Axis


class Line(Part):
    label: str
    value: float


class Annotations(Part):
    horizontal: list[Line]


class TableOptions(Part):
    layout: Literal["horizontal", "vertical"]
    show_time_series_data: bool
    sticky_summary: bool
    summary_columns: list[Literal["MIN", "MAX", "SUM", "AVG"]]


RelativeTime = Annotated[str, Field(pattern=r"^-P(\d+[DWM]|T\d+[HM])$")]


class MetricProperties(Part):
    title: str
    region: Literal["eu-west-1"]
    view: Literal["timeSeries", "singleValue", "table"]
    metrics: Annotated[list[list[Any]], Field(min_length=1, max_length=500)]
    stat: str | None = None
    period: Annotated[int | None, Field(multiple_of=60)] = None
    stacked: bool | None = None
    set_period_to_time_range: bool | None = None
    start: RelativeTime | None = None
    y_axis: YAxis | None = None
    annotations: Annotations | None = None
    table: TableOptions | None = None

    @field_validator("metrics")
    @classmethod
    def without_dots(cls, rows: list[list[Any]]) -> list[list[Any]]:
        return written_out(rows)


class LogProperties(Part):
    title: str
    region: Literal["eu-west-1"]
    view: Literal["table"]
    query: str


class TextProperties(Part):
    markdown: str


class AlarmProperties(Part):
    title: str
    alarms: Annotated[list[str], Field(min_length=1, max_length=100)]


class Place(Part):
    x: Annotated[int, Field(ge=0, le=23)]
    y: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(ge=1, le=24)]
    height: Annotated[int, Field(ge=1, le=1000)]


class MetricWidget(Place):
    type: Literal["metric"]
    properties: MetricProperties


class LogWidget(Place):
    type: Literal["log"]
    properties: LogProperties


class TextWidget(Place):
    type: Literal["text"]
    properties: TextProperties


class AlarmWidget(Place):
    type: Literal["alarm"]
    properties: AlarmProperties


class Body(Part):
    start: RelativeTime
    widgets: Annotated[
        list[Annotated[MetricWidget | LogWidget | TextWidget | AlarmWidget, Field(discriminator="type")]],
        Field(max_length=500),
    ]

    def metric_widgets(self) -> list[MetricWidget]:
        return [widget for widget in self.widgets if isinstance(widget, MetricWidget)]

    def rows(self) -> list[list[Any]]:
        return [row for widget in self.metric_widgets() for row in widget.properties.metrics]


SEARCH = re.compile(
    r"SEARCH\('\{ResponsysActivation,stack,(?P<dimensions>[A-Za-z,]+)\} "
    r"stack=\"crm\" MetricName=\"(?P<name>[A-Za-z]+)\"', "
    r"'(?P<statistic>Sum|Average|p50|p95|p99)', (?P<period>\d+)\)"
)


def read(stack: Stack) -> Body:
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    return Body.model_validate_json(dashboard["DashboardBody"])


@pytest.fixture(scope="module")
def stack(stack_with: Callable[..., Stack]) -> Stack:
    """A stack with a webhook, which has a row of its own."""
    return stack_with(Webhook="On")


@pytest.fixture(scope="module")
def body(stack: Stack) -> Body:
    return read(stack)


def searches(widget: MetricWidget) -> list[re.Match[str]]:
    found = []
    for row in widget.properties.metrics:
        if isinstance(row[0], dict) and row[0]["expression"].startswith("SEARCH"):
            match = SEARCH.fullmatch(row[0]["expression"])
            assert match, row[0]["expression"]
            found.append(match)
    return found


# ---- what is shown


def test_every_metric_that_is_shown_exists(stack: Stack, body: Body) -> None:
    # Given the rows of all widgets / When those that name a metric are read
    for row in body.rows():
        if isinstance(row[0], str):
            # Then somebody publishes it
            require_metric(stack, *metric_of(row))


def test_every_metric_that_is_searched_for_exists(body: Body) -> None:
    # Given the searches of all widgets / When what they look for is held against what our code writes
    found = [search for widget in body.metric_widgets() for search in searches(widget)]
    assert found
    for search in found:
        # Then a metric of that name has exactly these dimensions and the stack, of which it looks for its own
        assert ("stack", *search["dimensions"].split(",")) in written_by_our_code()[search["name"]]


@pytest.mark.parametrize("title", ["In the last 24 hours", "Messages by outcome"])
def test_what_was_received_is_shown_with_every_outcome_that_it_may_have(body: Body, title: str) -> None:
    # Given a widget of outcomes
    (widget,) = [widget for widget in body.metric_widgets() if widget.properties.title == title]
    # When its rows are read / Then the six that add up to what was received are there
    assert {row[1] for row in widget.properties.metrics} == {
        "MessagesReceived",
        "EventsDelivered",
        "EventsDuplicate",
        "EventsThrottled",
        "EventsRejected",
        "EventsRetried",
        "EventsIgnored",
    }


def test_nothing_that_our_code_counts_for_people_is_left_out(body: Body) -> None:
    # Given what the functions write
    shown = {search["name"] for widget in body.metric_widgets() for search in searches(widget)}
    shown |= {row[1] for row in body.rows() if row[0] == OURS}
    # When what is not shown is listed / Then there are these: two are warnings about what is sent, one has an alarm,
    # and one is what a person asked for
    assert set(written_by_our_code()) - shown == {
        "VariablesOverridden",
        "SystemColumns",
        "ConnectorCheckFailures",
        "SentInDoubt",
    }


@pytest.mark.parametrize(
    ("title", "start", "longest_period"),
    [
        ("Errors by code, 1 day", "-P1D", 3600),
        ("Errors by code, 7 days", "-P7D", 3600),
        ("Errors by code, 30 days", "-P30D", 86400),
        ("Errors by code, 90 days", "-P90D", 86400),
    ],
)
def test_errors_by_code_are_summed_over_a_time_of_their_own(
    body: Body, title: str, start: str, longest_period: int
) -> None:
    # Given a table of errors
    (widget,) = [widget for widget in body.metric_widgets() if widget.properties.title == title]
    # When its time and statistic are read
    (search,) = searches(widget)
    # Then it sums the errors of its days, in periods that CloudWatch still keeps by then
    assert (widget.properties.start, search["name"], search["statistic"]) == (start, "Errors", "Sum")
    assert search["dimensions"] == "connector,errorCode"
    period = int(search["period"])
    kept_for_days = {300: 63, 3600: 455, 86400: 455}[period]
    assert int(start.strip("-PD")) <= kept_for_days
    assert period <= longest_period
    assert widget.properties.table is not None
    assert widget.properties.table.summary_columns == ["SUM"]


def test_the_time_out_and_the_greatest_concurrency_are_those_of_the_function(stack_with: Callable[..., Stack]) -> None:
    # Given a stack with its own concurrency and its own patience
    stack = stack_with(MaximumConcurrency="7", ReplySeconds="120")
    widgets = {widget.properties.title: widget.properties for widget in read(stack).metric_widgets()}
    # When the lines on the function's widgets are read
    annotations = widgets["Function: duration"].annotations
    assert annotations is not None
    (time_out,) = annotations.horizontal
    ((most,),) = [row for row in widgets["Function: environments at once"].metrics if isinstance(row[0], dict)]
    # Then they are the function's own
    assert time_out.value == 1000 * stack.of_type("AWS::Lambda::Function")["SegmentEventsFunction"]["Timeout"]
    mappings = stack.of_type("AWS::Lambda::EventSourceMapping").values()
    concurrency = [mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings]
    assert most["expression"] == f"TIME_SERIES({concurrency[0]} + {concurrency[1]})"


@pytest.mark.parametrize(
    "optional",
    [
        {},
        {"UpstreamStreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/memberships"},
        {"UpstreamEventSource": "crm", "ProducerSilentHours": "6"},
    ],
)
def test_every_alarm_of_the_stack_has_its_light(stack_with: Callable[..., Stack], optional: dict[str, str]) -> None:
    # Given all alarms, optional ones among them / When the widget with their states is read / Then each is there once
    stack = stack_with(**optional)
    (widget,) = [widget for widget in read(stack).widgets if isinstance(widget, AlarmWidget)]
    alarms = stack.of_type("AWS::CloudWatch::Alarm") | stack.of_type("AWS::CloudWatch::CompositeAlarm")
    arns = [f"arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{alarm['AlarmName']}" for alarm in alarms.values()]
    assert sorted(widget.properties.alarms) == sorted(arns)


def test_last_errors_come_from_the_functions_log(stack: Stack, body: Body) -> None:
    # Given the widget of Logs Insights / When its source is read / Then it is the log group of the function
    (widget,) = [widget for widget in body.widgets if isinstance(widget, LogWidget)]
    assert widget.properties.query.startswith("SOURCE '/aws/lambda/crm-segment-events' | filter level in ")


@pytest.mark.parametrize(
    ("line", "is_shown"),
    [
        ({"level": "WARNING", "message": "request failed"}, True),
        ({"level": "INFO", "message": "batch settled"}, False),
        ({"type": "platform.report", "record": {"status": "timeout"}}, True),
        ({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.OutOfMemory"}}, True),
        ({"type": "platform.report", "record": {"status": "success"}}, False),
        ({"type": "platform.start", "record": {"requestId": "r"}}, False),
    ],
)
def test_last_errors_hold_killed_invocations_too_which_lambda_alone_tells_of(
    body: Body, line: dict[str, Any], is_shown: bool
) -> None:
    # Given a line of the function or of Lambda
    fields = {"level": line.get("level"), "type": line.get("type"), "status": line.get("record", {}).get("status")}
    # When the widget's filter is put to it
    (widget,) = [widget for widget in body.widgets if isinstance(widget, LogWidget)]
    (condition,) = re.findall(r"\| filter (.+?) \| ", widget.properties.query)
    # Then what went wrong is shown (but for two spellings the language reads the same in Python)
    python = condition.replace("record.status", "status").replace(" = ", " == ")
    assert eval(python, {"__builtins__": {}}, fields) is is_shown  # noqa: S307


# ---- how it is laid out


def test_widgets_do_not_overlap(body: Body) -> None:
    # Given the dashboard's grid of 24 columns
    cells = [
        (x, y)
        for widget in body.widgets
        for x in range(widget.x, widget.x + widget.width)
        for y in range(widget.y, widget.y + widget.height)
    ]
    # When the widgets are laid on it / Then each cell is used once, within the grid
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


def test_two_bands_are_headed_and_link_to_the_runbook(stack_with: Callable[..., Stack]) -> None:
    # Given where the runbook is read
    stack = stack_with(RunbookUrl="https://wiki.example.com/runbook")
    # When the headings are read
    texts = [widget.properties.markdown for widget in read(stack).widgets if isinstance(widget, TextWidget)]
    assert [text.splitlines()[0].split(":")[0] for text in texts] == ["# For marketing", "# For the engineer on call"]
    # Then their links lead to places that it has
    links = [link for text in texts for link in re.findall(r"\]\(([^)]*)\)", text)]
    assert links
    for link in links:
        page, _, anchor = link.partition("#")
        assert page == "https://wiki.example.com/runbook"
        assert anchor in headings_of(RUNBOOK)


def test_rows_have_ids_that_metric_math_takes_and_that_differ(body: Body) -> None:
    # Given each widget / When the ids of its rows are read / Then CloudWatch takes them
    for widget in body.metric_widgets():
        ids = [row[-1]["id"] for row in widget.properties.metrics if isinstance(row[-1], dict) and "id" in row[-1]]
        assert len(ids) == len(set(ids))
        assert all(re.fullmatch(r"[a-z][A-Za-z0-9_]*", each) for each in ids)


def test_without_a_webhook_there_is_no_row_of_it(stack_with: Callable[..., Stack], body: Body) -> None:
    # Given a stack without one / When its dashboard is read / Then it is the other's without that row
    titles = [widget.properties.title for widget in body.metric_widgets()]
    without = [widget.properties.title for widget in read(stack_with()).metric_widgets()]
    assert without == [title for title in titles if not title.startswith("Webhook")]
    assert len(titles) - len(without) == 3


def test_body_is_small_enough(stack: Stack) -> None:
    # Given that PutDashboard takes a million characters / When the body is measured / Then it is far below
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    assert len(json.dumps(dashboard)) < 100_000
