"""How far apart are requests, how late may one be, and how long is each wait? Pure.

No window of a minute holds more requests than are allowed, whoever measures it: slots are even, and what 95 % of them
leave is for requests that are late, and for environments that cannot reach the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = [
    "RETURNS_SHARE",
    "USED_SHARE",
    "NoSlotError",
    "Slot",
    "Timing",
    "Wait",
    "account_requests_per_minute",
    "requests_alone",
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
_CATCHING_UP = 0.5  # of that, what a slot may be late already when it is given: one batch ends, and the next begins
# Seconds that a request of any environment may be late without a minute being too full where some are out of reach.
_LATE_BESIDE_OTHERS = _LATENESS * _CATCHING_UP
_ROUNDING = 0.01  # of a slot: slots are kept in microseconds
_SHORTEST_PROBE = 2.0  # seconds, unscaled: a real request takes real time
# What came first comes back first: messages return after a pause in the order in which they came since the account
# began to refuse, within this share of that time and at most so many seconds.
_AGE_SHARE = 0.1
_LONGEST_RETURN = 60.0


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
        Seconds, as Responsys counts them.
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


class Timing:
    """Every wait in seconds on our clock; on the local stack, which runs faster than Responsys's accounts, all shorter.

    Parameters
    ----------
    probe_seconds : float
        How long the others wait for a probe; longer than any request takes, with connecting.
    time_scale : float
        Divides every wait; 1 but on the local stack.

    Attributes
    ----------
    lateness, late_already : float
        How late a request may be for its slot; how late the slot may be already when it is given.
    near, near_returned : float
        How long a request waits for its slot, and its invocation's place with it, where other accounts' messages wait
        behind it. What came back is not sent away again for little; what is new should not keep those behind it from
        being received.
    longest_away, early : float
        SQS's longest delay; how long before its slot a message returns, to be gathered and planned.
    probe, poll : float
        How long a probe has; how often the others look whether it has ended.
    pause_memory, fault_memory : float
        How long a pause is heeded unasked: where clocks differ another environment may end it before its time; how
        long the table is left alone after a fault.
    """

    def __init__(self, *, probe_seconds: float, time_scale: float = 1.0) -> None:
        self._time_scale = time_scale
        self.lateness = max(_SHORTEST_LATENESS, _LATENESS / time_scale)
        self.late_already = self.lateness * _CATCHING_UP
        self.near = 5.0 / time_scale
        self.near_returned = 15.0 / time_scale
        self.longest_away = 900.0 / time_scale
        self.early = 3.0 / time_scale
        self.probe = max(_SHORTEST_PROBE, probe_seconds / time_scale)
        self.poll = 0.5 / time_scale
        self.pause_memory = self.fault_memory = 10.0 / time_scale

    def here(self, seconds: float) -> float:
        """Return on our clock what Responsys counts as so many seconds."""
        return seconds / self._time_scale

    def there(self, seconds: float) -> float:
        """Return what Responsys counts, and we tell, where our clock counts so many seconds."""
        return seconds * self._time_scale

    def spacing(self, requests_per_minute: float) -> float:
        """Return the seconds between two slots."""
        return self.here(_spacing(requests_per_minute))

    def spacing_alone(self, requests_per_minute: float, environments: int) -> float:
        """Return the seconds between two requests of one environment without the table; infinite: none may go."""
        if environments == 1:
            return self.spacing(requests_per_minute)
        alone = requests_alone(requests_per_minute, environments)
        return self.here((_MINUTE + _LATE_BESIDE_OTHERS) / alone) if alone else math.inf

    def age_share(self, since: float, until: float) -> float:
        """Return what a :class:`Wait` carries.

        The share is for times on our clock, and waits that are told.
        """
        lasted = self.there(max(1.0, until - since))
        return self.there(min(_AGE_SHARE, _LONGEST_RETURN / lasted))


def account_requests_per_minute(limit: int | None, wanted: int | None) -> float:
    """Return what no minute of all our requests to the account exceeds.

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


def requests_alone(requests_per_minute: float, environments: int) -> int:
    """Return the requests per minute of an environment that does not know what the others do.

    They may be in reach of the table and use all slots; so what slots leave of a minute is parted between all others.
    Whole numbers: of four environments with two and a half requests per minute each can make three in one minute.
    """
    most_shared = math.ceil((_MINUTE + _LATE_BESIDE_OTHERS) / _spacing(requests_per_minute) + _ROUNDING)
    return max(0, math.floor(requests_per_minute) - most_shared) // (environments - 1)


def _spacing(requests_per_minute: float) -> float:
    return _MINUTE / (requests_per_minute * USED_SHARE)
