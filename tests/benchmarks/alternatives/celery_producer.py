"""How do memberships get into celery's queue? Each line of standard input is one, from whoever produces them.

Runs in the environment of celery; its work is not counted as the subject's.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from tasks import collect  # type: ignore[import-not-found]

_AT_ONCE = 4

if __name__ == "__main__":
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for line in sys.stdin:
            pool.submit(collect.delay, line.rstrip("\n"))
