"""What is logged and counted for a batch? One log line per request, one per batch, and the metrics.

A message has its own line unless it was delivered at the first attempt; most have none: a batch may hold 10,000.
Reasons of rejections are logged: they name fields and settings, never values.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from responsys_activation.aws.faults import AwsCallError
from responsys_activation.delivery.custom_event import CustomEvent
from responsys_activation.delivery.outcome import (
    NOT_KNOWN,
    Delivered,
    Duplicate,
    Ending,
    Ignored,
    Outcome,
    Rejected,
    Retried,
    Throttled,
    reason_of,
)
from responsys_activation.delivery.result import CreationResult, Exchange, RequestResult
from responsys_activation.error_code import ErrorCode
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.responsys.errors import ThrottledError

__all__ = ["Reporting"]

_COUNTERS = {
    Delivered: "EventsDelivered",
    Duplicate: "EventsDuplicate",
    Throttled: "EventsThrottled",
    Rejected: "EventsRejected",
    Retried: "EventsRetried",
    Ignored: "EventsIgnored",
}
_LOGGED_REASONS = 5
_MOST_EVENTS = 50  # of a connector, that are counted by name
_LOGGED_MESSAGES = 1_000
# SQS's ids look like this; a producer who sets the attribute of an earlier life could put anything there.
_SQS_MESSAGE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Reporting:
    """Logs and counts what the delivery of a batch comes to.

    Parameters
    ----------
    service : str
        The dimension under which the whole function's counters stand.
    """

    def __init__(self, metrics: InvocationMetrics, *, service: str, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._service = service
        self._clock = clock
        self._connectors: set[str] = set()
        self._events: defaultdict[str, set[str]] = defaultdict(set)

    def doubted(
        self, connector: str, *, outcomes_unknown: int = 0, sent_in_doubt: int = 0, sent_without_ledger: int = 0
    ) -> None:
        """Count at once what is of unknown outcome, sent in spite of that as a person asked, or without a claim."""
        by_connector, by_service = {"connector": connector}, {"service": self._service}
        if outcomes_unknown:
            self._metrics.tell("OutcomesUnknown", outcomes_unknown, by_connector, by_service)
            logger.warning("outcome unknown", extra={"connector": connector, "messages": outcomes_unknown})
        if sent_in_doubt:
            self._metrics.tell("SentInDoubt", sent_in_doubt, by_connector, by_service)
            logger.warning("sent again in doubt, as allowed", extra={"connector": connector, "messages": sent_in_doubt})
        if sent_without_ledger:
            self._metrics.tell("SentWithoutLedger", sent_without_ledger, by_connector, by_service)

    def outcomes_not_fed(self, outcomes: int, faults: Iterable[str]) -> None:
        """Count at once what the outcome feed does not tell, and log why."""
        self._metrics.tell("OutcomesNotFed", outcomes, {"service": self._service})
        logger.warning("outcomes not fed", extra={"outcomes": outcomes, "faults": sorted(faults)})

    def connector_used(self, connector: str, configured_events: Iterable[str], events: Sequence[CustomEvent]) -> None:
        """Note a connector that exists, the events that its settings name, and what it is about to send."""
        self._connectors.add(connector)
        self._events[connector].update(name for name in configured_events if name.isascii())
        overridden = sum(event.variables_overridden for event in events)
        self._metrics.count("VariablesOverridden", overridden, connector=connector)
        system_columns = sum(event.system_columns for event in events)
        self._metrics.count("SystemColumns", system_columns, connector=connector)

    def request_ended(self, result: RequestResult) -> None:
        """Log and count one planned request, and each HTTP request that it took."""
        if isinstance(result, CreationResult):
            self._creation_ended(result)
            return
        connector = result.connector
        self._metrics.milliseconds("BudgetWait", result.budget_wait, connector=connector)
        for dimensions in ({"connector": connector}, {"service": self._service}):
            for name in ("OutcomesUnknown", "SentWithoutLedger"):
                self._metrics.count(name, 0, **dimensions)  # what is not 0 was told when it was known
            self._metrics.count("BudgetUnavailable", int(result.budget_unavailable), **dimensions)
        self._metrics.count("ApiRequests", len(result.exchanges), connector=connector)
        self._count_throttles(result)
        for exchange in result.exchanges:
            self._metrics.milliseconds("ApiLatency", exchange.seconds, connector=connector)
            self._metrics.sample("RecipientsPerRequest", exchange.recipients, connector=connector)
            self._log_exchange("request", result, exchange)
        if isinstance(result.failure, AwsCallError):
            logger.warning("request not made", extra={"connector": connector, "fault": str(result.failure)})
        arrivals = [
            item.message.age_from
            for item, outcome in zip(result.request.items, result.outcomes, strict=True)
            if isinstance(outcome, Delivered)
        ]
        if arrivals:
            # One value per request, its oldest message's: one per message would cost more than the sending.
            self._metrics.milliseconds("DeliveryLag", self._clock() - min(arrivals), connector=connector)

    def _creation_ended(self, result: CreationResult) -> None:
        """Log and count the list merges of a batch, and what they came to."""
        by_connector = {"connector": result.connector}
        self._metrics.count("ListMerges", len(result.exchanges), **by_connector)
        self._metrics.count("RecipientsCreated", result.created, **by_connector)
        self._metrics.count("RecipientsNotCreated", result.not_created, **by_connector)
        self._count_throttles(result)
        for exchange in result.exchanges:
            self._log_exchange("list merge", result, exchange)

    def _count_throttles(self, result: RequestResult) -> None:
        throttles = sum(isinstance(exchange.failure, ThrottledError) for exchange in result.exchanges)
        self._metrics.count("ApiThrottles", throttles, connector=result.connector)
        self._metrics.count("ApiThrottles", throttles, service=self._service)

    def _log_exchange(self, what: str, result: RequestResult, exchange: Exchange) -> None:
        """Log one HTTP request: a merge's records as recipients, of whom none is named."""
        fields = {
            "connector": result.connector,
            "eventName": result.request.event_name or NOT_KNOWN,
            "requestId": exchange.request_id,
            "recipients": exchange.recipients,
            "milliseconds": round(exchange.seconds * 1000),
        }
        if exchange.reply:
            done = "merged" if isinstance(result, CreationResult) else "delivered"
            codes = Counter(code or done for code in exchange.reply.error_codes)
            reply = {"status": exchange.reply.status, "correlationId": exchange.reply.correlation_id, "results": codes}
            logger.info(f"{what} answered", extra=fields | reply)
        elif failure := exchange.failure:
            error = {
                "status": failure.status,
                "correlationId": failure.correlation_id,
                "errorCode": failure.code,
                "errorTitle": failure.title,
                "errorType": type(failure).__name__,
            }
            logger.warning(f"{what} failed", extra=fields | error)

    def batch_ended(self, received: int, endings: Sequence[Ending], seconds: float) -> None:
        """Log what the batch came to, and write the metrics."""
        outcomes = Counter(type(ending.outcome) for ending in endings)
        others = [ending for ending in endings if type(ending.outcome) is not Delivered]  # few
        self._count(received, outcomes, others)
        self._count_by_event(endings)
        codes = Counter(code for ending in others if (code := _error_code(ending)))
        reasons = Counter(
            ending.outcome.reason for ending in others if isinstance(ending.outcome, Rejected) and ending.outcome.reason
        )
        notable = [ending for ending in endings if not _as_expected(ending)]
        for ending in notable[:_LOGGED_MESSAGES]:
            self._log_message(ending)
        logger.info(
            "batch settled",
            extra={
                "received": received,
                **{kind.__name__.lower(): outcomes[kind] for kind in _COUNTERS},
                "errorCodes": dict(codes),
                "reasons": dict(reasons.most_common(_LOGGED_REASONS)),
                "messagesNotLogged": max(0, len(notable) - _LOGGED_MESSAGES),
                "milliseconds": round(seconds * 1000),
            },
        )
        self._metrics.flush()
        self._connectors.clear()

    def _log_message(self, ending: Ending) -> None:
        """Log one message's outcome. The producer's own id is left out: it may tell who the recipient is."""
        known, outcome = ending.connector in self._connectors, ending.outcome
        message_id = ending.message.original_message_id
        logger.info(
            "message settled",
            extra={
                "originalMessageId": message_id if _SQS_MESSAGE_ID.fullmatch(message_id) else NOT_KNOWN,
                "outcome": type(outcome).__name__.lower(),
                "errorCode": _error_code(ending) or NOT_KNOWN,
                "reason": reason_of(outcome) if isinstance(outcome, Throttled | Rejected | Ignored) else NOT_KNOWN,
                "connector": ending.connector if known else NOT_KNOWN,
                "eventName": ending.event_name if known else NOT_KNOWN,
                "requestId": ending.request_id,
                "attempts": ending.message.attempts,
            },
        )

    def _count(self, received: int, outcomes: Counter[type[Outcome]], others: Iterable[Ending]) -> None:
        by_service = {"service": self._service}
        self._metrics.count("MessagesReceived", received, **by_service)
        self._count_outcomes(outcomes, by_service)
        failed = sum(ending.dead_letter_failed for ending in others)
        self._metrics.count("DeadLetterSendFailures", failed, **by_service)
        self._metrics.count("LoginsHeldBack", 0, **by_service)  # what is not 0 was told when it was known
        for ending in others:
            if code := _error_code(ending):
                connector = ending.connector if ending.connector in self._connectors else NOT_KNOWN
                self._metrics.count("Errors", connector=connector, errorCode=code)

    def _count_by_event(self, endings: Iterable[Ending]) -> None:
        """Count the outcomes of each event whose name may become a dimension, and those of all others together.

        Each name is seven metrics, and a producer can name any; so only what the settings name counts, and what
        Responsys took. CloudWatch takes ASCII alone.
        """
        by_kind = Counter((ending.connector, ending.event_name, type(ending.outcome)) for ending in endings)
        by_event = defaultdict[tuple[str, str], Counter[type[Outcome]]](Counter)
        for (connector, name, kind), number in by_kind.items():
            if connector not in self._connectors or name == NOT_KNOWN:
                continue
            events = self._events[connector]
            if kind is Delivered and name.isascii() and len(events) < _MOST_EVENTS:
                events.add(name)
            by_event[connector, name if name in events else NOT_KNOWN][kind] += number
        for (connector, event_name), outcomes in by_event.items():
            dimensions = {"connector": connector, "eventName": event_name}
            self._metrics.count("MessagesReceived", outcomes.total(), **dimensions)
            self._count_outcomes(outcomes, dimensions)

    def _count_outcomes(self, outcomes: Counter[type[Outcome]], dimensions: dict[str, str]) -> None:
        for kind, counter in _COUNTERS.items():
            self._metrics.count(counter, outcomes[kind], **dimensions)  # zeros too, so that ratios exist


def _as_expected(ending: Ending) -> bool:
    """Return whether a message was delivered, or held nothing, at its first receive: there is nothing to tell of it."""
    message, outcome = ending.message, ending.outcome
    if message.attempts > 1 or message.original_message_id != message.message_id:
        return False
    return isinstance(outcome, Delivered) or (
        isinstance(outcome, Ignored) and outcome.error_code != ErrorCode.SUPERSEDED
    )


def _error_code(ending: Ending) -> str | None:
    match ending.outcome:
        case Throttled(error_code) | Rejected(error_code) | Retried(error_code) | Ignored(error_code):
            return error_code
        case _:
            return None
