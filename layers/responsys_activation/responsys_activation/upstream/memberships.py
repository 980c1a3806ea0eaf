"""Which memberships are in a body, and what would each of them be alone?

Our own format and those of the platforms, bare, in envelopes or in arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from responsys_activation.envelope import (
    MOST_ARRAYS,
    Envelope,
    InvalidMessageError,
    Opened,
    Unopened,
    enclose,
    is_our_message,
    messages_in,
    read_body,
)
from responsys_activation.membership import Membership, membership_of
from responsys_activation.upstream.part import Around, Document, Ignored, Reading, Said
from responsys_activation.upstream.platform import Platform, platform_of

__all__ = ["MOST_MEMBERSHIPS", "Memberships", "Part", "PartTooLargeError", "Refused", "in_groups", "read"]

# Of one body: more would fill the memory, for a megabyte has room for half a million elements, and the time of a batch.
MOST_MEMBERSHIPS = 30_000


# What a pipe leaves of records that it could not deliver; replayed from RejectedDLQ, it would only lack every field.
_NOTE_OF_A_PIPE = (
    "body: only says where in a Kinesis stream the records are that a pipe could not deliver; "
    "send the records themselves"
)


class Part(NamedTuple):
    """One membership of a body.

    Attributes
    ----------
    membership : Membership
        In our words. A platform's has no connector yet, and is for all that map its segment: see
        :mod:`~responsys_activation.upstream.addressing`.
    platform : Platform or None
        Whose words it came in; ``None`` for our own.
    names : tuple of str
        What ``eventNames`` may call its segment, the first that is there counts.
    places : tuple of Mapping
        Where ``identifierFrom`` looks in a platform's message.
    position : str
        Where it stands in the arrays of its body, ``/0`` for the first of one; empty where there is none, and for a
        platform's. What has no id but SQS's is told apart by it.
    given_id : str or None
        The id that a platform gave its message, else that of its envelope: the membership's is made of it and more.
    """

    membership: Membership
    platform: Platform | None = None
    names: tuple[str, ...] = ()
    places: tuple[Mapping[str, Any], ...] = ()
    position: str = ""
    given_id: str | None = None

    def message_id(self, sqs_message_id: str) -> str:
        """Return the id by which the ledger knows it: the producer's, its envelope's, or SQS's with position."""
        return self.membership.message_id or sqs_message_id + self.position

    def producers_id(self, sqs_message_id: str) -> str:
        """Return the id by which its producer knows it: its own, its envelope's, or SQS's."""
        return (self.given_id if self.platform else self.membership.message_id) or sqs_message_id


class Refused(NamedTuple):
    """What should be a membership and cannot be read.

    Attributes
    ----------
    reason : str
        Names platform and field and never quotes a value.
    """

    reason: str


class Memberships(NamedTuple):
    """What a body holds, in its order.

    Attributes
    ----------
    parts : list of (Part or Refused)
        Each ends in an outcome of its own.
    ignored : list of Ignored
        What is about no membership. Where there is no part, that is what the message is.
    bodies : sequence of callable
        Of several parts, what writes the smallest body in the same words that holds each alone; of one, which has its
        body already, none. They wait until they are asked: of a thousand segments of one person each repeats the
        person. What has no id but its position in an array has it here if an envelope gives it; SQS's own id is no part
        of a body.
    """

    parts: list[Part | Refused]
    ignored: list[Ignored]
    bodies: Sequence[Callable[[], str]] = ()


_TOO_MANY = Refused(f"body: more than {MOST_MEMBERSHIPS:,} memberships; send fewer in one message")


def read(body: str, arrived_at: float) -> Memberships:
    """Read one SQS body; one with more than ``MOST_MEMBERSHIPS`` is refused as a whole.

    Parameters
    ----------
    body : str
        JSON: our own message, a platform's, or an array of them, bare or in envelopes.
    arrived_at : float
        Epoch seconds when SQS first had it: what Adobe tells counts as new against that.
    """
    try:
        content = read_body(body)
    except InvalidMessageError as exc:
        return Memberships([Refused(str(exc))], [])
    if is_our_message(content):  # nearly all
        return Memberships([_read_own(content)], [])
    parts: list[Part | Refused] = []
    bodies: list[Callable[[], str]] = []
    ignored: list[Ignored] = []
    for one in _units(messages_in(content, _is_message), arrived_at):
        if isinstance(one, Ignored):
            ignored.append(one)
        elif len(parts) == MOST_MEMBERSHIPS:
            return Memberships([_TOO_MANY], [])
        else:
            parts.append(one.read())
            bodies.append(partial(_written, one.alone, one.envelopes))
    if not parts and not ignored:
        ignored.append(Ignored(None, "empty array"))
    return Memberships(parts, ignored, bodies if len(parts) > 1 else ())


class PartTooLargeError(ValueError):
    """A part of a body is larger than a message may be."""


def in_groups(content: Any, arrived_at: float, most_bytes: int) -> Iterator[str]:
    """Write a body anew as bodies of a given size at most that together hold its parts, in their order.

    What is about no membership is left out. None has more parts than are read.

    Parameters
    ----------
    content : Any
        The body, as :func:`~responsys_activation.envelope.read_body` reads it.
    arrived_at
        See :func:`read`.
    most_bytes : int
        Largest body.

    Raises
    ------
    PartTooLargeError
        A part alone has more; some bodies may have been given before.
    """
    group: list[str] = []
    size = 0
    for unit in _units(messages_in(content, _is_message), arrived_at):
        if isinstance(unit, Ignored):
            continue
        alone = enclose(unit.alone(), unit.envelopes)
        length = len(alone.encode()) + 1  # and what is between two
        if length > most_bytes:
            raise PartTooLargeError
        # Envelopes may hold arrays, and one more array than is read would hide the part.
        stands_alone = len(unit.envelopes) >= MOST_ARRAYS
        if group and (stands_alone or size + length >= most_bytes or len(group) == MOST_MEMBERSHIPS):
            yield _array(group)
            group, size = [], 0
        group.append(alone)
        size += length
        if stands_alone:
            yield _array(group)
            group, size = [], 0
    if group:
        yield _array(group)


def _array(bodies: Sequence[str]) -> str:
    return bodies[0] if len(bodies) == 1 else f"[{','.join(bodies)}]"


class _Unit(NamedTuple):
    """What may be one part: how to read it, and what it is without the others."""

    read: Callable[[], Part | Refused]
    alone: Callable[[], Any]
    envelopes: Sequence[Envelope]


def _units(messages: Iterable[Opened | Unopened], arrived_at: float) -> Iterator[_Unit | Ignored]:
    for found in messages:
        if isinstance(found, Unopened):
            yield _refused(found.reason, found.content, found.envelopes)
        elif not is_our_message(found.document) and (platform := platform_of(found.document)):
            yield from _of_platform(platform, found, arrived_at)
        else:
            yield _own(found)


def _written(alone: Callable[[], Any], envelopes: Sequence[Envelope]) -> str:
    return enclose(alone(), envelopes)


def _is_message(document: Mapping[str, Any]) -> bool:
    return platform_of(document) is not None


def _refused(reason: str, content: Any, envelopes: Sequence[Envelope]) -> _Unit:
    return _Unit(lambda: Refused(reason), lambda: content, envelopes)


# ---- our own format


def _own(found: Opened) -> _Unit:
    return _Unit(lambda: _read_own(*found), lambda: _own_alone(found), found.envelopes)


def _read_own(document: Document, envelopes: Sequence[Envelope] = (), position: str = "") -> Part | Refused:
    try:
        membership = membership_of(document, envelopes, position)
    except InvalidMessageError as exc:
        return Refused(_NOTE_OF_A_PIPE if "KinesisBatchInfo" in document else str(exc))
    return Part(membership, position=position) if position else Part(membership)


def _own_alone(found: Opened) -> Document:
    """Return the message with the id that it has by its position: alone it stands nowhere."""
    part = _read_own(*found)
    if not found.position or isinstance(part, Refused) or part.membership.message_id is None:
        return found.document
    return {**found.document, "messageId": part.membership.message_id}


# ---- the platforms'


def _of_platform(platform: Platform, found: Opened, arrived_at: float) -> Iterator[_Unit | Ignored]:
    envelopes = found.envelopes
    ids = (message_id for envelope in envelopes if (message_id := envelope.message_id()))
    times = (occurred_at for envelope in envelopes if (occurred_at := envelope.occurred_at()))
    around = Around(arrived_at, next(ids, None), next(times, None))
    try:
        readings = _adapter(platform)(found.document, around)
    except InvalidMessageError as exc:
        yield _refused(f"{platform}: {exc}", found.document, envelopes)
        return
    if isinstance(readings, Ignored):
        yield readings
        return
    for alone, build in readings:
        yield _foreign(platform, alone, build, envelopes)


def _foreign(
    platform: Platform, alone: Callable[[], Document], build: Callable[[], Said], envelopes: Sequence[Envelope]
) -> _Unit:
    def read_part() -> Part | Refused:
        try:
            said = build()
        except InvalidMessageError as exc:
            return Refused(f"{platform}: {exc}")
        return Part(said.membership, platform, said.names, said.places, given_id=said.given_id)

    return _Unit(read_part, alone, envelopes)


def _adapter(platform: Platform) -> Callable[[Document, Around], Ignored | list[Reading]]:
    """Return what reads a platform's words; imported when its first message comes."""
    match platform:
        case Platform.SEGMENT:
            from responsys_activation.upstream import segment

            return segment.read
        case Platform.MPARTICLE:
            from responsys_activation.upstream import mparticle

            return mparticle.read
        case Platform.ADOBE:
            from responsys_activation.upstream import adobe

            return adobe.read
        case Platform.LYTICS:
            from responsys_activation.upstream import lytics

            return lytics.read
        case Platform.AMPLITUDE:
            from responsys_activation.upstream import amplitude

            return amplitude.read
