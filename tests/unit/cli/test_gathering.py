"""Is the gather rate what Lambda can, and not what producers happen to send?"""

from __future__ import annotations

import json

import pytest

from responsys_activation.cli.gathering import SettledBatch, gathering, read_settled_batches


def batches(environment: str, *sizes: int, gathered_in: float, took: float = 2.0) -> list[SettledBatch]:
    """Let an environment run batches one after the other."""
    return [
        SettledBatch(environment, (number + 1) * (gathered_in + took), took, size) for number, size in enumerate(sizes)
    ]


def test_the_time_between_two_batches_of_an_environment_is_what_gathering_took() -> None:
    # Given two environments that gather 500 messages in 5 s each, one after the other's end
    log = [*batches("a", 500, 500, 500, gathered_in=5.0), *batches("b", 500, 500, gathered_in=5.0)]
    # When they are summed up, in any order
    found = gathering(log[::-1], window=5.0)
    # Then each gathers 100 per second
    assert found.rate == pytest.approx(100.0)
    assert (found.batches, found.received, found.median, found.most) == (5, 2500, 500, 500)


def test_the_fullest_batches_count_for_others_waited_for_producers() -> None:
    # Given 18 batches of a slow hour, and two of a backlog
    log = [*batches("a", 1, *[150] * 18, gathered_in=5.0), *batches("b", 1, 5000, 5000, gathered_in=5.0)]
    assert gathering(log, window=5.0).rate == pytest.approx(1000.0)


@pytest.mark.parametrize(
    "log",
    [
        batches("a", 5000, gathered_in=5.0),  # nothing before it
        batches("a", 5000, 5000, gathered_in=25.5),  # a pause, longer than the window and AWS's longest poll
        batches("a", 5, 5, 5, gathered_in=5.0),  # a trickle
        batches("a", 5000, 5000, gathered_in=0.0),  # gathered while the one before ran
    ],
)
def test_where_nothing_was_gathered_under_load_there_is_no_rate(log: list[SettledBatch]) -> None:
    assert gathering(log, window=5.0).rate is None


def test_settled_batches_are_read_among_other_lines() -> None:
    # Given a log with other lines that have the same words
    line = {"message": "batch settled", "received": 7, "milliseconds": 1500}
    texts = [json.dumps(line), "batch settled, but no JSON", '["batch settled"]', '{"message": "the batch settled"}']
    events = [{"logStreamName": "a", "timestamp": 1_700_000_001_500, "message": text} for text in texts]
    # When they are read / Then only those that the function writes are batches
    assert read_settled_batches(events) == [SettledBatch("a", 1_700_000_001.5, 1.5, 7)]
