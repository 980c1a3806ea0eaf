"""Looks for a world that breaks the law, for a given time: ``python -m tests.property --minutes 10``."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from responsys_activation.observability import logger
from tests.property.law import check
from tests.property.scenario import Scenario, scenarios
from tests.property.soaking import try_round
from tests.property.world import World

_WORLDS_A_ROUND = 500


def soak(minutes: float) -> int:
    """Try worlds until the time is over; give how many kept the law. The first that does not is raised."""
    logger.setLevel(logging.CRITICAL)
    until = time.monotonic() + minutes * 60
    worlds = 0

    def try_world(scenario: Scenario) -> None:
        nonlocal worlds
        check(World(scenario).run())
        worlds += 1

    while time.monotonic() < until:
        round_seed = try_round(try_world, scenarios(), examples=_WORLDS_A_ROUND)
        print(f"{worlds} worlds kept the law; the last {_WORLDS_A_ROUND} from seed {round_seed}", flush=True)
    return worlds


def main() -> int:
    """Soak for the minutes that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.property", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to look (default 10)")
    return 0 if soak(parser.parse_args().minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
