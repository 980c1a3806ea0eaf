"""What would Responsys answer? A transport for ``requests`` that records each request and plays a script."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import BaseAdapter

from responsys_activation.responsys.http import HttpSession


@dataclass(frozen=True)
class Answer:
    """One scripted reply."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Step = Answer | Exception | Callable[[requests.PreparedRequest], Answer]


def replying(document: object, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON, as Responsys does."""
    content = json.dumps(document).encode()
    return Answer(status, content, {"Content-Type": "application/json;charset=UTF-8"} | headers)


def refusing(status: int, code: str, *, title: str = "", detail: str = "", **headers: str) -> Answer:
    """Answer with Responsys's error envelope."""
    envelope = {"type": "", "title": title, "errorCode": code, "detail": detail, "errorDetails": []}
    return replying(envelope, status, **headers)


class ResponsysTransport(BaseAdapter):
    """Plays its script in order; the last step repeats."""

    def __init__(self, *script: Step) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []
        self._script = deque(script)

    def session(self) -> HttpSession:
        """Open the session of the package over this transport."""
        session = HttpSession()
        session.mount("https://", self)
        session.mount("http://", self)
        return session

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, *, timeout: Any = None, **_options: Any
    ) -> requests.Response:
        self.requests.append(request)
        self.timeouts.append(timeout)
        step = self._script[0] if len(self._script) == 1 else self._script.popleft()
        if isinstance(step, Exception):
            raise step
        answer = step if isinstance(step, Answer) else step(request)
        response = requests.Response()
        response.status_code = answer.status
        response._content = answer.content
        response.headers.update(answer.headers)
        response.request = request
        response.url = request.url or ""
        return response

    def close(self) -> None:
        """Nothing is open."""
