"""`python -m tests.benchmarks.quick`: ratios of CPU, of cold start and of the limit, as JSON on the last line.

What changes a figure shows here at once; docs/performance.md has the whole.
"""

import json
import sys

from tests.benchmarks import cold_start, cpu, gather
from tests.benchmarks.arena import arena
from tests.local_stack.processes import ending_on_signals

_ROUNDS = 3
_MESSAGES_OF_COMMON = 1_000  # a tenth of what the others send: it takes thirty times as long
_STARTS = 7


def main() -> int:
    """Measure and print."""
    with ending_on_signals(), arena() as running:
        print("CPU per message ...", flush=True)
        cost = cpu.measure_in(running, rounds=_ROUNDS, messages_of_common=_MESSAGES_OF_COMMON)
        print(cpu.report(cost), "\n\nCold start ...", flush=True)
        start = cold_start.measure_in(running, rounds=_STARTS)
        print(cold_start.report(start), flush=True)
    used = gather.limit_used()
    print(f"\nOf an account's limit {used:.1%} are used, in virtual time.", flush=True)
    ratios = {
        "ours_over_floor": cost["over_floor"]["ours"]["median"],
        "ours_with_ledger_over_floor": cost["over_floor"]["ours_with_ledger"]["median"],
        "common_over_ours": cost["common_over_ours"],
        "common_over_ours_with_ledger": cost["common_over_ours_with_ledger"],
        "common_requests_over_ours": cost["common_requests_over_ours"],
        "cold_start_over_boto3": start["cold_start_over_boto3"],
        "limit_used": used,
    }
    print(json.dumps(ratios))
    return 0


if __name__ == "__main__":
    sys.exit(main())
