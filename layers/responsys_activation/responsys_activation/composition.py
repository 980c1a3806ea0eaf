"""What is the delivery made of?

Put together here once, for the function, the tests and the benchmarks alike, so that what is tested is what ships.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import requests
from aws_lambda_powertools.utilities.parameters import SSMProvider

from responsys_activation.account import account_id
from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.alone_pace import AlonePace
from responsys_activation.aws.clients import Clients
from responsys_activation.aws.connector_settings import ConnectorSettings
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.queues import DeadLetterQueue, SourceQueue
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.request_pace import RequestPace
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import Connector
from responsys_activation.delivery import Delivery
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.observability import InvocationMetrics
from responsys_activation.reporting import Reporting
from responsys_activation.responsys.http import open_http_session
from responsys_activation.responsys.session import Session
from responsys_activation.sending import RequestSender
from responsys_activation.settings import Settings
from responsys_activation.settling import Settling

__all__ = ["DeliveryComposition"]

_PROBE_SECONDS = 90.0  # longer than any request takes: it waits up to a minute for its reply


class DeliveryComposition:
    """The parts of one execution environment; ``deliver`` is what they are for.

    Parameters
    ----------
    http : requests.Session or None
        What speaks to Responsys; ``None``: one is opened.
    clock, sleep, jitter : callable
        The time in epoch seconds, waiting, and chance; a test has its own.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Clients,
        *,
        http: requests.Session | None = None,
        metrics: InvocationMetrics | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._clock = clock
        self._sleep = sleep
        self._http = http or open_http_session()
        self._trusted = TrustedDomains(settings.trusted_endpoint_domains)
        self._resend_unknown = settings.unknown_outcome == "Resend"
        self._alone: dict[str, AlonePace] = {}  # by account
        self.ledger = self.open_ledger()
        self.reporting = Reporting(metrics or InvocationMetrics(), service="segment_events", clock=clock)
        self.delivery = Delivery(
            connector_settings=ConnectorSettings(
                settings.connector_parameter_prefix, SSMProvider(boto3_client=clients.ssm)
            ),
            open_sender=self.open_sender,
            trusted=self._trusted,
            settling=Settling(
                source_queues=[
                    SourceQueue(settings.segment_events_queue_url, clients.sqs),
                    SourceQueue(settings.throttled_dead_letter_queue_url, clients.sqs),
                ],
                throttled=DeadLetterQueue(settings.throttled_dead_letter_queue_url, clients.sqs),
                rejected=DeadLetterQueue(settings.rejected_dead_letter_queue_url, clients.sqs),
                time_scale=settings.time_scale,
                clock=clock,
                jitter=jitter,
            ),
            reporting=self.reporting,
            maximum_age=settings.maximum_event_age_hours * 3600,
            in_flight=settings.requests_in_flight,
            clock=clock,
        )

    def open_ledger(self) -> Ledger:
        """Open the ledger that all senders share."""
        return Ledger(
            self._settings.delivery_table_name,
            self._clients.dynamodb,
            resend_unknown=self._resend_unknown,
            time_scale=self._settings.time_scale,
            clock=self._clock,
        )

    def open_pace(self, name: str, connector: Connector) -> RequestPace:
        """Open a connector's pace within its account's."""
        settings = self._settings
        table, dynamodb = settings.delivery_table_name, self._clients.dynamodb
        account = f"account#{account_id(connector)}"
        if account not in self._alone:
            self._alone[account] = AlonePace(
                environments=settings.maximum_concurrency + settings.replay_maximum_concurrency,
                time_scale=settings.time_scale,
                clock=self._clock,
                sleep=self._sleep,
            )
        alone = self._alone[account]

        def open_budget(owner: str) -> RequestBudget:
            return RequestBudget(
                table,
                owner,
                dynamodb,
                alone=alone,
                probe_seconds=_PROBE_SECONDS,
                time_scale=settings.time_scale,
                clock=self._clock,
                sleep=self._sleep,
            )

        return RequestPace(
            connector.requests_per_minute,
            limit=AccountLimit(table, account, dynamodb, clock=self._clock),
            account=open_budget(account),
            own=open_budget(f"pace#{name}"),
            alone=alone,
            clock=self._clock,
            sleep=self._sleep,
        )

    def open_session(self, name: str, connector: Connector) -> Session:
        """Open a connector's way to a token."""
        settings, clients = self._settings, self._clients
        return Session(
            name,
            connector,
            http=self._http,
            trusted=self._trusted,
            token_store=ParameterTokenStore(
                f"{settings.token_parameter_prefix}{name}", connector, clients.ssm, kms_key_id=settings.token_kms_key_id
            ),
            credentials=SecretCredentials(connector.credentials_secret_id, clients.secrets_manager),
            guard=TableLoginGuard(
                settings.delivery_table_name, connector.credentials_secret_id, clients.dynamodb, clock=self._clock
            ),
            observe_login=self.reporting.login_ended,
            time_scale=settings.time_scale,
            clock=self._clock,
            sleep=self._sleep,
        )

    def open_sender(self, name: str, connector: Connector) -> RequestSender:
        """Open a connector's sender."""
        return RequestSender(
            name,
            connector,
            http=self._http,
            session=self.open_session(name, connector),
            pace=self.open_pace(name, connector),
            ledger=self.ledger,
            resend_unknown=self._resend_unknown,
            clock=self._clock,
            sleep=self._sleep,
        )
