"""What does each call of the Responsys API do?

Every call passes token, throttles and faults, in that order, before any work.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qsl

from aiohttp import web

from tests.simulator import recipient_results, refusals
from tests.simulator.accounts import Account
from tests.simulator.event_request import invalid_record, parse_event_request
from tests.simulator.functions import ApiFunction
from tests.simulator.gateway import RECORD
from tests.simulator.in_flight import RequestInFlight
from tests.simulator.merge_request import ListMerge, parse_merge_request
from tests.simulator.merge_results import Merging
from tests.simulator.recipient_results import RecipientResult
from tests.simulator.refusals import ConnectionCutError, RequestRefusedError
from tests.simulator.replies import Json, reply_with_fault
from tests.simulator.settings import AccountSettings, Limits, ProfileList
from tests.simulator.simulator import Simulator

FORM = "application/x-www-form-urlencoded"
LIST_FIELDS = (
    {"fieldName": "RIID_", "fieldType": "INTEGER"},
    {"fieldName": "CUSTOMER_ID_", "fieldType": "STR255"},
    {"fieldName": "EMAIL_ADDRESS_", "fieldType": "STR500"},
    {"fieldName": "MOBILE_NUMBER_", "fieldType": "STR50"},
)
# The order of the keys varied between the recorded answers.
RESULT_KEY_ORDERS = (
    ("errorMessage", "success", "recipientId"),
    ("errorMessage", "recipientId", "success"),
    ("success", "errorMessage", "recipientId"),
)


class ResponsysApi:
    """The calls of the API, on the state of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._key_orders = itertools.cycle(RESULT_KEY_ORDERS)

    def routes(self) -> list[web.RouteDef]:
        """Return the calls by method and path."""
        version = "/rest/api/v1.3"
        return [
            web.post(f"{version}/auth/token", self.login),
            web.post(f"{version}/events/{{event_name}}", self.trigger_custom_event),
            web.get(f"{version}/events", self.get_custom_events, allow_head=False),
            web.get(f"{version}/lists", self.get_lists, allow_head=False),
            web.get(f"{version}/lists/{{list_name}}/fields", self.get_list_fields, allow_head=False),
            web.post(f"{version}/lists/{{list_name}}/members", self.merge_list_members),
            web.get(f"{version}/settings/account/endpoint", self.get_end_point, allow_head=False),
            web.get("/rest/api/ratelimit", self.get_rate_limits, allow_head=False),
        ]

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Log in with a password, or change a live token for a new one."""
        record = request[RECORD]
        record.kind = "login"
        if not {"user_name", "password"}.isdisjoint(request.query):
            raise refusals.invalid_content("Credentials are accepted in the request body only")
        if request.content_type != FORM:
            raise refusals.invalid_content(f"Content type {request.content_type} is not {FORM}")
        body = await _read(request, Limits().maximum_request_bytes)
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        match form.get("auth_type"):
            case "password":
                account = self._simulator.accounts.find(form.get("user_name", ""))
                if account is None:
                    raise refusals.invalid_credentials()
                record.account = account.username
            case "token":
                record.kind = "refresh"
                account = self._authenticate(request)
            case _:
                raise refusals.invalid_authentication_option()
        self._simulator.throttles.admit(account.settings, ApiFunction.LOGIN)

        def issue_token() -> Json:
            if record.kind == "login":
                account.check(form.get("password", ""))
            return self._issue_token(account.settings)

        return await self._reply(request, account.settings, issue_token)

    async def trigger_custom_event(self, request: web.Request) -> web.StreamResponse:
        """Trigger a custom event for up to 200 recipients."""
        record = request[RECORD]
        record.kind = "event"
        record.event_name = event_name = request.match_info["event_name"]
        account = self._admit(request, ApiFunction.TRIGGER_CUSTOM_EVENT)
        with self._simulator.in_flight.request(account.username) as flight:
            record.concurrent_requests = flight.concurrent_requests
            body = await _read(request, account.limits.maximum_request_bytes)

            def trigger() -> Json:
                return self._trigger(request, account, event_name, body, flight)

            return await self._reply(request, account, trigger)

    async def get_custom_events(self, request: web.Request) -> web.StreamResponse:
        """List the account's custom events."""
        account = self._admit(request, ApiFunction.GET_CUSTOM_EVENTS)

        def list_events() -> Json:
            if not account.events:
                raise refusals.no_events(account.username)
            return [
                {"eventName": event.name, "description": event.description, "eventType": event.event_type}
                for event in account.events
            ]

        return await self._reply(request, account, list_events)

    async def get_lists(self, request: web.Request) -> web.StreamResponse:
        """List the account's profile lists."""
        account = self._admit(request, ApiFunction.GET_LISTS)
        return await self._reply(request, account, lambda: [_list_row(known) for known in account.lists])

    async def get_list_fields(self, request: web.Request) -> web.StreamResponse:
        """Show the fields of one profile list."""
        account = self._admit(request, ApiFunction.GET_LIST_FIELDS)
        list_name = request.match_info["list_name"]

        def show_list() -> Json:
            for known in account.lists:
                if known.name == list_name:
                    return _list_row(known)
            raise refusals.list_not_found(list_name)

        return await self._reply(request, account, show_list)

    async def merge_list_members(self, request: web.Request) -> web.StreamResponse:
        """Merge up to 200 records into a profile list."""
        if request.query:
            raise web.HTTPNotFound  # with an action it is another function
        record = request[RECORD]
        record.kind = "merge"
        account = self._admit(request, ApiFunction.MERGE_LIST_MEMBERS)
        list_name = request.match_info["list_name"]
        body = await _read(request, account.limits.maximum_request_bytes)
        return await self._reply(request, account, lambda: self._merge(request, account, list_name, body))

    async def get_end_point(self, request: web.Request) -> web.StreamResponse:
        """Show the URL that belongs to the token."""
        account = self._admit(request, ApiFunction.GET_END_POINT)
        return await self._reply(request, account, lambda: {"apiType": "rest", "endPoint": self._end_point(account)})

    async def get_rate_limits(self, request: web.Request) -> web.StreamResponse:
        """List the throttling limits by API function."""
        try:
            account = self._admit(request, ApiFunction.GET_RATE_LIMITS)
        except RequestRefusedError as refusal:
            if refusal.error_code in ("INVALID_TOKEN", "TOKEN_EXPIRED"):
                raise refusals.token_not_understood() from refusal
            raise
        return await self._reply(request, account, lambda: [function.row(account.limits) for function in ApiFunction])

    def _authenticate(self, request: web.Request) -> Account:
        token = self._simulator.tokens.find(request.headers.get("Authorization", ""))
        account = self._simulator.accounts.find(token.username) if token is not None else None
        if token is None or account is None:
            raise refusals.invalid_token()
        request[RECORD].account = account.username
        if self._simulator.tokens.expired(token):
            raise refusals.token_expired()
        return account

    def _admit(self, request: web.Request, function: ApiFunction) -> AccountSettings:
        account = self._authenticate(request).settings
        self._simulator.throttles.admit(account, function)
        return account

    async def _reply(
        self, request: web.Request, account: AccountSettings, work: Callable[[], Json]
    ) -> web.StreamResponse:
        record = request[RECORD]
        path = "login" if record.kind == "refresh" else record.kind
        fault = self._simulator.faults.take(path, account.username, record.event_name)
        if fault is not None:
            record.fault = fault.kind
        response = await reply_with_fault(request, fault, work)
        if account.replies.latency_ms:
            await asyncio.sleep(account.replies.latency_ms / 1000)
        return response

    def _issue_token(self, account: AccountSettings) -> Json:
        return {
            "authToken": self._simulator.tokens.issue(account.username, account.limits.token_lifetime_seconds),
            "issuedAt": time.time_ns() // 1_000_000,
            "endPoint": self._end_point(account),
        }

    def _end_point(self, account: AccountSettings) -> str:
        return account.replies.end_point or self._simulator.base_url

    def _trigger(
        self,
        request: web.Request,
        account: AccountSettings,
        event_name: str,
        body: bytes,
        flight: RequestInFlight,
    ) -> Json:
        record = request[RECORD]
        records = parse_event_request(body, request.content_type, account.replies)
        judgement = recipient_results.judge(records, account, self._simulator.list_members)
        record.recipients = len(records)
        record.overlaps = flight.hold(judgement.recipient_keys)
        record.warnings = dict(judgement.warnings)
        if all(event.name != event_name for event in account.events):
            raise refusals.event_not_found(event_name)
        for position, result in enumerate(judgement.results):
            if account.recipients.invalid.holds(result.identifier.value):
                raise invalid_record(position, "recipient: value is not valid", account.replies)
        record.result_codes = dict(Counter(result.code for result in judgement.results if result.error_message))
        accepted = tuple(position for position, result in enumerate(judgement.results) if result.error_message is None)
        if accepted:
            self._simulator.inbox.put(
                account.username,
                event_name,
                record.request_id,
                record.correlation_id,
                body,
                accepted_positions=accepted,
                recipient_ids=tuple(judgement.results[position].recipient_id for position in accepted),
            )
        record.accepted = len(accepted)
        key_order = next(self._key_orders)
        return [_result_row(result, key_order) for result in judgement.results]

    def _merge(self, request: web.Request, account: AccountSettings, list_name: str, body: bytes) -> Json:
        record = request[RECORD]
        if not account.may_merge:
            raise refusals.insufficient_access()
        fields = [known.fields for known in account.lists if known.name == list_name]
        if not fields:
            raise refusals.list_not_found(list_name)
        merge = parse_merge_request(
            body,
            request.content_type,
            list_fields={*(field["fieldName"] for field in LIST_FIELDS), *fields[0]},
            replies=account.replies,
        )
        record.recipients = len(merge.records)
        request_id = request.headers.get("X-Request-Id")
        results = Merging(merge, account, list_name, self._simulator.list_members, request_id).run()
        failed = sum(result.failed for result in results)
        record.accepted = len(results) - failed
        record.created = sum(result.inserted for result in results)
        record.result_codes = {"MERGEFAILED": failed} if failed else {}
        return _merge_reply(request.path, merge, [result.cell for result in results])


def _merge_reply(path: str, merge: ListMerge, cells: list[str | None]) -> Json:
    of_member = f"{path}/<riid>"
    return {
        "recordData": {"fieldNames": ["RIID_"], "records": [[cell] for cell in cells], "mapTemplateName": None},
        "mergeRule": merge.rule.model_dump(by_alias=True),
        "links": [
            {"rel": "self", "href": path, "method": "POST"},
            {"rel": "retrieveListRecipientsRIID", "href": of_member, "method": "GET"},
            {"rel": "deleteListRecipientsRIID", "href": of_member, "method": "DELETE"},
        ],
    }


def _result_row(result: RecipientResult, key_order: tuple[str, ...]) -> dict[str, object]:
    row = {
        "errorMessage": result.error_message,
        "success": result.error_message is None,
        "recipientId": result.recipient_id,
    }
    return {key: row[key] for key in key_order}


def _list_row(known: ProfileList) -> dict[str, object]:
    return {"name": known.name, "folderName": known.folder, "fields": list(LIST_FIELDS)}


async def _read(request: web.Request, maximum_bytes: int) -> bytes:
    """Read the body, but cut the connection as soon as it is too long, as the real gateway does."""
    if (request.content_length or 0) > maximum_bytes:
        raise ConnectionCutError
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > maximum_bytes:
            raise ConnectionCutError
    request[RECORD].received_bytes = len(body)
    return bytes(body)
