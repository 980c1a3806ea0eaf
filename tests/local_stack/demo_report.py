"""How is the demo told to somebody who sends marketing messages for a living?"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from responsys_activation.error_code import ERROR_CODES, plain
from responsys_activation.upstream.platform import Platform
from tests.local_stack.demo_memberships import (
    SECOND_CONNECTOR,
    Arrival,
    PublishedMembership,
    demo_accounts,
    least_requests,
)
from tests.local_stack.demo_platforms import PLATFORMS_CONNECTOR, PlatformBody, platforms_account
from tests.local_stack.demo_results import FATES, SERVICE, Results
from tests.local_stack.published_metrics import PublishedMetrics
from tests.local_stack.stack import STACK_NAME, LocalStack
from tests.simulator.inbox import InboxEvent

_FIRST_EVENTS = 8
_WIDEST_PROPERTIES = 24
_MEANINGS = {
    "EventsDelivered": "Responsys took the event",
    "EventsDuplicate": "delivered before under the same messageId: not sent again",
    "EventsRejected": "can never be sent as they are: they wait on RejectedDLQ",
    "EventsIgnored": "about no membership: a platform's page views, and whether somebody listens",
}
_CONNECTORS = {
    **dict(zip((account.username for account in demo_accounts()), ("default", SECOND_CONNECTOR), strict=True)),
    platforms_account().username: PLATFORMS_CONNECTOR,
}
_IGNORED = tuple(f"{platform.upper()}_" for platform in Platform)  # what is about no membership has such codes
_IDENTIFIER_NAMES = {"recipientId": "RIID", "emailSHA256Hash": "hashed e-mail", "customerId": "CRM id"}


def print_report(
    console: Console,
    stack: LocalStack,
    memberships: list[PublishedMembership],
    bodies: Sequence[PlatformBody],
    results: Results,
) -> None:
    """Print what became of the memberships, those in the bodies of platforms among them, and where to see it."""
    for table in (
        _outcomes(memberships, results),
        _platforms(bodies, results),
        _requests(memberships, results),
        _first_events(results.inbox),
        _dead_letters(results),
        _metrics(PublishedMetrics(stack.endpoint.cloudwatch)),
        _alarms(stack, results),
    ):
        console.print(table)
    _print_directions(console, stack)


def _table(title: str, *columns: str, numbers: Iterable[str] = ()) -> Table:
    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    right = set(numbers)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="ellipsis",
            no_wrap=bool(column),  # explanations, which have no heading, wrap before any other column is cut
        )
    return table


def _captioned(table: Table, caption: str) -> Group:
    # Not the table's own caption, which wraps where the table ends.
    return Group(table, Text(caption, style="italic"))


def _outcomes(memberships: list[PublishedMembership], results: Results) -> Group:
    table = _table(
        "What became of the memberships", "outcome", "messages", "should be", "", numbers=("messages", "should be")
    )
    fates = Counter(type(membership.fate) for membership in memberships)
    found = results.outcomes
    for metric, meaning in _MEANINGS.items():
        table.add_row(metric.removeprefix("Events").lower(), f"{found[metric]:,}", f"{fates[FATES[metric]]:,}", meaning)
    ended = sum(found[metric] for metric in FATES)
    table.add_section()
    table.add_row("published", f"{ended:,}", f"{len(memberships):,}", "each ended in exactly one of these")
    return _captioned(
        table,
        f"received {found['MessagesReceived']:,} = delivered {found['EventsDelivered']:,}"
        f" + duplicate {found['EventsDuplicate']:,} + throttled {found['EventsThrottled']:,}"
        f"\n                 + rejected {found['EventsRejected']:,} + retried {found['EventsRetried']:,}"
        f" + ignored {found['EventsIgnored']:,}"
        "\n(a throttled message is received again when it comes back)",
    )


def _requests(memberships: list[PublishedMembership], results: Results) -> Group:
    least, sent, recipients = least_requests(memberships), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for record in results.event_requests:
        account = record.account or ""
        group = (_CONNECTORS.get(account, "another"), record.event_name or "")  # a user name may be a person's
        sent[group] += 1
        recipients[group] += record.recipients
    table = _table(
        "Requests to Responsys",
        *("connector", "event", "recipients", "least requests", "sent", "recipients each"),
        numbers=("recipients", "least requests", "sent", "recipients each"),
    )
    for group in sorted(least | sent):
        each = recipients[group] / max(1, sent[group])
        table.add_row(*group, f"{recipients[group]:,}", str(least[group]), str(sent[group]), f"{each:.0f}")
    table.add_section()
    each = recipients.total() / max(1, sent.total())
    table.add_row("all", "", f"{recipients.total():,}", str(least.total()), str(sent.total()), f"{each:.0f}")
    throttled = Counter(record.kind for record in results.throttled_requests)
    kinds = ", ".join(f"{count} {kind}" for kind, count in throttled.items())
    return _captioned(
        table,
        f"{sent.total() / least.total():.2f} times the least possible number; {results.logins} logins;"
        f" requests that met the throttle: {throttled.total()}" + (f" ({kinds})" if kinds else ""),
    )


def _platforms(bodies: Sequence[PlatformBody], results: Results) -> Table:
    table = _table(
        "What platforms sent, in their own words",
        *("platform", "came by", "bodies", "memberships", "delivered", "ignored"),
        numbers=("bodies", "memberships", "delivered", "ignored"),
    )
    arrived = {(event.account, event.identifier, event.event_name) for event in results.inbox}
    ways: defaultdict[tuple[str, str], list[PlatformBody]] = defaultdict(list)
    for each in bodies:
        ways[each.platform, "webhook" if each.is_posted else "Kinesis pipe, queue"].append(each)
    for way, sent in ways.items():
        fates = [fate for each in sent for fate in each.fates]
        expected = [fate for fate in fates if isinstance(fate, Arrival)]
        delivered = sum((fate.account, fate.identifier, fate.event_name) in arrived for fate in expected)
        table.add_row(*way, f"{len(sent):,}", f"{len(expected):,}", f"{delivered:,}", str(len(fates) - len(expected)))
    return table


def _first_events(inbox: list[InboxEvent]) -> Table:
    table = _table(
        f"The first of {len(inbox):,} events in Responsys' inbox",
        *("event", "recipient", "profileId", "callType", "properties, among others"),
    )
    for event in _some_of_each(inbox):
        kind = _IDENTIFIER_NAMES.get(event.identifier_kind, event.identifier_kind)
        others = [entry for entry in event.properties if entry["name"] not in {"MESSAGE_ID", "profileId", "callType"}]
        table.add_row(
            event.event_name,
            f"{kind} {_shortened(event.identifier)}",
            *(event.value(name) or "" for name in ("profileId", "callType")),
            Text(", ".join(f"{entry['name']} {entry['value']}" for entry in others[:2])),
        )
    table.columns[-1].max_width = _WIDEST_PROPERTIES  # what identifies an event is cut last
    return table


def _some_of_each(inbox: list[InboxEvent]) -> list[InboxEvent]:
    """Return the first events of each account and event name, in the order of arrival."""
    groups: defaultdict[tuple[str, str], list[InboxEvent]] = defaultdict(list)
    for event in inbox:
        groups[event.account, event.event_name].append(event)
    shown = [event for group in groups.values() for event in group[: -(-_FIRST_EVENTS // len(groups))]]
    return sorted(shown, key=lambda event: event.sequence_number)


def _shortened(identifier: str) -> str:
    return identifier if len(identifier) <= 12 else f"{identifier[:8]}…"


def _dead_letters(results: Results) -> Table:
    table = _table("Dead-letter queues", "queue", "errorCode", "messages", "", numbers=("messages",))
    for error_code, messages in sorted(Counter(code for _, code in results.rejected).items()):
        table.add_row("RejectedDLQ", error_code, str(messages), _meaning(error_code))
    table.add_section()
    elsewhere = {code for _, code in results.rejected}
    for (_, error_code), messages in sorted(results.errors.items()):
        if error_code not in elsewhere and not error_code.startswith(_IGNORED):
            table.add_row("ThrottledDLQ", error_code, f"{messages:,}", f"{_meaning(error_code)}; came back")
    table.add_row("ThrottledDLQ", "", str(results.left_over.waiting), "wait there now")
    return table


def _meaning(code: str) -> str:
    return plain(ERROR_CODES[code].meaning) if code in ERROR_CODES else "not in any of Oracle's tables"


def _metrics(metrics: PublishedMetrics) -> Table:
    table = _table("Metrics (CloudWatch, namespace ResponsysActivation)", "metric", "of", "value", numbers=("value",))
    for (connector, event_name), delivered in sorted(
        metrics.totals("EventsDelivered", ("connector", "eventName")).items()
    ):
        table.add_row("EventsDelivered", f"{connector}, {event_name}", f"{delivered:,}")
    for (connector,) in sorted(metrics.totals("ApiRequests", ("connector",))):
        by = {"connector": connector}
        table.add_row("ApiLatency, mean", connector, f"{metrics.average('ApiLatency', **by):,.0f} ms")
        table.add_row("RecipientsPerRequest, mean", connector, f"{metrics.average('RecipientsPerRequest', **by):,.0f}")
        table.add_row("DeliveryLag, mean", connector, f"{metrics.average('DeliveryLag', **by) / 1000:,.1f} s")
        table.add_row("OutcomesUnknown", connector, f"{metrics.total('OutcomesUnknown', **by):,.0f}")
    table.add_row("TokenLoginFailures", SERVICE, f"{metrics.total('TokenLoginFailures', service=SERVICE):,.0f}")
    return table


def _alarms(stack: LocalStack, results: Results) -> Table:
    table = _table("Alarms (a minute of theirs is as short here as one of the throttles)", "alarm", "state", "")
    prefix = stack.function_name.removesuffix("segment-events")
    for full_name, state in sorted(results.alarms.items()):
        name = full_name.removeprefix(prefix)
        table.add_row(name, state, _REASONS.get((name, state)))
    return table


_REASONS = {
    ("rejected-messages", "ALARM"): "as it should be: messages wait on RejectedDLQ",
    ("failure-share", "ALARM"): "as it should be: half of the messages met the throttle",
    ("responsys-throttling", "ALARM"): "as it should be: Responsys throttled",
    ("connector-check", "INSUFFICIENT_DATA"): "the check runs once a day",
}


def _print_directions(console: Console, stack: LocalStack) -> None:
    console.print("\nWhere to see this", style="bold")
    console.print("  here     `make local` keeps the same stack running and tells how to send a message; beside it")
    console.print("           `make send`, `make check-connector` and `make replay`")
    console.print(f"  on AWS   dashboard {stack.outputs['DashboardName']}, alarms by topic {_name(stack)}")
    console.print(f"           log group /aws/lambda/{stack.function_name}")
    console.print(f"           saved queries for it in the folder {STACK_NAME} of Logs Insights")
    console.print("  on call  docs/runbook.md; what each error code means: docs/reference.md\n")


def _name(stack: LocalStack) -> str:
    return stack.outputs["AlarmTopicArn"].rpartition(":")[2]
