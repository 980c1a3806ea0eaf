"""What if an environment's clock is wrong? Python imports this first wherever this folder is on its path.

Each process takes one of the seconds in CLOCK_SKEWS and lives by them. AWS's signatures and Lambda's deadline keep the
real time, as they do on Lambda: the service is not deceived by a function's clock.
"""

import os
import random
import time

_real_time = time.time
_skew = random.choice([float(seconds) for seconds in os.environ["CLOCK_SKEWS"].split(",")])  # noqa: S311


def _skewed_time() -> float:
    return _real_time() + _skew


time.time = _skewed_time
