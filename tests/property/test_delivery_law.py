"""Is nothing lost, nothing sent twice and every outcome counted, whatever fails and whenever?"""

from __future__ import annotations

import logging
import os

import pytest

from responsys_activation.observability import logger
from tests.property.law import check
from tests.property.scenario import Scenario, scenarios
from tests.property.soaking import try_round
from tests.property.world import World

_CASES = int(os.environ.get("PROPERTY_CASES", "2000"))
_PARTS = 4  # each process is given two tests at first


# The same worlds every time: a change is judged by what it changes. `make soak` looks for new ones.
@pytest.mark.parametrize("seed", range(_PARTS))
def test_every_world_keeps_the_law(seed: int) -> None:
    def keeps_the_law(scenario: Scenario) -> None:
        # Given a world with faults, kills and redeliveries
        logger.setLevel(logging.CRITICAL)
        world = World(scenario)

        # When it comes to rest
        world.run()

        # Then nothing was lost, nothing sent twice unless it was in doubt, and the outcomes add up
        check(world)

    try_round(keeps_the_law, scenarios(), examples=_CASES // _PARTS, seed=seed)
