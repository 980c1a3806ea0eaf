"""How much CPU does a message take, against the least that could do and against common practice?"""

from statistics import median
from typing import Any

from tests.benchmarks.arena import Arena, arena
from tests.benchmarks.pictures import picture
from tests.generated_part import markdown_table

__all__ = ["measure", "measure_in", "report"]

MESSAGES = 10_000
_ROUNDS = 5
_NAMES = {
    "floor": "floor: load, build, dump, post; nothing checked",
    "ours": "this function, its delivery table left out",
    "ours_with_ledger": "this function",
    "common": "common practice: a post for each message",
}


def measure() -> dict[str, Any]:
    """Run the subjects in turn, so that a machine that slows down slows all of them."""
    with arena() as running:
        return measure_in(running, rounds=_ROUNDS, messages_of_common=MESSAGES)


def measure_in(running: Arena, *, rounds: int, messages_of_common: int) -> dict[str, Any]:
    """Run the subjects `rounds` times; a ratio is of two neighbours in time.

    Parameters
    ----------
    messages_of_common
        Common practice makes a request for each message; a tenth of the messages tells as much.
    """
    settings = running.settings("BatchSize", "RequestsInFlight")
    micros: dict[str, list[float]] = {name: [] for name in _NAMES}
    requests: dict[str, float] = {}
    for _ in range(rounds):
        for name in _NAMES:
            messages = messages_of_common if name == "common" else MESSAGES
            cost, sent = running.run(name, messages, settings["BatchSize"])
            micros[name].append(cost.cpu_seconds / messages * 1e6)
            requests[name] = sent / messages
    return {
        "settings": settings,
        "messages": MESSAGES,
        "rounds": rounds,
        "micros": {name: round(median(values), 1) for name, values in micros.items()},
        "over_floor": {name: _ratio(values, micros["floor"]) for name, values in micros.items()},
        "common_over_ours": _ratio(micros["common"], micros["ours"])["median"],
        "common_over_ours_with_ledger": _ratio(micros["common"], micros["ours_with_ledger"])["median"],
        "requests_per_1000": {name: round(share * 1000, 1) for name, share in requests.items()},
        "common_requests_over_ours": round(requests["common"] / requests["ours"], 1),
    }


def _ratio(values: list[float], others: list[float]) -> dict[str, float]:
    ratios = [value / other for value, other in zip(values, others, strict=True)]
    return {"median": round(median(ratios), 2), "min": round(min(ratios), 2), "max": round(max(ratios), 2)}


def report(result: dict[str, Any]) -> str:
    """Return the table."""
    rows = [
        (
            text,
            f"{result['micros'][name]:.0f}",
            f"{ratio['median']:.1f} ({ratio['min']:.1f} to {ratio['max']:.1f})",
            f"{result['requests_per_1000'][name]:,.0f}",
        )
        for name, text in _NAMES.items()
        for ratio in [result["over_floor"][name]]
    ]
    table = markdown_table(("", "µs of CPU per message", "over the floor", "requests per 1,000 messages"), rows)
    return (
        f"{table}\n\n"
        f"Common practice takes **{result['common_over_ours']:.0f} times** the CPU of this function "
        f"without its table, {result['common_over_ours_with_ledger']:.0f} times that with it, and "
        f"**{result['common_requests_over_ours']:.0f} times** the requests. Medians of {result['rounds']} rounds of "
        f"{result['messages']:,} messages; in brackets the least and the greatest ratio of a round.\n\n"
        f"{picture('cpu', 'CPU per message as multiples of the least that could work')}"
    )
