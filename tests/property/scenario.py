"""Which worlds are tried?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st

from tests.fakes.responsys import UNKNOWN_RECIPIENT, Fault

AWS_CALLS = (
    "dynamodb",  # whatever the call
    "TransactWriteItems",
    "BatchGetItem",
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


@dataclass(frozen=True)
class Upstream:
    """One message from upstream.

    Attributes
    ----------
    after : int
        Seconds after the world's beginning.
    message_id : int or None
        The producer's id; several messages may carry the same.
    """

    kind: Kind = Kind.VALID
    after: int = 0
    message_id: int | None = None
    connector: str = "default"
    event_name: str = "ENTERED"
    recipient: int = 1


@dataclass(frozen=True)
class AwsFault:
    """AWS calls that fail.

    Attributes
    ----------
    call : str
        One of :data:`AWS_CALLS`.
    first, times : int
        Which calls, counted over the whole world.
    after : bool
        Whether they take effect all the same.
    seconds : int
        How long each call takes to fail.
    """

    call: str
    first: int
    times: int
    after: bool
    seconds: int


@dataclass(frozen=True)
class ResponsysFault:
    """Requests to Responsys that go wrong; ``kind`` as in :class:`~tests.fakes.responsys.FakeResponsys`."""

    kind: str
    first: int
    times: int
    fault: Fault


@dataclass(frozen=True)
class Scenario:
    """One world.

    Attributes
    ----------
    pollers : int
        Environments at once.
    batching_window : int
        Seconds that messages wait for others.
    kills : frozenset of int
        Steps at which the environment that takes them is killed; each AWS call, request and reply is a step.
    received_twice, not_deleted, refused_entries : frozenset of int
        Which receives leave the message visible, which deletions get lost, which batch entries SQS refuses.
    skews : tuple of int
        Seconds that the environments' clocks are off.
    """

    messages: tuple[Upstream, ...]
    resend: bool = True
    requests_per_minute: int | None = 60
    account_limit: int | None = 200
    record_named_from: int | None = None
    pollers: int = 1
    batch_size: int = 10
    batching_window: int = 1
    in_flight: int = 2
    aws_faults: tuple[AwsFault, ...] = ()
    responsys_faults: tuple[ResponsysFault, ...] = ()
    kills: frozenset[int] = frozenset()
    received_twice: frozenset[int] = frozenset()
    not_deleted: frozenset[int] = frozenset()
    refused_entries: frozenset[int] = frozenset()
    skews: tuple[int, ...] = (0,)
    seed: int = 0


_MESSAGES = st.builds(
    Upstream,
    kind=st.sampled_from([Kind.VALID] * 8 + list(Kind)),
    after=st.sampled_from([0, 0, 0, 30, 30, 400]),
    message_id=st.none() | st.integers(1, 4),
    connector=st.sampled_from(["default"] * 4 + ["second"]),
    event_name=st.sampled_from(["ENTERED"] * 4 + ["LEFT"]),
    recipient=st.sampled_from([1, 2, 3, 4, 5, 6, 6, UNKNOWN_RECIPIENT]),
)
_TIMES = st.sampled_from([1, 1, 1, 1, 2, 3, 10, 40])
_AWS_FAULTS = st.builds(
    AwsFault,
    call=st.sampled_from(AWS_CALLS),
    first=st.integers(0, 5) | st.integers(0, 25),
    times=_TIMES,
    after=st.booleans(),
    seconds=st.sampled_from([0, 0, 0, 7, 21]),
)
_RESPONSYS_FAULTS = st.builds(
    ResponsysFault,
    kind=st.sampled_from(["event", "event", "event", "login", "ratelimit"]),
    first=st.integers(0, 3) | st.integers(0, 12),
    times=_TIMES,
    fault=st.sampled_from(Fault),
)
_SOME = st.frozensets(st.integers(0, 30), max_size=4)

_AWS_TROUBLE = {"aws_faults": st.lists(_AWS_FAULTS, min_size=1, max_size=3).map(tuple), "refused_entries": _SOME}
_RESPONSYS_TROUBLE = {"responsys_faults": st.lists(_RESPONSYS_FAULTS, min_size=1, max_size=3).map(tuple)}
_KILLS = {"kills": st.frozensets(st.integers(0, 30) | st.integers(0, 150), min_size=1, max_size=3)}
_REDELIVERY = {"received_twice": _SOME, "not_deleted": _SOME}
_SKEW = {"skews": st.sampled_from([(0, 300), (-300, 0, 300)])}
# One trouble at a time goes deeper than all at once, which soon has nothing left to spoil.
_TROUBLES: tuple[dict[str, st.SearchStrategy[Any]], ...] = (
    {},
    _REDELIVERY,
    _AWS_TROUBLE,
    _AWS_TROUBLE | _REDELIVERY,
    _RESPONSYS_TROUBLE,
    _RESPONSYS_TROUBLE | _AWS_TROUBLE,
    _KILLS | _REDELIVERY,
    _KILLS | _RESPONSYS_TROUBLE | _AWS_TROUBLE | _REDELIVERY,
    _KILLS | _RESPONSYS_TROUBLE | _AWS_TROUBLE | _REDELIVERY | _SKEW,
)


def scenarios() -> st.SearchStrategy[Scenario]:
    """Draw worlds."""
    return st.sampled_from(_TROUBLES).flatmap(
        lambda trouble: st.builds(
            Scenario,
            messages=st.sampled_from([1, 4, 12]).flatmap(
                lambda least: st.lists(_MESSAGES, min_size=least, max_size=24).map(tuple)
            ),
            resend=st.booleans(),
            requests_per_minute=st.sampled_from([None, None, 6, 60, 600]),
            account_limit=st.sampled_from([None, 12, 200]),
            record_named_from=st.sampled_from([None, 0, 1]),
            pollers=st.integers(1, 3),
            batch_size=st.sampled_from([1, 4, 10, 24]),
            batching_window=st.sampled_from([1, 40]),
            in_flight=st.integers(1, 4),
            seed=st.integers(0, 2**32 - 1),
            **trouble,
        )
    )
