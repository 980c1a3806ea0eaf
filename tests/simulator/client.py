"""How does Python start the simulator, look into it and change it?"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests
from pydantic import BaseModel

from tests.local_stack.processes import child_process
from tests.simulator.control import PAGE_SIZE, CapacityOutage, ClockChange, MemberPage
from tests.simulator.faults import Fault
from tests.simulator.inbox import InboxEvent, InboxPage
from tests.simulator.list_members import MergedMember
from tests.simulator.request_log import RequestKind, RequestPage, RequestRecord, Summary
from tests.simulator.settings import AccountSettings, SimulatorSettings

PROJECT_ROOT = Path(__file__).resolve().parents[2]
CONTROL_TIMEOUT_SECONDS = 30

Page = TypeVar("Page", InboxPage, RequestPage)


class SimulatorClient:
    """The control calls of a running simulator.

    Parameters
    ----------
    url : str
        The simulator's base URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def inbox(self, account: str | None = None, event_name: str | None = None) -> list[InboxEvent]:
        """Return all accepted events, in the order of acceptance."""
        query = {"account": account, "eventName": event_name}
        return [event for page in self._pages("inbox", query, InboxPage) for event in page.events]

    def inbox_count(self, account: str | None = None, event_name: str | None = None) -> int:
        """Return the number of accepted events."""
        query = {"account": account, "eventName": event_name, "count": "true"}
        return InboxPage.model_validate_json(self._call("GET", "inbox", query)).total

    def requests(self, account: str | None = None, kind: RequestKind | None = None) -> list[RequestRecord]:
        """Return all logged requests, in the order in which they ended."""
        query = {"account": account, "kind": kind}
        return [record for page in self._pages("requests", query, RequestPage) for record in page.requests]

    def members(self, account: str | None = None) -> list[MergedMember]:
        """Return what merges wrote into lists, in that order."""
        return MemberPage.model_validate_json(self._call("GET", "members", {"account": account})).members

    def summary(self, account: str | None = None, duplicate_key: tuple[str, ...] = ()) -> Summary:
        """Return the request log in numbers, duplicates by the values of the properties in `duplicate_key`."""
        query = {"account": account, "key": duplicate_key}
        return Summary.model_validate_json(self._call("GET", "summary", query))

    def add_fault(self, fault: Fault) -> int:
        """Queue a fault and return its id."""
        return int(json.loads(self._call("POST", "faults", body=fault))["id"])

    def delete_faults(self, fault_id: int | None = None) -> None:
        """Delete one fault, or all."""
        self._call("DELETE", "faults", {"id": fault_id})

    def account(self, username: str) -> AccountSettings:
        """Return an account's settings."""
        return AccountSettings.model_validate_json(self._call("GET", f"accounts/{username}"))

    def put_account(self, settings: AccountSettings) -> None:
        """Create or replace an account."""
        self._call("PUT", f"accounts/{settings.username}", body=settings)

    def patch_account(self, username: str, changes: Mapping[str, Any]) -> AccountSettings:
        """Change some settings of an account, given as JSON: ``{"limits": {"requestsPerMinute": 10}}``."""
        return AccountSettings.model_validate_json(self._call("PATCH", f"accounts/{username}", body=changes))

    def unlock_account(self, username: str) -> None:
        """Let a locked account log in again."""
        self._call("POST", f"accounts/{username}/unlock")

    def revoke_tokens(self, username: str) -> None:
        """Make all tokens of an account invalid."""
        self._call("POST", f"accounts/{username}/revoke_tokens")

    def start_capacity_outage(self, account: str | None = None, seconds: float | None = None) -> None:
        """Take the capacity away from one account, or all, for simulated seconds or until ended."""
        self._call("POST", "capacity_outage", body=CapacityOutage(account=account, seconds=seconds))

    def end_capacity_outage(self, account: str | None = None) -> None:
        """End the outage of one account, or the one for all."""
        self._call("DELETE", "capacity_outage", {"account": account})

    def advance_clock(self, seconds: float) -> None:
        """Let simulated time pass at once."""
        self._call("POST", "clock", body=ClockChange(advance_seconds=seconds))

    def run_clock_at(self, time_scale: float) -> None:
        """Let simulated time pass faster or slower from now on."""
        self._call("POST", "clock", body=ClockChange(time_scale=time_scale))

    def reset(self, settings: SimulatorSettings | None = None) -> None:
        """Forget everything, and start again with `settings` or those of the last start."""
        self._call("POST", "reset", body=settings)

    def close(self) -> None:
        """Close the connection to the simulator."""
        self._session.close()

    def _pages(self, path: str, query: Mapping[str, Any], page_type: type[Page]) -> Iterator[Page]:
        offset = 0
        while True:
            body = self._call("GET", path, {**query, "offset": offset, "limit": PAGE_SIZE})
            page = page_type.model_validate_json(body)
            yield page
            offset += PAGE_SIZE
            if offset >= page.total:
                return

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: BaseModel | Mapping[str, Any] | None = None,
    ) -> bytes:
        data: str | None
        if isinstance(body, BaseModel):
            data = body.model_dump_json(by_alias=True)
        else:
            data = json.dumps(body) if body is not None else None
        reply = self._session.request(
            method, f"{self.url}/_simulator/{path}", params=query, data=data, timeout=CONTROL_TIMEOUT_SECONDS
        )
        if not reply.ok:
            raise ValueError(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.content


@contextmanager
def simulator_process(settings: SimulatorSettings | None = None) -> Iterator[SimulatorClient]:
    """Run a simulator in a process of its own for as long as the context lasts.

    Parameters
    ----------
    settings : SimulatorSettings, optional
        What it starts with, and returns to at a reset.

    Examples
    --------
    >>> with simulator_process() as client:
    ...     print(client.url, client.summary().accepted_recipients)
    """
    command = [sys.executable, "-m", "tests.simulator"]
    with child_process(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not first_line:
            raise RuntimeError(f"the simulator ended with status {process.wait()} before it listened")
        with closing(SimulatorClient(json.loads(first_line)["url"])) as client:
            if settings is not None:
                client.reset(settings)
            yield client
