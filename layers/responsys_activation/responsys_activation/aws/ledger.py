"""Has a message been sent before? The delivery ledger, in the delivery table.

A message is claimed before its request is sent, a hundred in one transaction, on the condition that nobody claimed it
before. What became of the whole request is one more item. So a claim is read together with its request's answer:

===========================  ==========================================================================
claim, and its answer        means
===========================  ==========================================================================
no claim                     never sent
answered, in no list         delivered
answered, in ``undelivered`` free to be claimed anew: Responsys did not take it
answered, in ``unknown``     sent, and no trustworthy reply came
no answer, ``until`` ahead   another environment is sending it now
no answer, ``until`` past    that environment was killed: perhaps sent
===========================  ==========================================================================
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsUnavailableError, aws_call, error_code
from responsys_activation.ledger_key import LedgerKey
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = ["ClaimState", "Ledger"]

Item = TypeVar("Item")

KEPT_SECONDS = 14 * 86_400
# DynamoDB deletes expired items within days, in no order: a claim that outlived its answer would look abandoned.
_ANSWER_KEPT_SECONDS = KEPT_SECONDS + 7 * 86_400
_TRANSACTION_ITEMS = 100
_ROUNDS = 4  # each settles the claims that the one before found standing; more rounds mean a fight over the messages
_CLOCK_SKEW = 300.0  # seconds that two environments' clocks may differ


class ClaimState(Enum):
    """What a claim came to."""

    CLAIMED = auto()
    FREE = auto()  # Responsys did not take it; on the way to CLAIMED, and never what a claim comes to
    DELIVERED = auto()
    IN_FLIGHT = auto()
    UNKNOWN = auto()  # told when it happened
    ABANDONED = auto()  # its sender was killed; told nobody
    OUT_OF_REACH = auto()  # DynamoDB did not answer, so the claim may have been written; nobody else's was seen


@dataclass(frozen=True, slots=True)
class _Standing:
    """A claim that another request holds."""

    request_id: str
    position: int
    until: float


@dataclass(slots=True)
class _Claims:
    """How far a request's claims are.

    Attributes
    ----------
    states : list of ClaimState
        By position.
    open_over : dict of int to (str or None)
        Positions still to be claimed; the request id whose claim is taken over.
    abandoned : set of int
        Positions that a killed sender held.
    """

    states: list[ClaimState]
    open_over: dict[int, str | None]
    abandoned: set[int]

    def settle(self, position: int, state: ClaimState) -> None:
        self.states[position] = state
        del self.open_over[position]


class Ledger:
    """Claims messages and remembers what became of their requests.

    Parameters
    ----------
    resend_unknown : bool
        Whether messages of unknown outcome may be claimed anew.
    time_scale : float
        Divides the time that a claim without an answer is waited for; 1 but on the local stack.
    """

    def __init__(
        self,
        table: str,
        client: DynamoDBClient,
        *,
        resend_unknown: bool,
        time_scale: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._client = client
        unknown = {ClaimState.UNKNOWN, ClaimState.ABANDONED}
        self._takeable = {ClaimState.FREE} | (unknown if resend_unknown else set())
        self._patience = _CLOCK_SKEW / time_scale
        self._clock = clock

    def claim(self, keys: Sequence[LedgerKey], request_id: str, deadline: float) -> tuple[list[ClaimState], int]:
        """Claim messages for a request.

        Parameters
        ----------
        keys : sequence of LedgerKey
            All different.
        deadline : float
            Epoch seconds by which the request has ended, if its sender lives.

        Returns
        -------
        states : list of ClaimState
            By position.
        abandoned : int
            How many are claimed (or would be) over the claim of a sender that was killed.
        """
        claims = _Claims(
            states=[ClaimState.OUT_OF_REACH] * len(keys), open_over=dict.fromkeys(range(len(keys))), abandoned=set()
        )
        try:
            for _ in range(_ROUNDS):
                if claims.open_over:
                    self._round(claims, keys, request_id, deadline)
            for position in claims.open_over:
                claims.states[position] = ClaimState.IN_FLIGHT
        except AwsUnavailableError as exc:
            logger.warning("ledger out of reach", extra={"fault": str(exc)})
        return claims.states, len(claims.abandoned)

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
            DynamoDB did not answer: the claims stand as those of a killed sender.
        """
        item: dict[str, Any] = self._answer_key(request_id) | {
            "expiresAt": {"N": str(int(self._clock()) + _ANSWER_KEPT_SECONDS)},
        }
        for name, positions in (("undelivered", undelivered), ("unknown", unknown)):
            if positions:  # a set in DynamoDB is never empty
                item[name] = {"NS": [str(position) for position in positions]}
        with aws_call("DynamoDB record answer"):
            self._client.put_item(TableName=self._table, Item=item)

    def look_up(self, key: LedgerKey) -> ClaimState | None:
        """Tell what is known of a message, without claiming it.

        Returns
        -------
        ClaimState or None
            ``DELIVERED``, ``FREE``, ``IN_FLIGHT``, ``UNKNOWN`` or ``ABANDONED``; ``None`` if it was never sent.

        Raises
        ------
        AwsUnavailableError
            DynamoDB did not answer.
        """
        with aws_call("DynamoDB read claim"):
            item = self._client.get_item(TableName=self._table, Key=_item_key(key), ConsistentRead=True).get("Item")
        if item is None:
            return None
        claim = _standing(item)
        return self._state(claim, self._answers({claim.request_id}).get(claim.request_id))

    def _round(self, claims: _Claims, keys: Sequence[LedgerKey], request_id: str, deadline: float) -> None:
        """Try each open claim once, and look at who stands in its way."""
        standing: dict[int, _Standing] = {}
        for positions in _chunks(list(claims.open_over), _TRANSACTION_ITEMS):
            puts = [
                self._put(keys[position], position, request_id, deadline, over=claims.open_over[position])
                for position in positions
            ]
            for position, claim in zip(positions, self._transact(puts), strict=True):
                match claim:
                    case ClaimState():
                        claims.settle(position, claim)
                    case _Standing():
                        standing[position] = claim
                        claims.states[position] = ClaimState.IN_FLIGHT  # unless its answer says more
                    case None:
                        pass  # held up by a neighbour in the transaction: goes into the next round
        answers = self._answers({claim.request_id for claim in standing.values()})
        for position, claim in standing.items():
            state = self._state(claim, answers.get(claim.request_id))
            if state is ClaimState.ABANDONED:
                claims.abandoned.add(position)
            if state in self._takeable:
                claims.open_over[position] = claim.request_id
            else:
                claims.settle(position, state)

    def _put(
        self, key: LedgerKey, position: int, request_id: str, deadline: float, *, over: str | None
    ) -> TransactWriteItemTypeDef:
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": _item_key(key)
            | {
                "requestId": {"S": request_id},
                "position": {"N": str(position)},
                "until": {"N": f"{deadline + self._patience:.3f}"},
                "expiresAt": {"N": str(int(self._clock()) + KEPT_SECONDS)},
            },
            "ConditionExpression": "attribute_not_exists(pk)" if over is None else "requestId = :over",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if over is not None:
            put["ExpressionAttributeValues"] = {":over": {"S": over}}
        return {"Put": put}  # type: ignore[typeddict-item]

    def _transact(self, puts: Sequence[TransactWriteItemTypeDef]) -> list[ClaimState | _Standing | None]:
        with aws_call("DynamoDB claim messages"):
            try:
                self._client.transact_write_items(TransactItems=puts)
            except ClientError as exc:
                if error_code(exc) != "TransactionCanceledException":
                    raise
                reasons: Any = exc.response.get("CancellationReasons", [])
                if len(reasons) != len(puts):
                    raise
                return [self._cancelled(reason) for reason in reasons]
        return [ClaimState.CLAIMED] * len(puts)

    def _cancelled(self, reason: dict[str, Any]) -> ClaimState | _Standing | None:
        match reason.get("Code"):
            case "ConditionalCheckFailed" if item := reason.get("Item"):
                return _standing(item)
            case "ConditionalCheckFailed" | "TransactionConflict":
                return ClaimState.IN_FLIGHT  # another environment is at this very item
            case "None" | None:
                return None
            case other:
                raise AwsUnavailableError(f"DynamoDB claim messages: {other}")

    def _answers(self, request_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        answers: dict[str, dict[str, Any]] = {}
        for chunk in _chunks(sorted(request_ids), _TRANSACTION_ITEMS):
            keys = [self._answer_key(request_id) for request_id in chunk]
            while keys:
                with aws_call("DynamoDB read answers"):
                    reply = self._client.batch_get_item(
                        RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}}
                    )
                for item in reply["Responses"].get(self._table, []):
                    answers[item["pk"]["S"].removeprefix("request#")] = item
                unprocessed: Any = reply.get("UnprocessedKeys", {})
                keys = list(unprocessed.get(self._table, {}).get("Keys", []))
        return answers

    def _state(self, claim: _Standing, answer: dict[str, Any] | None) -> ClaimState:
        if answer is None:
            return ClaimState.IN_FLIGHT if self._clock() < claim.until else ClaimState.ABANDONED
        position = str(claim.position)
        if position in answer.get("undelivered", {}).get("NS", []):
            return ClaimState.FREE
        return ClaimState.UNKNOWN if position in answer.get("unknown", {}).get("NS", []) else ClaimState.DELIVERED

    @staticmethod
    def _answer_key(request_id: str) -> dict[str, Any]:
        return {"pk": {"S": f"request#{request_id}"}, "sk": {"S": "answer"}}


def _standing(item: Mapping[str, Any]) -> _Standing:
    return _Standing(item["requestId"]["S"], int(item["position"]["N"]), float(item["until"]["N"]))


def _item_key(key: LedgerKey) -> dict[str, Any]:
    """Give the table's key; the id is hashed because a producer may build it from personal data."""
    digest = hashlib.blake2b(key.message_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return {"pk": {"S": digest}, "sk": {"S": f"{key.connector}#{key.event_name}"}}


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
