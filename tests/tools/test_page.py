"""Does the page say what happens, to everybody, and change nothing? In a real browser, with states that are made up."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from responsys_activation.aws.faults import AwsCallError
from tests.browser.browser import Browser, Scheme, axe_script
from tests.browser.fixture import running_browser  # noqa: F401 - pytest finds it by its name
from tests.local_stack.page.dead_letters import grouped
from tests.local_stack.page.graphs import POINTS
from tests.local_stack.page.server import serving
from tests.local_stack.page.state import SEND_COMMAND
from tests.local_stack.processes import free_port
from tests.local_stack.published_metrics import OUTCOMES

pytestmark = pytest.mark.browser

NOW = 1_795_674_600_000
QUEUES = ("SegmentEventsQueue", "ThrottledDLQ", "RejectedDLQ")
EVIL = "<img src=x onerror='window.hacked = true'><script>window.hacked = true</script>"
SERIES = {
    "outcomes": ("bars", [metric.removeprefix("Events").lower() for metric in OUTCOMES]),
    "queues": ("lines", ["waiting", "in flight", "away", "rejected"]),
}


def empty() -> dict[str, Any]:
    """What the page is given before anything was sent."""
    nothing = dict.fromkeys(("waiting", "inFlight", "delayed"), 0)
    return {
        "started": NOW - 60_000,
        "now": NOW,
        "send": SEND_COMMAND,
        "timeScale": 1,
        "simulated": True,
        "queues": {name: dict(nothing) for name in QUEUES},
        "function": {"running": 0},
        "outcomes": dict.fromkeys(("MessagesReceived", *OUTCOMES), 0),
        "requests": 0,
        "accepted": 0,
        "pauses": [],
        "letters": {"ThrottledDLQ": [], "RejectedDLQ": []},
        "events": [],
        "lines": [],
        "start": NOW - 120_000,
        "step": 2_000,
        "graphs": [graph(key, None) for key in SERIES],
    }


def graph(key: str, value: float | None) -> dict[str, Any]:
    kind, labels = SERIES[key]
    series = [{"label": label, "values": [value] * POINTS} for label in labels]
    return {
        "key": key,
        "title": key.title(),
        "unit": "messages",
        "kind": kind,
        "isCount": kind == "bars",
        "series": series,
    }


def busy() -> dict[str, Any]:
    """What it is given during a throttle, with something in every part."""
    state = empty()
    state["queues"]["SegmentEventsQueue"] |= {"waiting": 20, "inFlight": 7}
    state["queues"]["ThrottledDLQ"]["delayed"] = 30
    state["queues"]["RejectedDLQ"]["waiting"] = 1
    state["outcomes"] |= {"MessagesReceived": 171, "EventsDelivered": 140, "EventsThrottled": 30, "EventsRejected": 1}
    state |= {"requests": 3, "accepted": 140, "function": {"running": 2}}
    pause = {"code": "API_LIMIT_EXCEEDED", "since": NOW - 15_000, "until": NOW + 45_000, "probing": False}
    state["pauses"] = [{"connectors": ["default", "loyalty"], **pause}]
    state["letters"] = {
        "ThrottledDLQ": [letters("API_LIMIT_EXCEEDED", 30, dueFrom=NOW + 45_000, dueUntil=NOW + 50_000)],
        "RejectedDLQ": [letters("INVALID_MESSAGE", 1, dueFrom=None, dueUntil=None)],
    }
    event = {
        "at": NOW,
        "eventName": "SEGMENT_CHANGED",
        "account": "api_user",
        "list": "CONTACTS_LIST",
        "identifierKind": "recipientId",
        "profileId": "profile-1",
        "callType": "ADD",
    }
    state["events"] = [
        {**event, "number": number, "identifier": str(number), "properties": [["firstName", EVIL]]}
        for number in range(12)
    ]
    line = {"at": NOW, "kind": "message", "level": "INFO", "text": f"rejected, {EVIL}", "messageId": "m", "count": 1}
    state["lines"] = [line, {**line, "level": "WARNING", "messageId": "", "count": 0}] * 8
    state["graphs"] = [graph(key, 5.0) for key in SERIES]
    return state


def letters(code: str, count: int, **due: int | None) -> dict[str, Any]:
    letter = {"id": "0b7b8f6e", "at": NOW, "eventName": "SEGMENT_CHANGED", "body": json.dumps({"profileId": EVIL})}
    return {
        "code": code,
        "reason": f"profileId: {EVIL}",
        "connector": "default",
        "advice": "fix the producer",
        "count": count,
        "letters": [letter],
        **due,
    }


class Page:
    """The page in the browser, and what it is given."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.state = empty()
        self.asked: list[str] = []
        self.fault: Exception | None = None
        self.was_gone = False
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._server = ExitStack()

    def read(self, find: str) -> dict[str, Any]:
        self.asked.append(find)
        if self.fault:
            raise self.fault
        return copy.deepcopy(self.state)

    def start(self) -> None:
        self._server.enter_context(serving(self.read, self.port))

    def stop(self) -> None:
        self._server.close()

    def is_gone(self) -> None:
        """Let it look for a stack that is not there, of which the browser complains."""
        self.was_gone = True
        self.look()

    def give(self, state: dict[str, Any]) -> None:
        """Give it a state, and let it look."""
        self.state = state
        self.look()

    def look(self) -> None:
        """Let it look now, rather than within a second."""
        self.browser.evaluate("look()")

    def notices(self) -> str:
        return self.browser.text("#notices")


@pytest.fixture
def page(running_browser: Browser) -> Iterator[Page]:  # noqa: F811 - the fixture
    page = Page(running_browser)
    page.start()
    running_browser.complaints.clear()
    running_browser.look()
    running_browser.open(page.url)
    running_browser.until("document.querySelector('#outcomes').children.length")
    yield page
    running_browser.leave()
    page.stop()
    assert page.was_gone or running_browser.complaints == []


def violations(browser: Browser) -> list[Any]:
    found = (
        "axe.run().then(found => found.violations.map("
        "each => [each.id, each.nodes.map(node => node.html.slice(0, 120) + ' ' + node.failureSummary)]))"
    )
    result: list[Any] = browser.evaluate(found)
    return result


def test_before_anything_is_sent_it_says_how_to_send(page: Page) -> None:
    assert "Nothing has been sent yet" in page.notices()
    assert SEND_COMMAND in page.notices()
    assert page.browser.text("#inbox") == "Responsys has accepted nothing yet."


def test_it_tells_of_a_pause_and_until_when_then_of_draining_then_nothing(page: Page) -> None:
    # Given a throttle
    state = busy()
    page.give(state)

    # Then it says who is paused, why, and for how long
    until = page.browser.evaluate(f"new Date({NOW + 45_000}).toLocaleTimeString('en-GB')")
    assert "Paused: default, loyalty. API_LIMIT_EXCEEDED." in page.notices()
    assert f"until {until}, 45 seconds more" in page.notices()
    assert page.browser.text("#throttled-waiting") == "30"

    # When the pause is over, and some of what waited was delivered
    after = {**busy(), "pauses": []}
    after["queues"]["ThrottledDLQ"] = {"waiting": 0, "inFlight": 12, "delayed": 0}
    page.give(after)

    # Then it says that the queue drains
    assert page.notices().startswith("↻ Draining. 12 messages")

    # When all of it was
    after["queues"]["ThrottledDLQ"]["inFlight"] = 0
    page.give(after)

    # Then there is nothing to say
    assert page.notices() == ""


def test_what_waits_without_a_pause_is_not_said_to_drain(page: Page) -> None:
    # Given letters that wait because a login was throttled, which pauses no requests
    page.give({**busy(), "pauses": []})

    # Then it says until when they wait, and why
    until = page.browser.evaluate(f"new Date({NOW + 50_000}).toLocaleTimeString('en-GB')")
    assert page.notices().startswith("❚❚ Waiting. 30 messages")
    assert f"the last at {until}: API_LIMIT_EXCEEDED (default)." in page.notices()


def test_it_says_when_the_stack_is_gone_and_goes_on_when_it_is_back(page: Page) -> None:
    # Given a page that has shown something
    page.give(busy())

    # When the stack ends
    page.stop()
    page.is_gone()

    # Then it says so, what to do, and how old that is what it shows; and a screen reader is told
    assert "The local stack is gone." in page.notices()
    assert "make local" in page.notices()
    assert "Paused" not in page.notices()
    assert page.browser.text("#accepted") == "140"
    page.browser.evaluate(axe_script())
    assert violations(page.browser) == []
    assert page.browser.evaluate("document.querySelector('#told').textContent") == "The local stack is gone"

    # When a new one is there
    page.state = {**empty(), "started": NOW}
    page.start()

    # Then it shows that one
    page.browser.until("!document.body.classList.contains('gone')")
    assert page.browser.text("#accepted") == "0"


def test_a_stack_that_does_not_answer_is_as_good_as_gone(page: Page) -> None:
    page.give(busy())

    page.fault = AwsCallError("SSM list: failed")
    page.is_gone()

    assert "The local stack is gone." in page.notices()


def test_what_messages_say_is_shown_and_never_run(page: Page) -> None:
    # Given bodies, reasons and properties with markup
    page.give(busy())
    page.browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")

    # Then it stands there as text, and did nothing
    for part in ("#lines", "#letters", "#inbox"):
        assert "window.hacked" in page.browser.text(part)
    assert page.browser.evaluate("window.hacked") is None
    assert page.browser.evaluate("document.querySelectorAll('main img').length") == 0


@pytest.mark.parametrize(
    ("scheme", "width", "state"),
    [("light", 1200, busy), ("dark", 1200, busy), ("light", 320, busy), ("dark", 800, empty)],
)
def test_nothing_in_it_keeps_anybody_out(page: Page, scheme: Scheme, width: int, state: Callable[[], Any]) -> None:
    # Given the page in a scheme and a width, with its details opened
    page.browser.look(scheme, width, still=True)
    page.give(state())
    page.browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")

    # When axe looks for bad contrast, missing names, wrong roles and the like
    page.browser.evaluate(axe_script())

    # Then it finds none, and nothing must be scrolled sideways
    assert violations(page.browser) == []
    assert page.browser.evaluate("document.documentElement.scrollWidth") <= width


def test_assistive_technology_is_told_what_eyes_see(page: Page) -> None:
    page.give(busy())

    told = page.browser.accessible()

    # Each part has a heading, each table its columns, each graph its figures in words
    assert {name for role, name in told if role == "heading"} >= {
        *(
            "Where messages are",
            "Outcomes",
            "As they come",
            "Dead letters",
            "Inbox of the simulated Responsys",
            "Graphs",
        ),
        *QUEUES,
    }
    assert [name for role, name in told if role == "columnheader"] == [
        *("Time", "Event", "Profile", "Call type", "Recipient", "Properties")
    ]
    graphs = [name for role, name in told if role in {"img", "image"}]
    assert f"Outcomes, delivered {5 * POINTS}, duplicate {5 * POINTS}" in graphs[0]
    assert ("searchbox", "Find") in told


def test_outcomes_are_said_aloud_with_restraint(page: Page) -> None:
    # Given a page that is looked at, and a count of what it says aloud
    page.give(busy())
    page.browser.evaluate(
        "window.said = []; new MutationObserver(() => window.said.push(document.querySelector('#told').textContent))"
        ".observe(document.querySelector('#told'), { childList: true })"
    )

    # When messages are delivered at each look
    for more in (1, 2, 3):
        state = {**busy(), "pauses": []}
        state["outcomes"]["EventsDelivered"] += more
        page.give(state)

    # Then the end of the pause is said at once, and no outcome again and again
    said = page.browser.evaluate("window.said")
    assert len(said) == 1
    assert said[0].startswith("A pause is over")


def test_the_keyboard_reaches_everything_and_is_not_thrown_back_by_news(page: Page) -> None:
    # Given the focus on the letters' details
    page.give(busy())
    names = []
    for _ in range(12):
        page.browser.press("Tab")
        names.append(page.browser.evaluate("document.activeElement.dataset.key ?? document.activeElement.id"))
        if names[-1].startswith("RejectedDLQ INVALID"):
            break
    assert names[1:4] == ["find", "lines", "RejectedDLQ"]

    # When they are opened, and something new comes
    page.browser.press("Enter")
    state = busy()
    state["letters"]["RejectedDLQ"][0]["count"] = 2
    page.give(state)

    # Then they are still open and still have the focus, which can be seen
    assert page.browser.evaluate("document.activeElement.dataset.key") == names[-1]
    assert page.browser.evaluate("document.activeElement.parentElement.open")
    assert page.browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_what_is_looked_for_is_asked_for_and_counted(page: Page) -> None:
    page.browser.evaluate("document.querySelector('#find').focus()")
    page.browser.type("profile-1")
    page.give(busy())

    assert page.asked[-1] == "profile-1"
    assert page.browser.text("#matches") == "“profile-1”: 12 events, 31 dead letters, 16 lines"


def test_nothing_moves_for_who_asked_for_stillness_and_no_outcome_is_a_colour_alone(page: Page) -> None:
    page.give(busy())
    animation = "getComputedStyle(document.querySelector('#arrow-in.moving path')).animationName"
    assert page.browser.evaluate(animation) == "flow"

    page.browser.look(still=True)

    assert page.browser.evaluate(animation) == "none"
    fills = page.browser.evaluate(
        "[...document.querySelectorAll('[data-outcome] rect')].map(each => getComputedStyle(each).fill)"
    )
    assert len(set(fills)) == len(OUTCOMES)
    assert sum("url(" in fill for fill in fills) == len(OUTCOMES) - 1


def test_it_is_read_only_loads_nothing_from_elsewhere_and_serves_this_machine_alone(page: Page) -> None:
    # Given what the page has loaded
    loaded = page.browser.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    assert loaded
    assert all(name.startswith(page.url) for name in loaded)

    # When something else than reading is asked, or a name that leads here from elsewhere
    with requests.Session() as session:
        session.trust_env = False
        refused = [session.request(method, page.url + "state").status_code for method in ("POST", "PUT", "DELETE")]
        elsewhere = session.get(page.url + "state", headers={"Host": f"evil.example:{page.port}"})

    # Then it is refused
    assert refused == [405, 405, 405]
    assert elsewhere.status_code == 403


def letter(code: str | None, sent: int, **changes: Any) -> dict[str, Any]:
    attributes = {"errorCode": code, "reason": "because", "connector": "default", "originalMessageId": f"id-{sent}"}
    return {
        "MessageId": f"sqs-{sent}",
        "Body": "{}",
        "SentTimestamp": sent,
        "VisibleAt": sent,
        "ReceiveCount": 0,
        "MessageAttributes": {name: {"StringValue": value} for name, value in attributes.items() if code},
        **changes,
    }


def test_dead_letters_are_grouped_by_why_they_are_there_with_the_time_of_their_return() -> None:
    # Given letters of two codes, of which some are away and one was received
    away = [letter("API_LIMIT_EXCEEDED", 100 + number, VisibleAt=200 + number) for number in range(3)]
    received = letter("API_LIMIT_EXCEEDED", 103, VisibleAt=999, ReceiveCount=1)

    # When they are grouped
    groups = grouped([*away, received, letter("EXPIRED", 104), letter(None, 90)], now=150)

    # Then the newest reason is first, a letter that was received tells no time, and one without attributes crashed
    assert [(group["code"], group["count"]) for group in groups] == [
        *(("EXPIRED", 1), ("API_LIMIT_EXCEEDED", 4), ("no error code", 1))
    ]
    assert (groups[1]["dueFrom"], groups[1]["dueUntil"]) == (200_000, 202_000)
    assert groups[0]["dueFrom"] is None
    assert "5 receives" in groups[2]["reason"]
    assert groups[0]["advice"]


def test_a_letter_is_found_by_its_body_or_ids() -> None:
    found = [letter("EXPIRED", 1, Body='{"profileId": "P-1"}'), letter("EXPIRED", 2)]

    assert [grouped(found, find)[0]["letters"][0]["id"] for find in ("p-1", "id-2", "sqs-2")] == [
        "id-1",
        "id-2",
        "id-2",
    ]
    assert grouped(found, "nobody") == []
