"""Which worlds are tried?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st

from tests.fakes.responsys import UNKNOWN_RECIPIENT, Fault

CONNECTORS = ("default", "second")
AWS_CALLS = (
    "dynamodb",  # whatever the call
    "BatchExecuteStatement",
    "between statements",
    "Query",
    "BatchGetItem",
    "GetItem",
    "PutItem",
    "UpdateItem",
    "ssm",
    "secrets",
    "sqs_send",
    "sqs_visibility",
)


class Kind(StrEnum):
    """What upstream puts on the queue."""

    VALID = "valid"
    SPOILING = "refused by Responsys together with its request"
    NOT_JSON = "not JSON"
    NO_IDENTIFIER = "without identifier"
    NO_CONNECTOR = "of an unknown connector"


class Attributes(StrEnum):
    """Which message attributes the producer sets."""

    NONE = "none"
    OURS = "names of ours"
    TEN = "as many as SQS takes"


class _Brief:
    """Writes of a dataclass what is not its default."""

    def __repr__(self) -> str:
        told = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)  # type: ignore[arg-type]
            if getattr(self, each.name) != each.default
        ]
        return f"{type(self).__name__}({', '.join(told)})"


@dataclass(frozen=True, repr=False)
class Upstream(_Brief):
    """One message from upstream.

    Attributes
    ----------
    after : int
        Seconds after the world's beginning.
    message_id : int or None
        The producer's id; several messages may carry the same.
    event_name : str or None
        ``None``: what the connector's mapping makes of the segment.
    profile : int
        Its number in Responsys's list, too.
    occurred : int or None
        Seconds after the world's beginning when the membership changed, as the producer says.
    copies : int
        How often the producer sends it.
    of_platform : bool
        Whether mParticle writes it, and the connectors' settings say to which of them it goes.
    joined : bool
        Whether it comes in one body with the one before it, and at its time.
    """

    kind: Kind = Kind.VALID
    after: int = 0
    message_id: int | None = None
    connector: str = "default"
    event_name: str | None = None
    profile: int = 1
    call_type: str = "ADD"
    segment: str = "aud-1"
    occurred: int | None = None
    attributes: Attributes = Attributes.NONE
    copies: int = 1
    of_platform: bool = False
    joined: bool = False


@dataclass(frozen=True)
class AwsFault:
    """AWS calls that fail.

    Attributes
    ----------
    call : str
        One of :data:`AWS_CALLS`, or ``events``.
    first, times : int
        Which calls, counted over the whole world.
    after : bool
        Whether they take effect all the same.
    seconds : int
        How long each call takes to fail.
    code : str
        AWS's error code; empty where no answer comes.
    """

    call: str
    first: int
    times: int
    after: bool
    seconds: int
    code: str = ""


@dataclass(frozen=True)
class StatementFault:
    """Statements to DynamoDB that fail alone, each before it takes effect."""

    first: int
    times: int
    code: str


@dataclass(frozen=True)
class ResponsysFault:
    """Requests to Responsys that go wrong; ``kind`` as in :class:`~tests.fakes.responsys.FakeResponsys`."""

    kind: str
    first: int
    times: int
    fault: Fault


@dataclass(frozen=True)
class PasswordChange:
    """A password that becomes another.

    Attributes
    ----------
    where : str
        ``responsys``: it counts from now on; else the name of the connector whose secret holds it from now on.
    """

    after: int
    where: str
    password: int


@dataclass(frozen=True)
class MappingChange:
    """A mapping of segments to events that becomes another.

    Attributes
    ----------
    connectors : tuple of str
        Of which; at the others it becomes empty.
    identifier_from : tuple of str
        Where all connectors look for the identifier from then on.
    """

    after: int
    event_names: tuple[tuple[str, str], ...]
    connectors: tuple[str, ...] = CONNECTORS
    identifier_from: tuple[str, ...] = ()

    def maps(self, connector: str, segment: str) -> bool:
        """Return whether a connector maps a segment."""
        return connector in self.connectors and segment in dict(self.event_names)


@dataclass(frozen=True)
class OperatorReplay:
    """A person who sends back what waits in RejectedDLQ."""

    after: int
    in_doubt: bool


@dataclass(frozen=True)
class ListLoad:
    """Who is missing in the list, what the connectors do about them, and when a load brings them.

    Attributes
    ----------
    action : str
        Of ``missingRecipients``. Connectors that create know people by customer id, which is the profile's number.
    missing : tuple of int
        Profiles.
    after : int or None
        Seconds after the world's beginning; ``None``: no load comes.
    refused : tuple of int
        Profiles whose records a merge does not take.
    spoiling : tuple of int
        Profiles for which Responsys refuses the whole merge.
    visible_after : int
        Seconds after which events find whom a merge added; by the RIID as well.
    names_riid : bool
        Whether a merge tells the RIID of whom it found.
    """

    action: str = "REJECT"
    missing: tuple[int, ...] = (UNKNOWN_RECIPIENT,)
    after: int | None = None
    refused: tuple[int, ...] = ()
    spoiling: tuple[int, ...] = ()
    visible_after: int = 0
    names_riid: bool = True

    @property
    def creates(self) -> bool:
        """Whether the connectors create who is missing."""
        return self.action == "CREATE"


@dataclass(frozen=True)
class Crowd:
    """Messages of as many profiles that come all at once."""

    size: int
    after: int = 0


@dataclass(frozen=True, repr=False)
class Scenario(_Brief):
    """One world.

    Attributes
    ----------
    resend : bool
        ``UnknownOutcome``: whether what is in doubt is sent again.
    latencies : tuple of float
        Seconds, one of which each request to Responsys takes.
    one_user : bool
        Whether the connectors have the same user of the same account, in a secret each.
    known_events : tuple of str or None
        Others are refused by Responsys.
    pollers : int
        Environments at once.
    batching_window : int
        Seconds that messages wait for others.
    any_order : bool
        Whether SQS hands out what is due in any order.
    sqs_seconds, table_seconds : tuple of (float, float)
        Least and most that a call to SQS, and to DynamoDB, takes.
    kills : frozenset of int
        Steps at which the environment that takes them is killed; each AWS call, request and reply is a step.
    received_twice, not_deleted, refused_entries : frozenset of int
        Which receives leave the message visible, which deletions get lost, which batch entries SQS refuses.
    skews : tuple of int
        Seconds that the environments' clocks are off.
    outcome_feed : bool
        Whether EventBridge is told of the outcomes.
    """

    messages: tuple[Upstream, ...]
    crowd: Crowd = Crowd(0)
    resend: bool = True
    maximum_resends: int = 2
    reply_seconds: int = 60
    requests_per_minute: int | None = 60
    account_limit: int | None = 200
    record_named_from: int | None = None
    latencies: tuple[float, ...] = (0.1, 0.3, 2.0)
    one_user: bool = False
    known_events: tuple[str, ...] | None = None
    mapping: tuple[MappingChange, ...] = ()
    list_load: ListLoad = ListLoad()
    passwords: tuple[PasswordChange, ...] = ()
    replays: tuple[OperatorReplay, ...] = ()
    pollers: int = 1
    batch_size: int = 10
    batching_window: int = 1
    any_order: bool = False
    sqs_seconds: tuple[float, float] = (0.005, 0.05)
    table_seconds: tuple[float, float] = (0.005, 0.05)
    in_flight: int = 2
    aws_faults: tuple[AwsFault, ...] = ()
    statement_faults: tuple[StatementFault, ...] = ()
    responsys_faults: tuple[ResponsysFault, ...] = ()
    kills: frozenset[int] = frozenset()
    received_twice: frozenset[int] = frozenset()
    not_deleted: frozenset[int] = frozenset()
    refused_entries: frozenset[int] = frozenset()
    skews: tuple[int, ...] = (0,)
    outcome_feed: bool = False
    seed: int = 0

    @property
    def first_mapping(self) -> MappingChange:
        """What the connectors' settings map when the first message comes."""
        return next((change for change in self.mapping if change.after == 0), MappingChange(0, ()))

    @property
    def resends(self) -> int:
        """How often a message in doubt may be sent again."""
        return self.maximum_resends if self.resend else 0


def _product(**choices: Sequence[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw several fields at once: one draw is far cheaper than one for each. The first of each is the simplest."""
    combinations = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    return st.sampled_from(combinations)


# Few memberships, so that their changes meet.
_WHO = _product(
    profile=[1, 1, 1, 2, 3, 4, 5, 6, UNKNOWN_RECIPIENT, UNKNOWN_RECIPIENT],
    segment=["aud-1", "aud-1", "aud-1", "aud-2", "journey-1"],
    connector=["default"] * 4 + ["second"],
)
_WHAT = _product(
    kind=[Kind.VALID] * 8 + list(Kind),
    call_type=["ADD", "ADD", "REMOVE", "UPDATE"],
    event_name=[None, None, "ENTERED", "LEFT"],
)
_WHEN = _product(
    after=[0, 0, 0, 30, 30, 400],
    occurred=[None, None, None, 0, 0, -100, 10, 35, 300],
    message_id=[None, None, None, None, 1, 2, 3, 4],
)
_HOW = _product(attributes=[Attributes.NONE] * 12 + list(Attributes), copies=[1] * 15 + [2])
_WHERE = _product(of_platform=[False, False, True], joined=[False, True])


def _messages(
    who: st.SearchStrategy[dict[str, Any]], where: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[tuple[Upstream, ...]]:
    message = st.builds(
        lambda who, what, when, how, where: _written(Upstream(**who, **what, **when, **how, **where)),
        who,
        _WHAT,
        _WHEN,
        _HOW,
        where,
    )
    return st.sampled_from([1, 4, 12]).flatmap(lambda least: st.lists(message, min_size=least, max_size=24).map(tuple))


def _written(message: Upstream) -> Upstream:
    """Leave to a platform what it can say."""
    if not message.of_platform:
        return message
    if message.kind in {Kind.NOT_JSON, Kind.NO_CONNECTOR}:
        return replace(message, of_platform=False)
    return replace(message, connector=CONNECTORS[0], event_name=None)


_OF_MANY: dict[str, st.SearchStrategy[Any]] = {"messages": _messages(_WHO, st.just({}))}
_OF_ONE_MEMBERSHIP = {"messages": _messages(st.just({}), st.just({}))}
_SEVERAL_IN_ONE = {"messages": _messages(_WHO, _WHERE)}
_SEVERAL_OF_ONE_MEMBERSHIP = {"messages": _messages(st.just({}), _WHERE)}

_TIMES = st.sampled_from([1, 1, 1, 1, 2, 3, 8, 20])
_AWS_FAULTS = st.builds(
    lambda call, first, times, how: AwsFault(call, first, times, *how),
    st.sampled_from(AWS_CALLS),
    st.integers(0, 5) | st.integers(0, 25),
    _TIMES,
    st.sampled_from(
        [
            *itertools.product([False, True], [0, 0, 0, 4, 8]),
            (False, 0, "ThrottlingException"),
            (False, 0, "AccessDeniedException"),
        ]
    ),
)
_STATEMENT_FAULTS = st.builds(
    StatementFault,
    first=st.integers(0, 25),
    times=_TIMES,
    code=st.sampled_from(
        [
            "TransactionConflict",
            "ThrottlingError",
            "ProvisionedThroughputExceeded",
            "InternalServerError",
            "AccessDenied",
        ]
    ),
)
_RESPONSYS_FAULTS = st.builds(
    ResponsysFault,
    kind=st.sampled_from(["event", "event", "event", "event", "login", "ratelimit"]),
    first=st.integers(0, 3) | st.integers(0, 12),
    times=_TIMES,
    fault=st.sampled_from([*Fault, Fault.REVERSED, Fault.REVERSED]),
)
_SOME = st.frozensets(st.integers(0, 30), max_size=4)

_AWS_TROUBLE = {
    "aws_faults": st.lists(_AWS_FAULTS, min_size=1, max_size=3).map(tuple),
    "statement_faults": st.lists(_STATEMENT_FAULTS, max_size=1).map(tuple),
    "refused_entries": _SOME,
}
_RESPONSYS_TROUBLE = {"responsys_faults": st.lists(_RESPONSYS_FAULTS, min_size=1, max_size=3).map(tuple)}
_KILLS = {"kills": st.frozensets(st.integers(0, 30) | st.integers(0, 150), min_size=1, max_size=3)}
_REDELIVERY = {"received_twice": _SOME, "not_deleted": _SOME, "any_order": st.booleans()}
# What SQS hands over twice, and slow calls to the table, let environments meet at one claim.
_MEETING = _OF_ONE_MEMBERSHIP | {
    "received_twice": st.frozensets(st.integers(0, 30), min_size=4, max_size=20),
    "table_seconds": st.sampled_from([(0.2, 1.0), (0.5, 3.0)]),
    "settings": _product(requests_per_minute=[600], account_limit=[200], pollers=[2, 3], in_flight=[2]),
}
_SKEW = {"skews": st.sampled_from([(0, 300), (-300, 0, 300)])}
_SLOW = {
    "latencies": st.sampled_from(
        [(10.0,), (20.0,), (0.05, 40.0), (0.3, 5.0, 44.0, 46.0), (59.0, 61.0), (0.3, 100.0, 200.0)]
    ),
    "any_order": st.booleans(),
}
_SLOW_SQS = {"sqs_seconds": st.sampled_from([(0.1, 0.5), (1.0, 3.0), (4.0, 7.0)])}
_PASSWORDS = {
    "passwords": st.lists(
        st.builds(
            PasswordChange,
            after=st.sampled_from([0, 10, 300, 700, 4000]),
            where=st.sampled_from(["responsys", "default", "second"]),
            password=st.integers(1, 2),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    "one_user": st.booleans(),
}
_MAPPING = {
    "mapping": st.lists(
        st.builds(
            MappingChange,
            after=st.sampled_from([0, 5, 60, 350, 1000]),
            event_names=st.sampled_from([(("aud-1", "CHANGED"),), (("aud-2", "LEFT"),), ()]),
            connectors=st.sampled_from([CONNECTORS, CONNECTORS[1:]]),
            identifier_from=st.sampled_from([(), (), ("variables.corrected", "corrected")]),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
    "known_events": st.sampled_from([None, None, ("ENTERED", "LEFT"), ("CHANGED", "LEFT")]),
}
# EventBridge fails, as any call of AWS's may.
_FEED = {
    "outcome_feed": st.just(True),
    "aws_faults": st.lists(_AWS_FAULTS.map(lambda fault: replace(fault, call="events")), min_size=1, max_size=2).map(
        tuple
    ),
}
_REPLAYS = {
    "replays": st.lists(
        st.builds(OperatorReplay, after=st.sampled_from([100, 1000, 6000, 40_000]), in_doubt=st.booleans()),
        min_size=1,
        max_size=2,
    ).map(tuple)
}
_WAIT = {
    "list_load": st.builds(
        ListLoad,
        action=st.just("WAIT"),
        missing=st.sampled_from([(UNKNOWN_RECIPIENT,), (1, UNKNOWN_RECIPIENT)]),
        after=st.sampled_from([300, 3600, None]),
    )
}
_CREATE = {
    "list_load": st.builds(
        ListLoad,
        action=st.just("CREATE"),
        missing=st.sampled_from([(1, 3, UNKNOWN_RECIPIENT), (1, 2, 3, 4, 5, 6, UNKNOWN_RECIPIENT)]),
        after=st.sampled_from([None, None, 300]),
        refused=st.sampled_from([(), (), (3,)]),
        spoiling=st.sampled_from([(), (), (UNKNOWN_RECIPIENT,)]),
        visible_after=st.sampled_from([0, 0, 0, 30, 1800]),
        names_riid=st.sampled_from([True, True, False]),
    )
}
_MERGE_TROUBLE = {
    "responsys_faults": st.lists(
        st.builds(
            ResponsysFault,
            kind=st.sampled_from(["merge", "merge", "event"]),
            first=st.integers(0, 5),
            times=_TIMES,
            fault=st.sampled_from([*Fault]),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple)
}
# One trouble at a time goes deeper than all at once, which soon has nothing left to spoil.
_TROUBLES: tuple[dict[str, st.SearchStrategy[Any]], ...] = (
    {},
    _REDELIVERY,
    _AWS_TROUBLE,
    _AWS_TROUBLE | _REDELIVERY,
    _RESPONSYS_TROUBLE,
    _RESPONSYS_TROUBLE | _AWS_TROUBLE,
    _RESPONSYS_TROUBLE | _FEED,
    _RESPONSYS_TROUBLE | _REPLAYS,
    _RESPONSYS_TROUBLE | _MAPPING | _REPLAYS,
    _SLOW,
    _SLOW | _RESPONSYS_TROUBLE | _REDELIVERY,
    _MEETING | _RESPONSYS_TROUBLE,
    _OF_ONE_MEMBERSHIP | _SLOW | _REDELIVERY,
    _OF_ONE_MEMBERSHIP | _SLOW | _RESPONSYS_TROUBLE | _REDELIVERY,
    _OF_ONE_MEMBERSHIP | _KILLS | _RESPONSYS_TROUBLE | _REDELIVERY,
    _SLOW_SQS | _RESPONSYS_TROUBLE,
    _PASSWORDS,
    _PASSWORDS | _RESPONSYS_TROUBLE | _AWS_TROUBLE,
    _MAPPING | _REDELIVERY,
    _KILLS | _REDELIVERY,
    _KILLS | _SLOW | _MAPPING | _REPLAYS,
    _KILLS | _RESPONSYS_TROUBLE | _AWS_TROUBLE | _REDELIVERY,
    _KILLS | _RESPONSYS_TROUBLE | _AWS_TROUBLE | _REDELIVERY | _SKEW,
    _SEVERAL_IN_ONE,
    _SEVERAL_IN_ONE | _MAPPING,
    _SEVERAL_IN_ONE | _AWS_TROUBLE | _MAPPING,
    _SEVERAL_IN_ONE | _RESPONSYS_TROUBLE | _MAPPING | _REPLAYS,
    _SEVERAL_IN_ONE | _SLOW_SQS | _RESPONSYS_TROUBLE,
    _SEVERAL_IN_ONE | _KILLS | _RESPONSYS_TROUBLE | _AWS_TROUBLE | _REDELIVERY,
    _SEVERAL_OF_ONE_MEMBERSHIP | _KILLS | _RESPONSYS_TROUBLE | _REDELIVERY,
    _WAIT,
    _WAIT | _SEVERAL_IN_ONE | _RESPONSYS_TROUBLE | _REDELIVERY,
    _CREATE,
    _CREATE | _REDELIVERY | _SLOW,
    _CREATE | _MERGE_TROUBLE | _REDELIVERY,
    _CREATE | _OF_ONE_MEMBERSHIP | _MERGE_TROUBLE | _REDELIVERY,
    _CREATE | _KILLS | _REDELIVERY,
    _CREATE | _KILLS | _MERGE_TROUBLE | _AWS_TROUBLE | _REDELIVERY,
    _CREATE | _SEVERAL_IN_ONE | _KILLS | _SLOW | _REPLAYS,
    _CREATE | _MEETING | _MERGE_TROUBLE,
)

_SETTINGS = _product(
    requests_per_minute=[60, None, None, 6, 600],
    account_limit=[200, None, 12],
    record_named_from=[None, 0, 1],
    pollers=[1, 2, 3],
    in_flight=[1, 2, 3, 4],
)
_DOUBT = _product(resend=[True, True, False], maximum_resends=[2, 0, 1, 3], reply_seconds=[60, 45, 120])
_FEW = _product(batch_size=[10, 1, 4, 24], batching_window=[1, 40], outcome_feed=[False, True])
_MANY = _product(
    batch_size=[10, 100, 400],
    batching_window=[1, 40],
    crowd=[Crowd(40), Crowd(40, 30), Crowd(150), Crowd(400, 5)],
    requests_per_minute=[60, 600],
    outcome_feed=[False, True],
)


def scenarios() -> st.SearchStrategy[Scenario]:
    """Draw worlds."""
    numbers = st.sampled_from([_FEW] * 60 + [_MANY]).flatmap(lambda drawn: drawn)
    return st.sampled_from(_TROUBLES).flatmap(
        lambda trouble: st.builds(
            lambda settings, doubt, numbers, **others: Scenario(**(settings | doubt | numbers | others)),
            doubt=_DOUBT,
            numbers=numbers,
            seed=st.integers(0, 2**32 - 1),
            **({"settings": _SETTINGS} | _OF_MANY | trouble),
        )
    )
