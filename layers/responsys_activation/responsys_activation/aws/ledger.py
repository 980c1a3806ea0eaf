"""Has a change been sent before, or a newer one of the same membership? The delivery ledger, in the delivery table.

A change is claimed before its request is sent, on the condition that nobody claimed it before: 25 conditional
statements a call, each for itself, so that neither a duplicate nor a throttled item costs its neighbours anything.
What became of the whole request is one more item. So a claim is read together with its request's answer:

===========================  ==========================================================================
claim, and its answer        means
===========================  ==========================================================================
no claim                     never sent
answered, in no list         delivered
answered, in ``undelivered`` free to be claimed anew: Responsys did not take it
answered, in ``unknown``     in doubt: sent, and no trustworthy reply came
no answer, ``until`` ahead   another environment is sending it now
no answer, ``until`` past    in doubt: that environment was killed, and may have sent it
===========================  ==========================================================================

The claims of one membership share a partition, so one query tells whether a newer change went out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from responsys_activation.aws.faults import AwsOutOfReachError, AwsRefusedError, AwsUnavailableError, aws_call
from responsys_activation.change import Change
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import BatchStatementRequestTypeDef

__all__ = ["Claim", "ClaimState", "Ledger", "NewerChange"]

Item = TypeVar("Item")

KEPT_SECONDS = 14 * 86_400
# DynamoDB deletes expired items within days, in no order: a claim that outlived its answer would look abandoned.
_ANSWER_KEPT_SECONDS = KEPT_SECONDS + 7 * 86_400
_STATEMENTS = 25  # DynamoDB's most for one BatchExecuteStatement
_KEYS = 100  # and for one BatchGetItem
_ROUNDS = 4  # each settles the claims that the one before found standing; more rounds mean a fight over the messages
_FIRST_PAUSE = 0.2  # seconds at most before what was throttled is tried again; doubled at each round
_QUERIES_AT_ONCE = 8
_CLOCK_SKEW = 300.0  # seconds that two environments' clocks may differ

_ATTRIBUTES = ("requestId", "position", "until", "doubts", "happenedAt", "arrivedAt", "expiresAt")
_HELD_UP = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
_STANDS = frozenset({"ConditionalCheckFailed", "DuplicateItem"})


class ClaimState(Enum):
    """How a change stands in the ledger, or what claiming it came to."""

    CLAIMED = auto()
    FREE = auto()  # Responsys did not take it; on the way to CLAIMED, and never what a claim comes to
    DELIVERED = auto()
    IN_FLIGHT = auto()
    IN_DOUBT = auto()  # as often as it may be
    HELD_UP = auto()  # DynamoDB answered, but did not do it
    OUT_OF_REACH = auto()  # DynamoDB did not answer, so the claim may have been written; nobody else's was seen


@dataclass(slots=True)
class Claim:
    """What claiming one change came to.

    Attributes
    ----------
    doubts : int
        How many times it was sent before without a trustworthy answer.
    abandoned : bool
        The last of these doubts is that of a killed sender, which nobody has told yet.
    written : bool
        The claim stands under the request now, whether or not the change may be sent; or it may stand, because its
        call got no answer.
    """

    state: ClaimState
    doubts: int = 0
    abandoned: bool = False
    written: bool = False


class NewerChange(NamedTuple):
    """A change of the same membership that is newer than the one asked for."""

    call_type: str
    state: ClaimState


@dataclass(frozen=True, slots=True)
class _Standing:
    """A claim as it stands in the table."""

    request_id: str
    position: int
    until: float
    doubts: int
    order: tuple[float, float]


class _Claiming:
    """How far the claims of one request are.

    Attributes
    ----------
    open_over : dict of int to (_Standing or None)
        Positions still to be claimed; the claim that is taken over.
    """

    def __init__(
        self, changes: Sequence[Change], request_id: str, deadline: float, allowed_doubts: Sequence[int]
    ) -> None:
        self.changes = changes
        self.request_id = request_id
        self.deadline = deadline
        self.allowed_doubts = allowed_doubts
        self.claims = [Claim(ClaimState.OUT_OF_REACH) for _ in changes]
        self.open_over: dict[int, _Standing | None] = dict.fromkeys(range(len(changes)))

    def has(self, position: int) -> None:
        """Note that the claim stands under this request."""
        claim = self.claims[position]
        claim.state, claim.written = ClaimState.CLAIMED, True
        del self.open_over[position]


class Ledger:
    """Claims changes and remembers what became of their requests.

    Parameters
    ----------
    time_scale : float
        Divides the time that a claim without an answer is waited for; 1 but on the local stack.
    """

    def __init__(
        self,
        table: str,
        client: DynamoDBClient,
        *,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._client = client
        self._patience = _CLOCK_SKEW / time_scale
        self._clock = clock
        self._sleep = sleep
        # Its values stand in the text: as parameters, botocore's work on each would cost more than all the rest of the
        # call. They are hashes, numbers and words of ours.
        self._insert = (
            f"INSERT INTO \"{table}\" VALUE {{{{'pk': '{{}}', 'sk': '{{}}', 'callType': '{{}}', 'requestId': '{{}}',"
            " 'position': {}, 'until': {:.3f}, 'doubts': 0, 'happenedAt': {:.6f}, 'arrivedAt': {:.6f},"
            " 'expiresAt': {}}}"
        ).format
        # In quotes, because DynamoDB reserves some of these words.
        changed = " ".join(f'SET "{name}"=?' for name in _ATTRIBUTES)
        self._take_over = f'UPDATE "{table}" {changed} WHERE "pk"=? AND "sk"=? AND "requestId"=?'

    def claim(
        self, changes: Sequence[Change], request_id: str, deadline: float, allowed_doubts: Sequence[int]
    ) -> list[Claim]:
        """Claim changes for a request.

        Parameters
        ----------
        changes : sequence of Change
            All different.
        deadline : float
            Epoch seconds by which the request has ended, if its sender lives.
        allowed_doubts : sequence of int
            By position: with how many doubts the change may still be sent again.

        Returns
        -------
        list of Claim
            By position.
        """
        claiming = _Claiming(changes, request_id, deadline, allowed_doubts)
        held_up: set[int] = set()
        try:
            for number in range(_ROUNDS):
                if held_up:
                    self._wait(number)
                standing = self._write(claiming)
                self._look_at(claiming, standing)
                if not claiming.open_over:
                    break
                held_up = claiming.open_over.keys() - set(standing)
        except AwsUnavailableError as exc:
            logger.warning("messages not claimed", extra={"fault": str(exc)})
            if not isinstance(exc, AwsOutOfReachError):
                for claim in claiming.claims:
                    claim.state = ClaimState.HELD_UP if claim.state is ClaimState.OUT_OF_REACH else claim.state
        for claim, allowed in zip(claiming.claims, allowed_doubts, strict=True):
            if claim.state is ClaimState.CLAIMED and claim.doubts > allowed:
                claim.state = ClaimState.IN_DOUBT
        return claiming.claims

    def record(self, request_id: str, *, undelivered: Collection[int], unknown: Collection[int]) -> None:
        """Remember what became of a request; what is in neither collection was delivered.

        Parameters
        ----------
        undelivered : collection of int
            Positions, as claimed, that Responsys did not take.
        unknown : collection of int
            Positions that were sent and got no trustworthy reply.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not do it: the claims stand as those of a killed sender.
        """
        item: dict[str, Any] = self._answer_key(request_id) | {
            "expiresAt": {"N": str(int(self._clock()) + _ANSWER_KEPT_SECONDS)},
        }
        for name, positions in (("undelivered", undelivered), ("unknown", unknown)):
            if positions:  # a set in DynamoDB is never empty
                item[name] = {"NS": [str(position) for position in positions]}
        with aws_call("DynamoDB record answer"):
            self._client.put_item(TableName=self._table, Item=item)

    def newer(self, changes: Sequence[Change]) -> list[list[NewerChange]]:
        """Tell for each change which newer changes of its membership were sent, or are being sent.

        Returns
        -------
        list of list of NewerChange
            By position; ``DELIVERED``, ``IN_FLIGHT`` or ``IN_DOUBT``. What Responsys did not take is left out.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        if not changes:
            return []
        memberships = list({change.membership for change in changes})
        with ThreadPoolExecutor(min(_QUERIES_AT_ONCE, len(memberships))) as pool:
            items = dict(zip(memberships, pool.map(self._claims_of, memberships), strict=True))
        newer = [[item for item in items[change.membership] if _is_newer(item, change)] for change in changes]
        answers = self._answers({item["requestId"]["S"] for of_change in newer for item in of_change})
        found: list[list[NewerChange]] = []
        for of_change in newer:
            states = [
                NewerChange(item["callType"]["S"], self._standing_state(claim, answers.get(claim.request_id)))
                for item in of_change
                for claim in [_standing(item)]
            ]
            found.append([each for each in states if each.state is not ClaimState.FREE])
        return found

    def look_up(self, change: Change) -> ClaimState | None:
        """Tell what is known of a change, without claiming it.

        Returns
        -------
        ClaimState or None
            ``DELIVERED``, ``FREE``, ``IN_FLIGHT`` or ``IN_DOUBT``; ``None`` if it was never sent.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        item = self._read([_claim_key(change)]).get((change.membership, change.key))
        if item is None:
            return None
        claim = _standing(item)
        return self._standing_state(claim, self._answers({claim.request_id}).get(claim.request_id))

    def _write(self, claiming: _Claiming) -> list[int]:
        """Try each open claim once, and give the positions that somebody's claim stands in the way of."""
        standing: list[int] = []
        refusals: set[str] = set()
        for positions in _chunks(list(claiming.open_over), _STATEMENTS):
            statements = [self._statement(claiming, position) for position in positions]
            try:
                with aws_call("DynamoDB claim messages"):
                    responses = self._client.batch_execute_statement(Statements=statements)["Responses"]
            except AwsOutOfReachError:
                for position in positions:
                    claiming.claims[position].written = True  # perhaps
                raise
            for position, response in zip(positions, responses, strict=True):
                code = response["Error"].get("Code", "") if "Error" in response else None
                if code is None:
                    claiming.has(position)
                elif code in _STANDS:
                    claiming.claims[position].state = ClaimState.IN_FLIGHT  # unless the table says more
                    standing.append(position)
                else:
                    claiming.claims[position].state = ClaimState.HELD_UP
                    refusals |= {code} - _HELD_UP
            if refusals:  # not one of them would be different next time
                raise AwsRefusedError(f"DynamoDB claim messages: {', '.join(sorted(refusals))}")
        return standing

    def _statement(self, claiming: _Claiming, position: int) -> BatchStatementRequestTypeDef:
        change, over = claiming.changes[position], claiming.open_over[position]
        until = claiming.deadline + self._patience
        expires_at = int(self._clock()) + KEPT_SECONDS
        if over is None:
            statement = self._insert(
                change.membership,
                change.key,
                change.call_type,
                claiming.request_id,
                position,
                until,
                change.happened_at,
                change.arrived_at,
                expires_at,
            )
            return {"Statement": statement}
        # A producer may send the same change with another time: it may have been taken under either.
        happened_at, arrived_at = max(change.order, over.order) if over.doubts else change.order
        parameters: list[Any] = [
            {"S": claiming.request_id},
            {"N": str(position)},
            {"N": f"{until:.3f}"},
            {"N": str(over.doubts)},
            {"N": f"{happened_at:.6f}"},
            {"N": f"{arrived_at:.6f}"},
            {"N": str(expires_at)},
            {"S": change.membership},
            {"S": change.key},
            {"S": over.request_id},
        ]
        return {"Statement": self._take_over, "Parameters": parameters}

    def _look_at(self, claiming: _Claiming, standing: Sequence[int]) -> None:
        """Find out how the claims stand that are in the way; those to take over stay open for the next round."""
        changes, open_over = claiming.changes, claiming.open_over
        items = self._read([_claim_key(changes[position]) for position in standing])
        found = [
            _standing(items[key]) if (key := (changes[position].membership, changes[position].key)) in items else None
            for position in standing
        ]
        answers = self._answers({before.request_id for before in found if before} - {claiming.request_id})
        for position, before in zip(standing, found, strict=True):
            claim = claiming.claims[position]
            if before is None:
                open_over[position] = None  # it has expired meanwhile
            elif before.request_id == claiming.request_id:
                claiming.has(position)  # the call was made twice, because its first reply was lost
            else:
                state, claim.abandoned = self._state(before, answers.get(before.request_id))
                claim.doubts = before.doubts + (state is ClaimState.IN_DOUBT)
                may_be_sent = state is ClaimState.FREE or (
                    state is ClaimState.IN_DOUBT and claim.doubts <= claiming.allowed_doubts[position]
                )
                # A killed sender's is taken over in any case: so its doubt is told once, by us.
                if may_be_sent or claim.abandoned:
                    open_over[position] = replace(before, doubts=claim.doubts)
                else:
                    claim.state = state
                    del open_over[position]

    def _claims_of(self, membership: str) -> list[dict[str, Any]]:
        """Read every claim of a membership."""
        items: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while True:
            with aws_call("DynamoDB read changes"):
                page = self._client.query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk",
                    ExpressionAttributeValues={":pk": {"S": membership}},
                    ConsistentRead=True,
                    **start,
                )
            items.extend(page["Items"])
            if not (last := page.get("LastEvaluatedKey")):
                return items
            start = {"ExclusiveStartKey": last}

    def _answers(self, request_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        keys = [self._answer_key(request_id) for request_id in sorted(request_ids)]
        return {pk.removeprefix("request#"): item for (pk, _), item in self._read(keys).items()}

    def _read(self, keys: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
        """Read items, strongly consistent."""
        items: dict[tuple[str, str], dict[str, Any]] = {}
        for chunk in _chunks(keys, _KEYS):
            left = list(chunk)
            for number in range(_ROUNDS):
                if number:
                    self._wait(number)
                with aws_call("DynamoDB read claims"):
                    reply = self._client.batch_get_item(
                        RequestItems={self._table: {"Keys": left, "ConsistentRead": True}}
                    )
                for item in reply["Responses"].get(self._table, []):
                    items[item["pk"]["S"], item["sk"]["S"]] = item
                unprocessed: Any = reply.get("UnprocessedKeys", {})
                left = list(unprocessed.get(self._table, {}).get("Keys", []))
                if not left:
                    break
            if left:
                raise AwsUnavailableError("DynamoDB read claims: unprocessed keys")
        return items

    def _wait(self, number: int) -> None:
        """Ask less often, from the second attempt (number 1) on, what DynamoDB did not do."""
        self._sleep(_FIRST_PAUSE * 2 ** (number - 1) * random.uniform(0.25, 1.0))  # noqa: S311 - spreads, hides nothing

    def _state(self, claim: _Standing, answer: Mapping[str, Any] | None) -> tuple[ClaimState, bool]:
        """Tell how a claim stands, and whether its sender was killed."""
        if answer is None:
            killed = self._clock() >= claim.until
            return (ClaimState.IN_DOUBT if killed else ClaimState.IN_FLIGHT), killed
        position = str(claim.position)
        if position in answer.get("undelivered", {}).get("NS", []):
            return ClaimState.FREE, False
        unknown = position in answer.get("unknown", {}).get("NS", [])
        return (ClaimState.IN_DOUBT if unknown else ClaimState.DELIVERED), False

    def _standing_state(self, claim: _Standing, answer: Mapping[str, Any] | None) -> ClaimState:
        """Tell how a claim stands for others: what was in doubt once still is, when its last request took nothing."""
        state, _ = self._state(claim, answer)
        return ClaimState.IN_DOUBT if state is ClaimState.FREE and claim.doubts else state

    @staticmethod
    def _answer_key(request_id: str) -> dict[str, Any]:
        return {"pk": {"S": f"request#{request_id}"}, "sk": {"S": "answer"}}


def _standing(item: Mapping[str, Any]) -> _Standing:
    return _Standing(
        item["requestId"]["S"],
        int(item["position"]["N"]),
        float(item["until"]["N"]),
        int(item["doubts"]["N"]),
        (float(item["happenedAt"]["N"]), float(item["arrivedAt"]["N"])),
    )


def _is_newer(item: Mapping[str, Any], change: Change) -> bool:
    return item["sk"]["S"] != change.key and _standing(item).order > change.order


def _claim_key(change: Change) -> dict[str, Any]:
    return {"pk": {"S": change.membership}, "sk": {"S": change.key}}


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
