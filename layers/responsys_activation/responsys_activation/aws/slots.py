"""How far apart are requests, how late may one be, and how long is each wait? Pure.

No window of a minute holds more requests than are allowed, whoever measures it: slots are even, no request goes before
its slot, and what 98.5 % of them leave is for requests that are late.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "RETURNS_SHARE",
    "USED_SHARE",
    "BudgetOutOfReachError",
    "NoSlotError",
    "Slot",
    "Timing",
    "Wait",
    "account_requests_per_minute",
]

# The rest is for the account's other users.
_OUR_SHARE = 0.95
# Where the account names no limit. Oracle's published default for high-volume functions is 200; half of it is safe.
_WITHOUT_LIMIT = 100.0
# Of what is ours, slots use this share. A minute can hold the slots of 60 s and of as long as one request may be later
# than another: with 0.985 that may be 0.91 s.
USED_SHARE = 0.985
# Returns are closer than slots by this share: what comes back is planned anew, into requests that are rarely full, and
# a slot that nobody comes for is lost.
RETURNS_SHARE = 0.9
_MINUTE = 60.0
# Seconds that a request may be late for its slot when it goes. The other 0.3 s are for the way: connections take longer
# for one request than for another, and clocks differ by milliseconds.
_LATENESS = 0.6
_SHORTEST_LATENESS = 0.2  # seconds, unscaled: threads take real time
_CATCHING_UP = 0.5  # of that, what a slot may be late already when it is given: one batch ends, and the next begins
_AHEAD = 1.0  # seconds, unscaled: to claim takes real time
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
    """

    at: float
    until: float
    probe: float | None = None
    one_recipient: bool = False


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


class BudgetOutOfReachError(NoSlotError):
    """The table is out of reach, and with it all slots."""


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
    ahead : float
        How long before its slot a request begins with what comes before it goes: its claims.
    look : float
        How often a request that waits for its slot looks whether the account was paused; within the shortest pause.
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
        self.ahead = _AHEAD
        self.look = 20.0 / time_scale
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
        return self.here(_MINUTE / (requests_per_minute * USED_SHARE))

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
