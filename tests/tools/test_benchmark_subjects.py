"""Does each of the compared ways of sending get its messages to Responsys?"""

from collections.abc import Iterator

import pytest

from tests.benchmarks.arena import Arena, arena
from tests.benchmarks.subjects import SUBJECTS


@pytest.fixture(scope="module")
def running() -> Iterator[Arena]:
    with arena() as opened:
        yield opened


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_sends_what_it_is_given(running: Arena, subject: str) -> None:
    # Given two batches / When a subject sends them
    cost, requests = running.run(subject, messages=40, batch_size=20)

    # Then they went in full requests, or each in its own, and took processor time
    assert requests == (40 if subject == "common" else 2)
    assert cost.cpu_seconds > 0
