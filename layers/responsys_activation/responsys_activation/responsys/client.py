"""What may be asked of Responsys? The client, which keeps HTTP and the token to itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from responsys_activation.error_code import ErrorCode
from responsys_activation.responsys.catalogue import (
    KnownList,
    Limits,
    read_event_names,
    read_limits,
    read_profile_lists,
)
from responsys_activation.responsys.errors import RequestRefusedError, TokenRefusedError, UnavailableError
from responsys_activation.responsys.events import EventReply, read_event_reply, request_body
from responsys_activation.responsys.http import API_PATH, HttpSession, Reply, exchange, raise_for_error
from responsys_activation.responsys.list_merge import (
    MERGE_OF_NOBODY,
    ListMerge,
    MergeReply,
    merge_body,
    read_merge_reply,
)
from responsys_activation.responsys.login import Token
from responsys_activation.responsys.token import LoginObserver, TokenKeeper

__all__ = ["Attempt", "ResponsysClient"]

Result = TypeVar("Result")

Attempt = Callable[[Callable[[str], Result]], Result]
"""Makes one HTTP request by calling what it is given, with the request's id; it may wait before that."""

_LIMITS_PATH = "/rest/api/ratelimit"  # without v1.3, unlike all others


class ResponsysClient:
    """One user's way to an account; safe to use from several threads.

    After a token error it logs in and makes the same request once more. Each ``deadline`` is epoch seconds by which a
    login and the reply must be there. Every method raises
    :class:`~responsys_activation.responsys.errors.ResponsysError`, of its request or of the login before it, and what
    the token's ports raise.

    Parameters
    ----------
    tokens : TokenKeeper
        The account's, which several clients may share.
    observer : LoginObserver
        Who counts the logins that this client needs.
    renews_token : bool
        Whether it logs in again when its token is refused.
    """

    def __init__(
        self,
        http: HttpSession,
        tokens: TokenKeeper,
        *,
        observer: LoginObserver,
        renews_token: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._observer = observer
        self._renews_token = renews_token
        self._clock = clock

    def log_in(self, deadline: float) -> None:
        """Get a token, as the first call would."""
        self._tokens.token(self._observer, deadline)

    def trigger(
        self, event_name: str, recipients_json: Sequence[str], *, deadline: float, attempt: Attempt[EventReply]
    ) -> EventReply:
        """Trigger a custom event for up to 200 recipients.

        Parameters
        ----------
        attempt : callable
            Makes each HTTP request and sees its end, also of one that meets a token error.
        """

        def post_once(token: Token, request_id: str) -> EventReply:
            path, body = f"/events/{quote(event_name, safe='')}", request_body(recipients_json)
            return read_event_reply(self._post(token, path, body, deadline, request_id), recipients_json)

        return self._call(lambda token: attempt(partial(post_once, token)), deadline)

    def merge_list_members(self, merge: ListMerge, *, deadline: float, attempt: Attempt[MergeReply]) -> MergeReply:
        """Add up to 200 members to a profile list, and leave those that it has as they are.

        Parameters
        ----------
        attempt : callable
            As for :meth:`trigger`.
        """

        def post_once(token: Token, request_id: str) -> MergeReply:
            path, body = _members_path(merge.list_name), merge_body(merge)
            return read_merge_reply(self._post(token, path, body, deadline, request_id), merge.values)

        return self._call(lambda token: attempt(partial(post_once, token)), deadline)

    def try_merge(self, list_name: str, deadline: float) -> None:
        """Find out whether members may be merged into a list, by a merge that changes nothing.

        A :class:`RequestRefusedError` about its one record tells that they may: Responsys has looked at it.
        """
        self._call(
            lambda token: raise_for_error(self._post(token, _members_path(list_name), MERGE_OF_NOBODY, deadline)),
            deadline,
        )

    def limits(self, deadline: float) -> Limits:
        """Read how many requests per minute the account allows."""
        return read_limits(self._document(_LIMITS_PATH, deadline))

    def event_limit(self, deadline: float) -> int | None:
        """Read how many custom event requests the account allows per minute; ``None``: it names no limit."""
        return self.limits(deadline).events

    def merge_limit(self, deadline: float) -> int | None:
        """Read how many list merges the account allows per minute; ``None``: it names no limit."""
        return self.limits(deadline).list_merges

    def event_names(self, deadline: float) -> frozenset[str]:
        """Read the names of the account's custom events."""
        return read_event_names(self._document(f"{API_PATH}/events", deadline, none_code="CUSTOM_EVENT_NOT_FOUND"))

    def profile_lists(self, deadline: float) -> frozenset[KnownList]:
        """Read the account's profile lists."""
        return read_profile_lists(self._document(f"{API_PATH}/lists", deadline, none_code="LIST_NOT_FOUND"))

    def _post(self, token: Token, path: str, body: bytes, deadline: float, request_id: str = "") -> Reply:
        headers = _headers(token) | {"Content-Type": "application/json"}
        return exchange(
            self._http,
            "POST",
            f"{token.end_point}{API_PATH}{path}",
            data=body,
            headers=headers | {"X-Request-Id": request_id} if request_id else headers,
            timeout=deadline - self._clock(),
        )

    def _document(self, path: str, deadline: float, *, none_code: str | None = None) -> Any:
        """Get a document: parsed JSON. An account that has none of a list answers with the error ``none_code``."""

        def get_once(token: Token) -> Any:
            url, left = f"{token.end_point}{path}", deadline - self._clock()
            return raise_for_error(exchange(self._http, "GET", url, headers=_headers(token), timeout=left)).document

        try:
            return self._call(get_once, deadline)
        except RequestRefusedError as exc:
            if exc.code == none_code:
                return []
            raise

    def _call(self, request: Callable[[Token], Result], deadline: float) -> Result:
        """Make a request with the token; after one of the token errors log in and make it once more.

        A 401 in another language than Responsys's may mean the token, too, or anything else: it is worth one login for
        each token that was not itself got in that way.
        """
        token = self._tokens.token(self._observer, deadline)
        try:
            return request(token)
        except (TokenRefusedError, UnavailableError) as exc:
            in_doubt = not isinstance(exc, TokenRefusedError)
            if not self._renews_token or (in_doubt and not _perhaps_for(token, exc)):
                raise
        renewed = self._tokens.token(self._observer, deadline, refused=token, in_doubt=in_doubt)
        try:
            return request(renewed)
        except TokenRefusedError as exc:
            raise exc.read_as(UnavailableError) from exc


def _members_path(list_name: str) -> str:
    return f"/lists/{quote(list_name, safe='')}/members"


def _headers(token: Token) -> dict[str, str]:
    return {"Authorization": token.auth_token, "Accept": "application/json"}  # bare: Responsys knows no "Bearer"


def _perhaps_for(token: Token, exc: TokenRefusedError | UnavailableError) -> bool:
    speaks_of_it = exc.status == requests.codes.unauthorized and exc.code == ErrorCode.OTHER_ERROR
    return speaks_of_it and not token.renewed_in_doubt
