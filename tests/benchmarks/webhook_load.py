"""Who posts to the webhook while it is measured? Platforms, for locust; a twentieth of them without the secret.

Runs in an environment of its own, with nothing of the project. Each answer is a line of the file that the environment
names: the body's id, the status, and the milliseconds it took. A body that was not taken is sent again until it is, as
a platform does, but sooner than it is asked to.
"""

import hashlib
import hmac
import itertools
import json
import os
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, constant_throughput, events, task

__all__ = ["Platform"]

_EVENTS = Path(__file__).parents[2] / "events" / "upstream"
_SECRET = os.environ["WEBHOOK_SECRET"]
_SECONDS_UNTIL_AGAIN = 0.5
_GUESSES = 20  # one of so many does not know the secret

_numbers = itertools.count()
_answers = Path(os.environ["WEBHOOK_ANSWERS"]).open("w")  # noqa: SIM115 - for as long as locust runs


def _segment() -> dict[str, Any]:
    event: dict[str, Any] = json.loads((_EVENTS / "segment_entered.json").read_text())["detail"]
    return event


_CALL = _segment()
_REQUEST = json.loads((_EVENTS / "mparticle_many.json").read_text())
_OWN = json.loads((_EVENTS / "own_many.json").read_text())[0]


class Platform(FastHttpUser):  # type: ignore[misc]
    """One connection of a platform, which waits for each answer."""

    wait_time = constant_throughput(float(os.environ["WEBHOOK_RATE"]) / float(os.environ["WEBHOOK_USERS"]))
    host = os.environ["WEBHOOK_URL"].partition("/_aws/")[0]

    @task  # type: ignore[untyped-decorator]
    def post(self) -> None:
        number = next(_numbers)
        name = f"load-{number}"
        if number % _GUESSES == 0:
            self._post(name, json.dumps(_OWN | {"messageId": name}), {"Authorization": "Bearer guess"})
            return
        body, headers = _body(number, name)
        while self._post(name, body, headers) >= 500:
            gevent.sleep(_SECONDS_UNTIL_AGAIN)

    def _post(self, name: str, body: str, headers: dict[str, str]) -> int:
        with self.client.post(
            os.environ["WEBHOOK_URL"],
            data=body.encode(),
            headers={"Content-Type": "application/json", **headers},
            name="webhook",
            catch_response=True,
        ) as response:
            status = int(response.status_code or 0)
            response.success()  # what each status means is judged by whoever reads the answers
            _answers.write(f"{name} {status} {response.request_meta['response_time']:.1f}\n")
        return status or 599  # no answer at all


def _body(number: int, name: str) -> tuple[str, dict[str, str]]:
    bearer = {"Authorization": f"Bearer {_SECRET}"}
    match number % 3:
        case 0:
            body = json.dumps(_CALL | {"messageId": name})
            return body, {"X-Signature": hmac.new(_SECRET.encode(), body.encode(), hashlib.sha1).hexdigest()}
        case 1:
            return json.dumps(_REQUEST | {"id": name}), bearer
        case _:
            return json.dumps(_OWN | {"messageId": name}), bearer


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _write_answers(**_named: Any) -> None:
    _answers.close()
