"""Has a change been sent before, or a newer one of the same membership? The delivery ledger, in the delivery table.

A change is claimed before its request is sent, on the condition that nobody claimed it before: 25 conditional
statements per call, each for itself, so that neither a duplicate nor a throttled item costs its neighbours anything.
What became of the whole request is one more item, so a claim is read together with its request's answer. The claims of
one membership share a partition, so one query tells whether a newer change went out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.claims import (
    Claim,
    Claiming,
    ClaimState,
    NewerChange,
    StandingClaim,
    read_claim,
    state_for_others,
)
from responsys_activation.aws.delivery_table import (
    ANSWER_KEPT_SECONDS,
    ATTEMPTS,
    CLAIM_KEPT_SECONDS,
    STATEMENTS,
    DeliveryTable,
    Item,
    answer_key,
    chunks,
    claim_key,
)
from responsys_activation.aws.faults import AwsCallError, AwsOutOfReachError, AwsRefusedError
from responsys_activation.change import Change
from responsys_activation.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import BatchStatementRequestTypeDef

__all__ = ["Ledger"]

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


class Ledger:
    """Claims changes and remembers what became of their requests.

    Parameters
    ----------
    time_scale : float
        Divides the time that a claim without an answer is waited for; 1 but on the local stack.
    """

    def __init__(
        self, table: DeliveryTable, *, time_scale: float = 1.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._table = table
        self._patience = _CLOCK_SKEW / time_scale
        self._clock = clock
        # Its values stand in the text: as parameters, botocore's work on each would cost more than all the rest of the
        # call. They are hashes, numbers and words of ours.
        self._insert = (
            f'INSERT INTO "{table.name}" VALUE'
            " {{'pk': '{}', 'sk': '{}', 'callType': '{}', 'happenedAt': {:.6f}, 'arrivedAt': {:.6f},"
            " 'requestId': '{}', 'position': {}, 'until': {}, 'doubts': 0, 'expiresAt': {}}}"
        ).format
        # In quotes, because DynamoDB reserves some of these words.
        changed = " ".join(f'SET "{name}"=?' for name in _ATTRIBUTES)
        self._take_over = f'UPDATE "{table.name}" {changed} WHERE "pk"=? AND "sk"=? AND "requestId"=?'

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
        claiming = Claiming(changes, request_id, deadline, allowed_doubts)
        held_up: set[int] = set()
        try:
            # Each settles the claims that the one before found standing; more would mean a fight over the messages.
            for attempt in range(ATTEMPTS):
                if held_up:
                    self._table.wait_before(attempt)
                standing = self._write(claiming)
                self._look_at(claiming, standing)
                if not claiming.open_over:
                    break
                held_up = claiming.open_over.keys() - set(standing)
        except AwsCallError as exc:
            logger.warning("messages not claimed", extra={"fault": str(exc)})
            if not isinstance(exc, AwsOutOfReachError):
                for claim in claiming.claims:
                    claim.state = ClaimState.HELD_UP if claim.state is ClaimState.OUT_OF_REACH else claim.state
        return claiming.end()

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
        AwsCallError
            DynamoDB refused or did not answer: the claims stand as those of a killed sender.
        """
        answer: dict[str, Any] = {"expiresAt": {"N": str(int(self._clock()) + ANSWER_KEPT_SECONDS)}}
        for name, positions in (("undelivered", undelivered), ("unknown", unknown)):
            if positions:  # a set in DynamoDB is never empty
                answer[name] = {"NS": [str(position) for position in positions]}
        self._table.write("record answer", answer_key(request_id), answer)

    def newer(self, changes: Sequence[Change]) -> list[list[NewerChange]]:
        """Return for each change how newer changes of its membership stand.

        Returns
        -------
        list of list of NewerChange
            By position; ``DELIVERED``, ``IN_FLIGHT``, ``IN_DOUBT``, or ``FREE``: Responsys did not take it.

        Raises
        ------
        AwsCallError
            DynamoDB refused or did not answer.
        """
        if not changes:
            return []
        memberships = list({change.membership for change in changes})
        with ThreadPoolExecutor(min(_QUERIES_AT_ONCE, len(memberships))) as pool:
            claims = dict(zip(memberships, pool.map(self._claims_of, memberships), strict=True))
        newer = [[claim for claim in claims[change.membership] if claim.is_newer_than(change)] for change in changes]
        states = self._states(claim for of_change in newer for claim in of_change)
        return [[NewerChange(claim.call_type, states[claim]) for claim in of_change] for of_change in newer]

    def look_up(self, change: Change) -> ClaimState | None:
        """Return what is known of a change, without claiming it.

        Returns
        -------
        ClaimState or None
            ``DELIVERED``, ``FREE``, ``IN_FLIGHT`` or ``IN_DOUBT``; ``None`` if it was never sent.

        Raises
        ------
        AwsCallError
            DynamoDB refused or did not answer.
        """
        (claim,) = self._standing([change])
        return self._states([claim])[claim] if claim else None

    def _write(self, claiming: Claiming) -> list[int]:
        """Try each open claim once, and give the positions that somebody's claim stands in the way of."""
        standing: list[int] = []
        refusals: set[str] = set()
        until = f"{claiming.deadline + self._patience:.3f}"
        expires_at = str(int(self._clock()) + CLAIM_KEPT_SECONDS)
        for positions in chunks(list(claiming.open_over), STATEMENTS):
            statements = [self._statement(claiming, position, until, expires_at) for position in positions]
            try:
                codes = self._table.execute("claim messages", statements)
            except AwsOutOfReachError:
                for position in positions:
                    claiming.claims[position].written = True  # perhaps
                raise
            for position, code in zip(positions, codes, strict=True):
                if code is None:
                    claiming.wrote(position)
                elif code in _STANDS:
                    claiming.claims[position].state = ClaimState.IN_FLIGHT  # unless the table says more
                    standing.append(position)
                else:
                    claiming.claims[position].state = ClaimState.HELD_UP
                    refusals |= {code} - _HELD_UP
            if refusals:  # not one of them would be different next time
                raise AwsRefusedError(f"DynamoDB claim messages: {', '.join(sorted(refusals))}")
        return standing

    def _statement(
        self, claiming: Claiming, position: int, until: str, expires_at: str
    ) -> BatchStatementRequestTypeDef:
        change, over = claiming.changes[position], claiming.open_over[position]
        if over is None:
            return {"Statement": self._insert(*change, claiming.request_id, position, until, expires_at)}
        # A producer may send the same change with another time: it may have been taken under either.
        happened_at, arrived_at = max(change.order, over.order) if over.doubts else change.order
        numbers = (str(position), until, str(over.doubts), f"{happened_at:.6f}", f"{arrived_at:.6f}")
        parameters = [
            {"S": claiming.request_id},
            *({"N": value} for value in (*numbers, expires_at)),
            *({"S": value} for value in (change.membership, change.key, over.request_id)),
        ]
        return {"Statement": self._take_over, "Parameters": parameters}

    def _look_at(self, claiming: Claiming, positions: Sequence[int]) -> None:
        """Find out how the claims stand that are in the way; those to take over stay open for the next round."""
        found = self._standing([claiming.changes[position] for position in positions])
        answers = self._answers({claim.request_id for claim in found if claim} - {claiming.request_id})
        for position, claim in zip(positions, found, strict=True):
            claiming.met(position, claim, answers.get(claim.request_id) if claim else None, self._clock())

    def _standing(self, changes: Sequence[Change]) -> list[StandingClaim | None]:
        keys = [claim_key(change) for change in changes]
        items = self._table.read_all("read claims", keys)
        return [read_claim(items[key]) if key in items else None for key in keys]

    def _claims_of(self, membership: str) -> list[StandingClaim]:
        return [read_claim(item) for item in self._table.read_partition("read changes", membership)]

    def _states(self, claims: Iterable[StandingClaim]) -> dict[StandingClaim, ClaimState]:
        """Return how claims stand for others."""
        claims = set(claims)
        answers = self._answers({claim.request_id for claim in claims})
        return {claim: state_for_others(claim, answers.get(claim.request_id), self._clock()) for claim in claims}

    def _answers(self, request_ids: Collection[str]) -> dict[str, Item]:
        keys = {answer_key(request_id): request_id for request_id in sorted(request_ids)}
        return {keys[key]: item for key, item in self._table.read_all("read claims", list(keys)).items()}
