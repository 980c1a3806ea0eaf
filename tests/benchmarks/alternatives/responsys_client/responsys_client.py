"""A client of Responsys's custom events as a careful engineer writes it: token in memory, retries with back-off."""

import json
import os
import random
import time
from typing import Any

import boto3
import requests

SECOND = 1 / float(os.environ.get("TIME_SCALE", "1"))  # the benchmark's clock runs faster
ATTEMPTS, TIMEOUT, THROTTLE_PAUSE, LOGIN_PAUSE = 4, 30, 60, 300  # but for the first in seconds
THROTTLES = {"API_LIMIT_EXCEEDED", "INTERNAL_CAPACITY_LIMIT_EXCEEDED"}
STALE_TOKEN = {"INVALID_TOKEN", "TOKEN_EXPIRED"}
CALL_TYPES = {"ADD", "UPDATE", "REMOVE"}


class RetryLaterError(Exception):
    """Nothing is wrong with the message; Responsys cannot take it now."""


class RefusedError(Exception):
    """Responsys, or we, will never take it as it is."""


def parse(body: str) -> dict[str, Any]:
    """Read a membership, or refuse it."""
    try:
        message: dict[str, Any] = json.loads(body)
        if message["callType"] in CALL_TYPES and message["profileId"] and int(message["identifiers"]["27"]) > 0:
            return message
    except (KeyError, TypeError, ValueError) as exc:
        raise RefusedError("INVALID_MESSAGE") from exc
    raise RefusedError("INVALID_MESSAGE")


class Account:
    """One Responsys account: its token, its pauses, its custom events."""

    def __init__(self, secret_id: str) -> None:
        self._secret_id, self._session = secret_id, requests.Session()
        self._token, self._url, self._not_before = "", "", 0.0

    def send(self, event_name: str, messages: list[dict[str, Any]]) -> list[str | None]:
        """Trigger an event for up to 200 different people; give each one's error, None for success."""
        body = {"customEvent": {}, "recipientData": [_recipient(message) for message in messages]}
        for attempt in range(ATTEMPTS):
            time.sleep(random.uniform(0, 2**attempt - 1) * SECOND)  # noqa: S311 - spreads, hides nothing
            try:
                self._log_in()
                url, headers = f"{self._url}/rest/api/v1.3/events/{event_name}", {"Authorization": self._token}
                reply = self._session.post(url, json=body, headers=headers, timeout=TIMEOUT * SECOND)
                answer = reply.json()
            except (requests.RequestException, ValueError):
                continue  # no answer, or none of Responsys's own: a gateway's 503
            if reply.status_code == 200:
                return [None if each["success"] else each["errorMessage"] for each in answer]
            code = answer.get("errorCode")
            if code in THROTTLES:
                self._pause(THROTTLE_PAUSE)
            elif code in STALE_TOKEN:
                self._token = ""
            elif reply.status_code < 500:
                raise RefusedError(code)
        raise RetryLaterError("Responsys did not take it")

    def _log_in(self) -> None:
        if time.time() < self._not_before:
            raise RetryLaterError("the account has a pause")
        if self._token:
            return
        secret = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=self._secret_id)["SecretString"])
        form = {"user_name": secret["username"], "password": secret["password"], "auth_type": "password"}
        url = f"{os.environ['AUTH_ENDPOINT']}/rest/api/v1.3/auth/token"
        reply = self._session.post(url, data=form, timeout=TIMEOUT * SECOND)
        answer = reply.json()
        if reply.status_code != 200:
            # Five wrong passwords lock the account: somebody must mend the secret first.
            self._pause(THROTTLE_PAUSE if answer.get("errorCode") in THROTTLES else LOGIN_PAUSE)
        self._token, self._url = answer["authToken"], answer["endPoint"]

    def _pause(self, seconds: float) -> None:
        self._not_before = time.time() + seconds * SECOND
        raise RetryLaterError("Responsys asked for a pause")


def _recipient(message: dict[str, Any]) -> dict[str, Any]:
    properties = {**message["variables"], "profileId": message["profileId"], "callType": message["callType"]}
    where = {"objectName": "CONTACTS_LIST", "folderName": "!MasterData"}
    return {
        "recipient": {"recipientId": int(message["identifiers"]["27"]), "listName": where},
        "optionalData": [{"name": name, "value": str(value)} for name, value in properties.items()],
    }
