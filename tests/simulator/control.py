"""How do a test, the demo or a benchmark look into the simulator and change it?

The calls under ``/_simulator``, listed in README.md; `client.SimulatorClient` makes them from Python.
"""

from itertools import islice
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tests.simulator.accounts import Account
from tests.simulator.faults import FAULT
from tests.simulator.inbox import InboxPage, count_duplicates
from tests.simulator.json_model import JsonModel
from tests.simulator.list_members import MergedMember
from tests.simulator.request_log import RequestPage, summarise
from tests.simulator.settings import AccountSettings, SimulatorSettings
from tests.simulator.simulator import Simulator

PAGE_SIZE = 10_000


class CapacityOutage(JsonModel):
    """Who has no capacity, and for how many simulated seconds; none: all, until ended."""

    account: str | None = None
    seconds: float | None = Field(default=None, gt=0)


class ClockChange(JsonModel):
    """How the clock shall go on."""

    advance_seconds: float = Field(default=0, ge=0)
    time_scale: float | None = Field(default=None, gt=0)


class MemberPage(JsonModel):
    """What merges wrote, in that order."""

    members: list[MergedMember]


class PageQuery(JsonModel):
    """Which part of the inbox or the request log is wanted."""

    account: str | None = None
    event_name: str | None = None
    kind: str | None = None
    limit: int = Field(default=PAGE_SIZE, ge=0)
    offset: int = Field(default=0, ge=0)
    count: bool = False


JSON_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


class Control:
    """The control calls, on the state of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def application(self) -> web.Application:
        """Return the calls as an application to mount under the control prefix."""
        application = web.Application(middlewares=[explain_invalid_input])
        application.add_routes(
            [
                web.get("/inbox", self.get_inbox),
                web.get("/requests", self.get_requests),
                web.get("/members", self.get_members),
                web.get("/summary", self.get_summary),
                web.post("/faults", self.add_fault),
                web.delete("/faults", self.delete_faults),
                web.get("/accounts/{username}", self.get_account),
                web.put("/accounts/{username}", self.put_account),
                web.patch("/accounts/{username}", self.patch_account),
                web.post("/accounts/{username}/unlock", self.unlock_account),
                web.post("/accounts/{username}/revoke_tokens", self.revoke_tokens),
                web.post("/capacity_outage", self.start_outage),
                web.delete("/capacity_outage", self.end_outage),
                web.post("/clock", self.change_clock),
                web.post("/reset", self.reset),
            ]
        )
        return application

    async def get_inbox(self, request: web.Request) -> web.Response:
        """Show accepted events; with `count`, only how many."""
        query = PageQuery.model_validate(dict(request.query))
        inbox = self._simulator.inbox
        events = inbox.events(query.account, query.event_name, query.offset)
        page = [] if query.count else list(islice(events, query.limit))
        return _json(InboxPage(total=inbox.count(query.account, query.event_name), events=page))

    async def get_requests(self, request: web.Request) -> web.Response:
        """Show logged requests; with `count`, only how many."""
        query = PageQuery.model_validate(dict(request.query))
        records = [
            record
            for record in self._simulator.request_log.select(query.account, query.kind)
            if query.event_name in (None, record.event_name)
        ]
        page = [] if query.count else records[query.offset : query.offset + query.limit]
        return _json(RequestPage(total=len(records), requests=page))

    async def get_members(self, request: web.Request) -> web.Response:
        """Show what merges wrote into lists."""
        return _json(MemberPage(members=list(self._simulator.list_members.merged(request.query.get("account")))))

    async def get_summary(self, request: web.Request) -> web.Response:
        """Show the request log in numbers; duplicates by the properties given as `key`."""
        account = request.query.get("account")
        keys = request.query.getall("key", [])
        duplicates = count_duplicates(self._simulator.inbox.events(account), keys) if keys else 0
        return _json(summarise(self._simulator.request_log.select(account), duplicates))

    async def add_fault(self, request: web.Request) -> web.Response:
        """Queue a fault."""
        fault = FAULT.validate_json(await request.read())
        return web.json_response({"id": self._simulator.faults.add(fault)}, status=201)

    async def delete_faults(self, request: web.Request) -> web.Response:
        """Delete the fault with the given `id`, or all."""
        fault_id = request.query.get("id")
        if fault_id is None:
            self._simulator.faults.clear()
        else:
            self._simulator.faults.remove(TypeAdapter(int).validate_python(fault_id))
        return web.Response(status=204)

    async def get_account(self, request: web.Request) -> web.Response:
        """Show an account's settings."""
        return _json(self._account(request).settings)

    async def put_account(self, request: web.Request) -> web.Response:
        """Create or replace an account; what is not given takes its default."""
        body = JSON_OBJECT.validate_json(await request.read())
        settings = AccountSettings.model_validate(body | {"username": request.match_info["username"]})
        self._simulator.accounts.put(settings)
        return _json(settings)

    async def patch_account(self, request: web.Request) -> web.Response:
        """Change the given settings of an account and leave the others."""
        account = self._account(request)
        changes = JSON_OBJECT.validate_json(await request.read())
        current = account.settings.model_dump(mode="json", by_alias=True)
        account.settings = AccountSettings.model_validate(merged(current, changes) | {"username": account.username})
        return _json(account.settings)

    async def unlock_account(self, request: web.Request) -> web.Response:
        """Let a locked account log in again."""
        self._account(request).unlock()
        return web.Response(status=204)

    async def revoke_tokens(self, request: web.Request) -> web.Response:
        """Make all tokens of an account invalid."""
        return web.json_response({"revoked": self._simulator.tokens.revoke(self._account(request).username)})

    async def start_outage(self, request: web.Request) -> web.Response:
        """Answer INTERNAL_CAPACITY_LIMIT_EXCEEDED to one account, or to all."""
        outage = CapacityOutage.model_validate_json(await request.read() or b"{}")
        self._simulator.throttles.start_outage(outage.account, outage.seconds)
        return web.Response(status=204)

    async def end_outage(self, request: web.Request) -> web.Response:
        """End the outage of the given `account`, or the one for all."""
        self._simulator.throttles.end_outage(request.query.get("account"))
        return web.Response(status=204)

    async def change_clock(self, request: web.Request) -> web.Response:
        """Move the clock forward, or let it run at another speed."""
        change = ClockChange.model_validate_json(await request.read())
        self._simulator.clock.advance(change.advance_seconds)
        if change.time_scale is not None:
            self._simulator.clock.run_at(change.time_scale)
        return web.json_response({"now": self._simulator.clock.now()})

    async def reset(self, request: web.Request) -> web.Response:
        """Forget everything; with a body, also take it as the settings to start from now on."""
        body = await request.read()
        settings = SimulatorSettings.model_validate_json(body) if body else self._simulator.settings
        self._simulator.reset(settings)
        return web.Response(status=204)

    def _account(self, request: web.Request) -> Account:
        account = self._simulator.accounts.find(request.match_info["username"])
        if account is None:
            raise web.HTTPNotFound(text=f"no account {request.match_info['username']}\n")
        return account


@web.middleware
async def explain_invalid_input(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 400 with what is wrong, field by field."""
    try:
        return await handler(request)
    except ValidationError as exc:
        return web.Response(status=400, text=exc.json(include_url=False), content_type="application/json")


def merged(current: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `current` with `changes`, objects merged and everything else replaced."""
    return current | {
        key: merged(current[key], value) if isinstance(value, dict) and isinstance(current.get(key), dict) else value
        for key, value in changes.items()
    }


def _json(model: BaseModel) -> web.Response:
    return web.Response(text=model.model_dump_json(by_alias=True), content_type="application/json")
