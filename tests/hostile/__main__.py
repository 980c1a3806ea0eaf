"""Looks for bodies that break the law of outcomes, or that are misread: ``python -m tests.hostile --bodies 100000``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from hypothesis import strategies as st

from tests.fakes.responsys import Fault
from tests.hostile.attack import FAULTS, attack
from tests.hostile.bodies import bodies
from tests.hostile.platforms import look_at_reading as look_at_reading_of_platform
from tests.hostile.platforms import mutated
from tests.hostile.spellings import Spelling, look_at_reading, spellings
from tests.local_stack.published_metrics import OUTCOMES
from tests.property.soaking import try_round

_BATCHES_A_ROUND = 250
_MOST_IN_A_BATCH = 40


def soak(least: int) -> Counter[str]:
    """Deliver at least so many bodies, and count what they came to. The first batch that breaks the law is raised."""
    came_to: Counter[str] = Counter()
    delivered = 0
    began = time.monotonic()

    def deliver(hostile: list[str], spelled: list[Spelling], seeds: list[int], fault: Fault | None) -> None:
        nonlocal delivered
        for spelling in spelled:
            look_at_reading(spelling)
        foreign = [mutated(seed) for seed in seeds]
        for body in foreign:
            look_at_reading_of_platform(body)
        batch = [*hostile, *(spelling.body for spelling in spelled), *foreign]
        came_to.update(attack(batch, fault))
        delivered += len(batch)

    drawn = (
        st.lists(bodies(), min_size=_MOST_IN_A_BATCH // 4, max_size=_MOST_IN_A_BATCH // 2),
        st.lists(spellings(), min_size=_MOST_IN_A_BATCH // 4, max_size=_MOST_IN_A_BATCH // 2),
        st.lists(st.integers(0, 2**32), max_size=_MOST_IN_A_BATCH // 2),
        st.sampled_from([None, None, None, *FAULTS]),
    )
    while delivered < least:
        round_seed = try_round(deliver, *drawn, examples=_BATCHES_A_ROUND)
        minutes = (time.monotonic() - began) / 60
        print(f"{delivered:,} bodies in {minutes:.1f} min; the last round from seed {round_seed}", flush=True)
    return came_to


def main() -> int:
    """Soak with as many bodies as the command line says, and tell what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--bodies", type=int, default=100_000, help="least number of bodies (default 100,000)")
    came_to = soak(parser.parse_args().bodies)
    outcomes = {name.removeprefix("Events").lower() for name in OUTCOMES}
    total = sum(came_to[outcome] for outcome in outcomes)
    print(f"\nThe law held for all {total:,} bodies: each ended in one outcome, no exception, no request astray,")
    print("and what can be written in many ways was read right, or refused by its name.")
    for name, count in sorted(came_to.items(), key=lambda each: (each[0] not in outcomes, -each[1])):
        print(f"  {name:<20} {count:>9,}  {count / total:6.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
