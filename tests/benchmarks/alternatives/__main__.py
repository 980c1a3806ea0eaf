"""`python -m tests.benchmarks.alternatives`: the same memberships through each subject; writes the tables.

The results go to docs/performance/alternatives.json, the tables into docs/performance.md and the README;
`python -m tests.benchmarks.alternatives.plot` draws the plot, in an environment of its own. With names, only those are
run anew.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from rich.console import Console

from tests.benchmarks.alternatives.report import page_table, readme_table
from tests.benchmarks.alternatives.running import Course, run
from tests.benchmarks.alternatives.subjects import SUBJECTS
from tests.benchmarks.alternatives.world import make_world
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.generated_part import write_part
from tests.local_stack.environments import REPOSITORY
from tests.local_stack.processes import ending_on_signals

__all__ = ["COMMAND", "PART", "RESULTS"]

COMMAND, PART = "make bench-alternatives", "results of alternatives"
RESULTS = REPOSITORY / "docs" / "performance" / "alternatives.json"
_MEMBERSHIPS = 20_000
# A fast clock does not speed up our own processor: ten times is what two free cores bear, emulators and senders
# together, and what keeps all four runs within twenty minutes.
_COURSE = Course(time_scale=10.0, sending_minutes=16.0, most_minutes=60.0)


def main() -> int:
    """Run the subjects."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.alternatives", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="subject", help=f"any of: {', '.join(SUBJECTS)}")
    chosen: list[str] = parser.parse_args().subjects
    if unknown := set(chosen) - set(SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    console = Console(width=120, highlight=False)
    world = make_world(_MEMBERSHIPS)
    runs: dict[str, Any] = json.loads(RESULTS.read_text())["subjects"] if chosen else {}
    with ending_on_signals():
        for name in chosen or SUBJECTS:
            console.rule(name)
            started = time.monotonic()
            runs[name] = run(SUBJECTS[name], world, _COURSE, console.print)
            console.print(f"{json.dumps(runs[name], indent=1)}\n({time.monotonic() - started:.0f} s)", markup=False)
    result = {
        "settings": read_stack_defaults().settings,
        "course": asdict(_COURSE),
        "memberships": len(world.memberships),
        "messages": len(world.sent),
        "subjects": {name: runs[name] for name in SUBJECTS},
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    write_part(REPOSITORY / "docs" / "performance.md", PART, COMMAND, page_table(result))
    write_part(REPOSITORY / "README.md", PART, COMMAND, readme_table(result))
    console.print(page_table(result), markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
