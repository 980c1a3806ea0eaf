"""How are ever new examples tried?"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

__all__ = ["try_round"]


def try_round(test: Callable[..., None], *strategies: SearchStrategy[Any], examples: int, **how: Any) -> int:
    """Try so many examples, from a seed of their own; give it. The first example that fails is raised.

    Parameters
    ----------
    how
        ``seed``, or settings of Hypothesis.
    """
    round_seed: int = how.pop("seed", secrets.randbits(64))
    chosen = {"database": None, "deadline": None, "print_blob": True, "suppress_health_check": list(HealthCheck), **how}
    seed(round_seed)(settings(max_examples=examples, **chosen)(given(*strategies)(test)))()
    return round_seed
