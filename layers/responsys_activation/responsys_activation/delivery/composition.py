"""What is the delivery made of? Put together here once, so that what is tested and measured is what ships."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from responsys_activation.account import account_id
from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.budget_reach import BudgetReach
from responsys_activation.aws.clients import Clients
from responsys_activation.aws.connectors import ConnectorParameters, ConnectorSettings
from responsys_activation.aws.delivery_table import (
    DeliveryTable,
    Key,
    account_budget_key,
    account_limit_key,
    connector_budget_key,
    merge_budget_key,
    merge_limit_key,
)
from responsys_activation.aws.event_bus import EventBus
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.merge_pace import MergePace
from responsys_activation.aws.newcomers import Newcomers
from responsys_activation.aws.queues import DeadLetterQueue, SourceQueue
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.slots import Timing
from responsys_activation.connector import Connector, MissingAction
from responsys_activation.delivery.batch import Delivery, Sender
from responsys_activation.delivery.creating import RecipientCreator
from responsys_activation.delivery.merging import Merging
from responsys_activation.delivery.outcome_feed import DETAIL_TYPE, SOURCE, OutcomeFeed
from responsys_activation.delivery.pacing import Pacing, shortest_request
from responsys_activation.delivery.posting import Posting
from responsys_activation.delivery.receiving import Receiving
from responsys_activation.delivery.reporting import Reporting
from responsys_activation.delivery.sending import RequestSender
from responsys_activation.delivery.settling import Settling
from responsys_activation.login_composition import LoginComposition
from responsys_activation.observability import InvocationMetrics
from responsys_activation.responsys.client import ResponsysClient
from responsys_activation.responsys.endpoint import TrustedDomains
from responsys_activation.responsys.http import HttpSession
from responsys_activation.settings import Settings

__all__ = ["DeliveryComposition", "compose_delivery"]

_SERVICE = "segment_events"
_PROBE_RESERVE = 30.0  # seconds that a probe may take beside waiting for its reply


def compose_delivery(settings: Settings, clients: Clients, **parts: Any) -> Delivery:
    """Put the parts together, as a :class:`DeliveryComposition` does."""
    return DeliveryComposition(settings, clients, **parts).delivery


class DeliveryComposition:
    """The parts of one execution environment; ``deliver`` is what they are for.

    Parameters
    ----------
    http, metrics, reporting : optional
        The connections to Responsys, where is counted, and who is told; ``None``: new ones.
    open_sender : callable or None
        Gives a connector's sender; ``None``: one that sends.
    clock, sleep, jitter : callable
        The time in epoch seconds, waiting, and chance; a test has its own.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        *,
        http: HttpSession | None = None,
        metrics: InvocationMetrics | None = None,
        reporting: Reporting | None = None,
        open_sender: Callable[[str, Connector], Sender] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._clock = clock
        self._sleep = sleep
        trusted = TrustedDomains(settings.trusted_endpoint_domains)
        metrics = metrics or InvocationMetrics(settings.stack_name)
        self._table = DeliveryTable(settings.delivery_table_name, clients.dynamodb, sleep=sleep)
        self._timing = Timing(probe_seconds=settings.reply_seconds + _PROBE_RESERVE, time_scale=settings.time_scale)
        self._timed: dict[str, Any] = {"timing": self._timing, "clock": clock, "sleep": sleep}
        self._reach: dict[str, BudgetReach] = {}  # by account, of events
        self.ledger = self.open_ledger()
        self.reporting = reporting or Reporting(metrics, service=_SERVICE, clock=clock)
        self._logins = LoginComposition(
            settings,
            clients,
            http=http or HttpSession(settings.reply_seconds),
            trusted=trusted,
            metrics=metrics,
            service=_SERVICE,
            clock=clock,
            sleep=sleep,
        )
        throttled = SourceQueue(settings.throttled_dead_letter_queue_url, clients.sqs, clock=clock)
        self._connector_settings = ConnectorSettings(
            ConnectorParameters(settings.connector_parameter_prefix, clients.ssm),
            time_scale=settings.time_scale,
            clock=clock,
        )
        self.delivery = Delivery(
            receiving=Receiving(self._connector_settings, throttled.name),
            connector_settings=self._connector_settings,
            open_sender=open_sender or self.open_sender,
            trusted=trusted,
            settling=Settling(
                source_queues=[SourceQueue(settings.segment_events_queue_url, clients.sqs, clock=clock), throttled],
                throttled=DeadLetterQueue(settings.throttled_dead_letter_queue_url, clients.sqs, clock=clock),
                rejected=DeadLetterQueue(settings.rejected_dead_letter_queue_url, clients.sqs, clock=clock),
                time_scale=settings.time_scale,
                clock=clock,
                jitter=jitter,
            ),
            reporting=self.reporting,
            outcome_feed=self._open_outcome_feed() if settings.feeds_outcomes else None,
            maximum_age=settings.maximum_event_age_hours * 3600,
            in_flight=settings.requests_in_flight,
            shortest_request=shortest_request(settings.reply_seconds),
            clock=clock,
        )

    def _open_outcome_feed(self) -> OutcomeFeed:
        bus = EventBus(SOURCE, DETAIL_TYPE, self._clients.events, clock=self._clock, sleep=self._sleep)
        return OutcomeFeed(self._settings.stack_name, bus, self.reporting, clock=self._clock)

    def open_ledger(self) -> Ledger:
        """Open the ledger that all senders share."""
        return Ledger(self._table, time_scale=self._settings.time_scale, clock=self._clock)

    def open_pace(self, name: str, connector: Connector) -> RequestPace:
        """Open a connector's pace within its account's."""
        account = account_id(connector)
        reach = self._reach.setdefault(account, self._open_reach())
        return RequestPace(
            connector.requests_per_minute,
            limit=AccountLimit(self._table, account_limit_key(account), **self._timed),
            account=self._open_budget(account_budget_key(account), reach),
            own=self._open_budget(connector_budget_key(name), reach),
            reach=reach,
            clock=self._clock,
            sleep=self._sleep,
        )

    def open_merge_pace(self, connector: Connector) -> MergePace:
        """Open the pace of an account's list merges."""
        account, reach = account_id(connector), self._open_reach()
        return MergePace(
            limit=AccountLimit(self._table, merge_limit_key(account), **self._timed),
            merges=self._open_budget(merge_budget_key(account), reach),
            events=self._open_budget(account_budget_key(account), reach),
            reach=reach,
            clock=self._clock,
            sleep=self._sleep,
        )

    def _open_reach(self) -> BudgetReach:
        return BudgetReach(**self._timed)

    def _open_budget(self, key: Key, reach: BudgetReach) -> RequestBudget:
        return RequestBudget(
            self._table,
            key,
            reach=reach,
            **self._timed,
        )

    def open_creator(self, name: str, connector: Connector, client: ResponsysClient) -> RecipientCreator | None:
        """Open what creates a connector's missing recipients; ``None`` where the settings create nobody."""
        if connector.missing_recipients.action is not MissingAction.CREATE:
            return None
        settings = self._settings
        pacing = Pacing(
            self.open_merge_pace(connector),
            timing=self._timing,
            read_limit=client.merge_limit,
            reply_seconds=settings.reply_seconds,
            observe_doubt=lambda **_: None,  # a merge may be made again: none is in doubt
            several_accounts=lambda: False,  # their messages have been sent by now
            clock=self._clock,
            sleep=self._sleep,
        )
        return RecipientCreator(
            name,
            connector,
            open_merging=partial(
                Merging,
                connector=connector,
                client=client,
                pacing=pacing,
                reply_seconds=settings.reply_seconds,
                clock=self._clock,
            ),
            pacing=pacing,
            ledger=self.ledger,
            newcomers=Newcomers(self._table, time_scale=settings.time_scale, clock=self._clock),
            shortest_merge=shortest_request(settings.reply_seconds),
            time_scale=settings.time_scale,
            clock=self._clock,
        )

    def open_sender(self, name: str, connector: Connector) -> RequestSender:
        """Open a connector's sender."""
        settings = self._settings
        client = self._logins.open_client(name, connector)
        observe_doubt = partial(self.reporting.doubted, name)
        creator = self.open_creator(name, connector, client)
        pacing = Pacing(
            self.open_pace(name, connector),
            timing=self._timing,
            read_limit=client.event_limit,
            reply_seconds=settings.reply_seconds,
            observe_doubt=observe_doubt,
            several_accounts=self._connector_settings.several_accounts,
            clock=self._clock,
            sleep=self._sleep,
        )
        return RequestSender(
            name,
            connector,
            open_posting=partial(
                Posting,
                client=client,
                newer=self.ledger.newer,
                pacing=pacing,
                reply_seconds=settings.reply_seconds,
                creation_seconds=shortest_request(settings.reply_seconds) if creator else 0.0,
                observe_doubt=observe_doubt,
                clock=self._clock,
            ),
            pacing=pacing,
            ledger=self.ledger,
            creator=creator,
            maximum_resends=settings.allowed_resends,
            observe_doubt=observe_doubt,
            time_scale=settings.time_scale,
            clock=self._clock,
        )
