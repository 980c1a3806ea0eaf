"""How many requests may go, how far apart, and how late may one be? Pure.

No window of a minute holds more requests than are allowed, whoever measures it: slots are even, and what 95 % of them
leave is for requests that are late, and for environments that cannot reach the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = [
    "CATCHING_UP",
    "RETURNS_SHARE",
    "USED_SHARE",
    "NoSlotError",
    "Slot",
    "Wait",
    "account_requests_per_minute",
    "lateness",
    "requests_alone",
    "spacing",
    "spacing_alone",
]

# The rest is for the account's other users. Of what is ours the budget leaves a twentieth too, for requests that are
# late, so that 90 % of the account's limit is used and no minute has more than 95 % of it.
_OUR_SHARE = 0.95
# Where the account names no limit. Oracle's published default for high-volume functions is 200; half of it is safe.
_WITHOUT_LIMIT = 100.0
USED_SHARE = 0.95
# Returns are closer than slots by this share: what comes back is planned anew, into requests that are rarely full, and
# a slot that nobody comes for is lost.
RETURNS_SHARE = 0.9
_MINUTE = 60.0
_LATENESS = 2.0  # seconds that a request may be late for its slot; within the spare share even when all are late
_SHORTEST_LATENESS = 0.5  # seconds, unscaled: to claim takes real time
CATCHING_UP = 0.5  # of that, what a slot may be late already when it is given: one batch ends, and the next begins
# Seconds that a request of any environment may be late without a minute being too full where some are out of reach.
_LATE_BESIDE_OTHERS = _LATENESS * CATCHING_UP
_ROUNDING = 0.01  # of a slot: slots are kept in microseconds


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to make one request at a time.

    Attributes
    ----------
    at : float
        Epoch seconds from which the request may go.
    until : float
        Epoch seconds after which it would crowd later ones.
    probe : float or None
        The pause that this request, the first after it, can lift.
    one_recipient : bool
        The request may carry one recipient only: whether it is taken is in doubt.
    shared : bool
        False while the table is out of reach and this environment keeps a pace of its own.
    """

    at: float
    until: float
    probe: float | None = None
    one_recipient: bool = False
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """How long no request may go, and why.

    Attributes
    ----------
    code : str
        Of the throttle or doubt that paused the account; ``BUDGET_EXHAUSTED`` where all slots in reach are taken.
    retry_after : float
        Seconds, unscaled.
    since, age_share : float
        Who came later than ``since`` waits longer by this share of the difference: what came first comes back first.
    one_request : bool
        The wait is this request's alone; others of the account have waits of their own.
    """

    code: str
    retry_after: float
    since: float = 0.0
    age_share: float = 0.0
    one_request: bool = False


class NoSlotError(Exception):
    """The account is paused, or the next slot is too late."""

    def __init__(self, wait: Wait) -> None:
        super().__init__(wait.code)
        self.wait = wait


def account_requests_per_minute(limit: int | None, wanted: int | None) -> float:
    """Give what no minute of all our requests to the account exceeds.

    Parameters
    ----------
    limit : int or None
        The account's; ``None``: it names none.
    wanted : int or None
        The connector's ``requestsPerMinute``: more than our share of the limit, but never more than the limit.
    """
    if limit is None:
        return wanted or _WITHOUT_LIMIT
    return min(limit, max(limit * _OUR_SHARE, wanted or 0))


def spacing(requests_per_minute: float, time_scale: float = 1.0) -> float:
    """Give the seconds between two slots."""
    return _MINUTE / (requests_per_minute * USED_SHARE) / time_scale


def lateness(time_scale: float = 1.0) -> float:
    """Give the seconds that a request may be late for its slot."""
    return max(_SHORTEST_LATENESS, _LATENESS / time_scale)


def requests_alone(requests_per_minute: float, environments: int) -> int:
    """Give the requests a minute of an environment that does not know what the others do.

    They may be in reach of the table and use all slots; so what slots leave of a minute is parted between all others.
    Whole numbers: of four environments with two and a half requests a minute each can make three in one minute.
    """
    most_shared = math.ceil((_MINUTE + _LATE_BESIDE_OTHERS) / spacing(requests_per_minute) + _ROUNDING)
    return max(0, math.floor(requests_per_minute) - most_shared) // (environments - 1)


def spacing_alone(requests_per_minute: float, environments: int, time_scale: float = 1.0) -> float:
    """Give the seconds between two requests of an environment that cannot reach the table; infinite: none may go."""
    if environments == 1:
        return spacing(requests_per_minute, time_scale)
    alone = requests_alone(requests_per_minute, environments)
    return (_MINUTE + _LATE_BESIDE_OTHERS) / alone / time_scale if alone else math.inf
