"""What does a person see of a page, and what happens when they press a key?

A browser without a screen, asked over the DevTools protocol: what it shows, what assistive technology is told, what
stands in its console.
"""

import asyncio
import base64
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp
import requests

from tests.local_stack.environments import program
from tests.local_stack.processes import LOOPBACK, child_process

_ENVIRONMENT = ".venv-browser"
_SECONDS_TO_ANSWER = 15.0
_SECONDS_BETWEEN_LOOKS = 0.1
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}

Scheme = Literal["light", "dark"]


class BrowserError(Exception):
    """The browser does not start, or refuses; the message says why."""


@contextlib.contextmanager
def browser() -> Iterator["Browser"]:
    """Run a browser for as long as the context lasts.

    Raises
    ------
    BrowserError
        It ended before it listened; the message is the last that it said, such as the library that it misses.
    """
    command: list[str | Path] = [program(_ENVIRONMENT, "python"), "-m", "tests.browser.engine"]
    with child_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not first_line:
            last_words = process.communicate()[1].strip().splitlines() or ["it said nothing"]
            raise BrowserError(f"the browser of {_ENVIRONMENT} did not start: {last_words[-1]}")
        with Browser(json.loads(first_line)["port"]) as running:
            yield running


def axe_script() -> str:
    """Return axe-core, which finds what keeps people out of a page."""
    (script,) = (program(_ENVIRONMENT, "python").parent.parent).glob(
        "lib/*/site-packages/axe_playwright_python/axe.min.js"
    )
    return script.read_text()


class Browser:
    """One page in a browser that listens already.

    Parameters
    ----------
    port
        Of its DevTools, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._calls = 0
        self.complaints: list[str] = []
        """Errors and warnings of the page's console, uncaught exceptions, what its security policy refused."""

    def __enter__(self) -> Self:
        with requests.Session() as session:
            session.trust_env = False
            pages = session.get(f"http://{LOOPBACK}:{self._port}/json", timeout=_SECONDS_TO_ANSWER).json()
        self._loop.run_until_complete(self._connect(pages[0]["webSocketDebuggerUrl"]))
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.run_until_complete(self._session.close())
        self._loop.close()

    async def _connect(self, url: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(url, max_msg_size=0)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Make a call of the DevTools protocol, and give its result."""
        self._calls += 1
        return self._loop.run_until_complete(self._answer(self._calls, method, parameters))

    async def _answer(self, number: int, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_SECONDS_TO_ANSWER):
            while True:
                message: dict[str, Any] = await self._socket.receive_json()
                self._note(message)
                if message.get("id") == number:
                    if "error" in message:
                        raise BrowserError(f"{method}: {message['error']['message']}")
                    result: dict[str, Any] = message["result"]
                    return result

    def _note(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.complaints.append(str(details.get("exception", {}).get("description", details["text"])))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning", "text": text}}}:
                self.complaints.append(text)
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning", "args": arguments}}:
                self.complaints.append(str(arguments))

    def open(self, url: str) -> None:
        """Go to an address, and wait for the document."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def leave(self) -> None:
        """Go to an empty page: the one before asks for nothing more."""
        self.call("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON has it; a promise's once it has one."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(str(answer["exceptionDetails"].get("exception", answer)))
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = _SECONDS_TO_ANSWER) -> None:
        """Wait for an expression to be true.

        Raises
        ------
        BrowserError
            It did not come true in time.
        """
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise BrowserError(f"not true after {seconds:.0f} s: {expression}")
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def text(self, selector: str) -> str:
        """Return what an element shows, white space as one blank."""
        found = self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? null")
        if found is None:
            raise BrowserError(f"the page has no {selector}")
        return " ".join(str(found).split())

    def look(self, scheme: Scheme = "light", width: int = 1200, height: int = 900, *, still: bool = False) -> None:
        """Look from now on with a colour scheme and a size of the window; `still`: with reduced motion."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setScrollbarsHidden", hidden=still)

    def press(self, key: str) -> None:
        """Press and release a key."""
        names = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **names, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **names)

    def type(self, text: str) -> None:
        """Type where the focus is."""
        self.call("Input.insertText", text=text)

    def accessible(self) -> list[tuple[str, str]]:
        """Return what assistive technology is told: role and name of each node that has both."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        found = [
            (node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        ]
        return [(role, name) for role, name in found if role and name]

    def screenshot(self, height: int | None = None) -> bytes:
        """Return a PNG of the window, or of the page's first `height` pixels."""
        beyond: dict[str, Any] = {}
        if height is not None:
            clip = {"x": 0, "y": 0, "width": self.evaluate("innerWidth"), "height": height, "scale": 1}
            beyond = {"clip": clip, "captureBeyondViewport": True}
        answer = self.call("Page.captureScreenshot", format="png", **beyond)
        return base64.b64decode(answer["data"])
