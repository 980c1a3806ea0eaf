"""What waits on each queue around an outage, and what is delivered?"""

from __future__ import annotations

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tests.benchmarks.themes import Theme

_FULL = 0.2  # thousands of recipients in a full request


def draw(result: dict[str, Any], theme: Theme) -> Figure:
    """Draw both queues above, deliveries below, over the same minutes."""
    outage, series = (result["outages"]["ten_minutes"][name] for name in ("outage", "series"))
    figure, (waiting, delivered) = plt.subplots(2, sharex=True, figsize=(8, 5), height_ratios=(3, 2))
    for axes in (waiting, delivered):
        axes.axvspan(outage["from_minute"], outage["to_minute"], color=theme.fault, alpha=0.12, linewidth=0)
    waiting.text(outage["from_minute"] + 0.2, 0.96, "no capacity", va="top", transform=waiting.get_xaxis_transform())
    queues = (("throttled", "ThrottledDLQ", theme.series[0]), ("segment_events", "SegmentEventsQueue", theme.ours))
    for queue, name, colour in queues:
        thousands = [count / 1000 for count in series[queue]]
        waiting.plot(series["minute"], thousands, color=colour, linewidth=2)
        most = max(range(len(thousands)), key=thousands.__getitem__)
        after = min(most + 1, len(thousands) - 1)
        where = (series["minute"][after], thousands[after])
        waiting.annotate(name, where, (6, 4), textcoords="offset points", color=colour, weight="bold")
    waiting.set_title("Messages waiting, thousands", loc="left")
    minutes = range(len(series["delivered_a_minute"]))
    thousands = [count / 1000 for count in series["delivered_a_minute"]]
    delivered.bar([minute + 0.08 for minute in minutes], thousands, width=0.84, align="edge", color=theme.ours)
    limit = outage["requests_per_minute"] * _FULL
    delivered.axhline(limit, color=theme.ink, linewidth=1, linestyle="--")
    delivered.text(outage["from_minute"] + 0.2, limit * 0.96, "the account's limit, in full requests", va="top")
    delivered.set_ylim(0, limit * 1.1)
    delivered.set_title("Delivered in each minute, thousands", loc="left")
    delivered.set_xlabel("minutes")
    delivered.set_xlim(0, len(minutes))
    delivered.set_xticks(range(0, len(minutes) + 1, 2))
    return figure
