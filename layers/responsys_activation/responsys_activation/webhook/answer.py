"""What is the caller told?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from responsys_activation.webhook.request import Request

__all__ = ["TRY_AGAIN_SECONDS", "Answer"]

TRY_AGAIN_SECONDS = 30  # what ails SQS or Secrets Manager rarely passes sooner


class Answer(NamedTuple):
    """How a request ended.

    Attributes
    ----------
    status : int
        202, or an error's.
    message : str
        What to do about an error; empty where there is none.
    messages : int
        How many are on the queue.
    """

    status: int
    message: str = ""
    messages: int = 0

    def response(self, request: Request, now: float) -> dict[str, Any]:
        """Write it as API Gateway takes it, and as the caller wants it.

        Parameters
        ----------
        now : float
            Epoch seconds.
        """
        firehose_id = request.firehose_id
        status = 200 if firehose_id is not None and self.status == 202 else self.status  # Firehose takes no other
        headers = {"content-type": "application/json"}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status == 503:
            headers["retry-after"] = str(TRY_AGAIN_SECONDS)
        body = self._for_firehose(firehose_id, now) if firehose_id is not None else self._for_others()
        return {"statusCode": status, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}

    def _for_firehose(self, request_id: str, now: float) -> Mapping[str, Any]:
        error = {"errorMessage": self.message} if self.message else {}
        return {"requestId": request_id, "timestamp": int(now * 1000), **error}

    def _for_others(self) -> Mapping[str, Any]:
        # An error as API Gateway writes its own.
        return {"message": self.message} if self.message else {"messages": self.messages}
