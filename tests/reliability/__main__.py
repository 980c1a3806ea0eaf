"""`python -m tests.reliability`: bring about each fault on the deployed local stack, and write the table.

With names of faults it runs those alone and writes nothing.
"""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from tests.generated_part import markdown_table, write_part
from tests.local_stack.processes import ending_on_signals
from tests.local_stack.stack import LocalStack
from tests.reliability.aws_faults import AwsFaultProxy
from tests.reliability.faults import FAULTS, Setting
from tests.reliability.trial import DOCUMENT, Result, Trial

TIME_SCALE = 60.0
# A killed function's messages come back after this; deployed it is 1,380 s.
_VISIBILITY_SECONDS = 20


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; the exit status is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help=f"any of: {', '.join(FAULTS)}")
    chosen: list[str] = parser.parse_args(arguments).faults
    if unknown := set(chosen) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    with ending_on_signals():
        results = run(chosen or list(FAULTS))
    if not chosen:
        write(results)
    return 0 if all(result.holds for result in results) else 1


def run(faults: list[str]) -> list[Result]:
    """Run faults one after the other on one stack."""
    console = Console(width=100, highlight=False)
    results = []
    # A second of a reply is one of ours, unlike all other times: as short as may be.
    parameters = {"BatchingWindowSeconds": "1", "ReplySeconds": "45"}
    with (
        LocalStack(
            parameters, time_scale=TIME_SCALE, visibility_seconds=_VISIBILITY_SECONDS, say=lambda _: None
        ) as stack,
        AwsFaultProxy(stack.endpoint.url) as aws,
    ):
        stack.set_function_environment(aws.environment)
        for fault in faults:
            trial = Trial(stack, fault)
            FAULTS[fault](trial, Setting(aws, TIME_SCALE))
            result = trial.result()
            results.append(result)
            console.print(f"{'holds' if result.holds else 'FAILS'}  {result}", soft_wrap=True)
    console.print(_table(results))
    return results


def write(results: list[Result]) -> None:
    """Put the table into docs/reliability.md."""
    header = ("fault", "messages", "lost", "duplicates", "in doubt", "extra requests", "rejected", "ignored")
    rows = [
        (r.fault, r.messages, r.lost, r.duplicates, r.counted_unknown, r.extra_requests, r.rejected, r.ignored)
        for r in results
    ]
    write_part(DOCUMENT, "table of faults", "make reliability", markdown_table(header, rows))


def _table(results: list[Result]) -> Table:
    table = Table(title="Faults", caption="duplicates are at most as many as messages in doubt")
    table.add_column("fault", no_wrap=True, min_width=38)
    for name in ("messages", "lost", "duplicates", "in doubt", "extra", "rejected", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for r in results:
        counts = (r.messages, r.lost, r.duplicates, r.counted_unknown, r.extra_requests, r.rejected)
        table.add_row(r.fault, *map(str, counts), f"{r.seconds:.0f}", style="" if r.holds else "red")
    return table


if __name__ == "__main__":
    sys.exit(main())
