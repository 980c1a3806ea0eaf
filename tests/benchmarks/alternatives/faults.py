"""What goes wrong, and when? At the same minutes of the account's clock for every subject."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.alternatives.settings import PASSWORD
from tests.benchmarks.alternatives.world import CONNECTORS
from tests.simulator.client import SimulatorClient
from tests.simulator.faults import ConnectionReset, ErrorReply, SlowReply

__all__ = ["MINUTES_OF_FAULTS", "WRONG_SECRET_ACCOUNT", "Happening", "schedule"]

WRONG_SECRET_ACCOUNT = "second"
# The last is over by then, and somebody has unlocked the account, if it was locked.
MINUTES_OF_FAULTS = 15.0
_503_SECONDS = 15


@dataclass(frozen=True)
class Happening:
    """Something that happens at a minute after the first message was sent."""

    minute: float
    what: str
    do: Callable[[], object]


def schedule(simulator: SimulatorClient, time_scale: float, write_secret: Callable[[str], object]) -> list[Happening]:
    """List what happens, in order.

    Parameters
    ----------
    write_secret
        Puts a password into the secret of the account `WRONG_SECRET_ACCOUNT`.
    """

    def each_account(change: Callable[[str], object]) -> None:
        for account in CONNECTORS:
            change(account)

    def lose_a_reply(account: str) -> None:
        simulator.add_fault(ConnectionReset(account=account, accept_first=True))

    def stall(account: str) -> None:
        simulator.add_fault(SlowReply(account=account, seconds=10 / time_scale))

    def throttle() -> None:
        simulator.add_fault(ErrorReply(times=None, status=429, error_code="API_LIMIT_EXCEEDED"))

    def answer_503() -> None:
        simulator.add_fault(ErrorReply(times=None, status=503, text="<h1>Service Unavailable</h1>"))

    def break_secret() -> None:
        write_secret("mistyped")
        simulator.revoke_tokens(WRONG_SECRET_ACCOUNT)

    happenings = [
        Happening(
            2, "one reply of each account is lost: taken, and the connection cut", partial(each_account, lose_a_reply)
        ),
        Happening(3.5, "503 for 15 seconds", answer_503),
        Happening(3.5 + _503_SECONDS / 60, "the 503 end", simulator.delete_faults),
        Happening(5, "every token expires", partial(each_account, simulator.revoke_tokens)),
        Happening(6, "one reply of each account takes 10 seconds", partial(each_account, stall)),
        Happening(7, "API_LIMIT_EXCEEDED for a minute", throttle),
        Happening(8, "the throttle ends", simulator.delete_faults),
        Happening(9, "a mistyped password in a secret, and tokens expire", break_secret),
        Happening(12, "the secret is mended", partial(write_secret, PASSWORD)),
        Happening(
            MINUTES_OF_FAULTS,
            "a person unlocks the account, if it is locked",
            partial(simulator.unlock_account, WRONG_SECRET_ACCOUNT),
        ),
    ]
    return sorted(happenings, key=lambda happening: happening.minute)
