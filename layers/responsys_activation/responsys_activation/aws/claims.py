"""What does a claim mean? Read from its item, its request's answer and the time; pure.

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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

from responsys_activation.aws.delivery_table import Item
from responsys_activation.change import Change

__all__ = [
    "Claim",
    "ClaimState",
    "Claiming",
    "NewerChange",
    "StandingClaim",
    "claim_state",
    "read_claim",
    "state_for_others",
]


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
    taken_over : bool
        Another request had claimed it before: it was received before, whatever its message says.
    written : bool
        The claim stands under the request now, whether or not the change may be sent; or it may stand, because its
        call got no answer.
    """

    state: ClaimState
    doubts: int = 0
    abandoned: bool = False
    taken_over: bool = False
    written: bool = False


class NewerChange(NamedTuple):
    """A change of the same membership that is newer than the one asked for."""

    call_type: str
    state: ClaimState


@dataclass(frozen=True, slots=True)
class StandingClaim:
    """A claim as it stands in the table.

    Attributes
    ----------
    position : int
        Its place in the request's answer.
    until : float
        Epoch seconds by which the request is answered, if its sender lives.
    """

    key: str
    call_type: str
    request_id: str
    position: int
    until: float
    doubts: int
    order: tuple[float, float]

    def is_newer_than(self, change: Change) -> bool:
        """Return whether it is another change of the membership, and a newer one."""
        return self.key != change.key and self.order > change.order


def read_claim(item: Item) -> StandingClaim:
    """Read a claim's item."""
    return StandingClaim(
        item["sk"]["S"],
        item["callType"]["S"],
        item["requestId"]["S"],
        int(item["position"]["N"]),
        float(item["until"]["N"]),
        int(item["doubts"]["N"]),
        (float(item["happenedAt"]["N"]), float(item["arrivedAt"]["N"])),
    )


def claim_state(claim: StandingClaim, answer: Item | None, now: float) -> tuple[ClaimState, bool]:
    """Return how a claim stands, and whether its sender was killed."""
    if answer is None:
        killed = now >= claim.until
        return (ClaimState.IN_DOUBT if killed else ClaimState.IN_FLIGHT), killed
    position = str(claim.position)
    if position in answer.get("undelivered", {}).get("NS", []):
        return ClaimState.FREE, False
    unknown = position in answer.get("unknown", {}).get("NS", [])
    return (ClaimState.IN_DOUBT if unknown else ClaimState.DELIVERED), False


def state_for_others(claim: StandingClaim, answer: Item | None, now: float) -> ClaimState:
    """Return how a claim stands for others: what was in doubt once still is, when its last request took nothing."""
    state, _ = claim_state(claim, answer, now)
    return ClaimState.IN_DOUBT if state is ClaimState.FREE and claim.doubts else state


class Claiming:
    """How far the claims of one request are.

    Attributes
    ----------
    claims : list of Claim
        By position.
    open_over : dict of int to (StandingClaim or None)
        Positions still to be claimed; the claim that is taken over.
    """

    def __init__(
        self, changes: Sequence[Change], request_id: str, deadline: float, allowed_doubts: Sequence[int]
    ) -> None:
        self.changes = changes
        self.request_id = request_id
        self.deadline = deadline
        self.claims = [Claim(ClaimState.OUT_OF_REACH) for _ in changes]
        self.open_over: dict[int, StandingClaim | None] = dict.fromkeys(range(len(changes)))
        self._allowed_doubts = allowed_doubts

    def wrote(self, position: int) -> None:
        """Note that the claim stands under this request."""
        claim = self.claims[position]
        claim.state, claim.written = ClaimState.CLAIMED, True
        del self.open_over[position]

    def met(self, position: int, before: StandingClaim | None, answer: Item | None, now: float) -> None:
        """Decide on a claim that was in the way: it ends there, or stays open to be taken over."""
        if before is None:
            self.open_over[position] = None  # it has expired meanwhile
            return
        if before.request_id == self.request_id:
            self.wrote(position)  # the call was made twice, because its first reply was lost
            return
        claim = self.claims[position]
        state, claim.abandoned = claim_state(before, answer, now)
        claim.doubts = before.doubts + (state is ClaimState.IN_DOUBT)
        may_be_sent = state is ClaimState.FREE or (
            state is ClaimState.IN_DOUBT and claim.doubts <= self._allowed_doubts[position]
        )
        # A killed sender's is taken over in any case: so its doubt is told once, by us.
        if may_be_sent or claim.abandoned:
            self.open_over[position] = replace(before, doubts=claim.doubts)
            claim.taken_over = True
        else:
            claim.state = state
            del self.open_over[position]

    def end(self) -> list[Claim]:
        """Return the claims; what was taken over with more doubts than are allowed is not to be sent."""
        for claim, allowed in zip(self.claims, self._allowed_doubts, strict=True):
            if claim.state is ClaimState.CLAIMED and claim.doubts > allowed:
                claim.state = ClaimState.IN_DOUBT
        return self.claims
