"""What is the same for every subject: the accounts, how fast their clock runs, and how they are reached?"""

from tests.benchmarks.alternatives.world import CONNECTORS, EVENTS, UNKNOWN_PREFIX
from tests.simulator.settings import (
    AccountSettings,
    CustomEvent,
    IdentifierSet,
    Limits,
    ProfileList,
    Recipients,
    Replies,
    SimulatorSettings,
)

__all__ = ["PASSWORD", "REPLY_SECONDS", "REQUESTS_PER_MINUTE", "simulator_settings"]

REQUESTS_PER_MINUTE = 200
REPLY_SECONDS = 0.3  # of the account's clock, as all times here
PASSWORD = "correct-horse"


def simulator_settings(time_scale: float) -> SimulatorSettings:
    """Return two accounts, one for each connector; replies do not follow the simulator's clock by themselves."""
    return SimulatorSettings(
        time_scale=time_scale,
        accounts=tuple(
            AccountSettings(
                username=connector,
                password=PASSWORD,
                lists=(ProfileList(name="CONTACTS_LIST"),),
                events=tuple(CustomEvent(name=name) for name in EVENTS),
                recipients=Recipients(unknown=IdentifierSet(prefixes=(UNKNOWN_PREFIX,))),
                limits=Limits(requests_per_minute=REQUESTS_PER_MINUTE),
                replies=Replies(latency_ms=REPLY_SECONDS * 1000 / time_scale),
            )
            for connector in CONNECTORS
        ),
    )
