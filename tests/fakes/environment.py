"""What does the function compose, with AWS and Responsys in memory? One execution environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aws_lambda_powertools.utilities.parameters import SSMProvider

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.connector_settings import ConnectorSettings
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.queues import DeadLetterQueue, SourceQueue
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import Connector
from responsys_activation.delivery import Delivery
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.observability import InvocationMetrics
from responsys_activation.reporting import Reporting
from responsys_activation.responsys.session import Session
from responsys_activation.sending import RequestSender
from responsys_activation.settling import Settling
from tests.fakes.dynamodb import InMemoryDynamoDb
from tests.fakes.parameters import InMemoryParameters, InMemorySecrets
from tests.fakes.responsys import FakeResponsys

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/"
CONNECTOR_PREFIX = "/stack/connectors/"


@dataclass
class Surroundings:
    """What environments share.

    Attributes
    ----------
    responsys : Mapping of str to FakeResponsys
        The account of each connector.
    sqs : Any
        A client; messages come from ``segment-events`` and ``throttled``, and go to ``throttled`` and ``rejected``.
    """

    ssm: InMemoryParameters
    secrets: InMemorySecrets
    sqs: Any
    responsys: Mapping[str, FakeResponsys]
    table: InMemoryDynamoDb = field(default_factory=InMemoryDynamoDb)


class Environment:
    """One environment: composed as ``functions/segment_events/app.py`` does it.

    Parameters
    ----------
    new_ledger : callable
        Makes the ledger, given what :class:`Ledger` takes.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        resend: bool = True,
        in_flight: int = 4,
        environments: int = 2,
        metrics: InvocationMetrics | None = None,
        new_ledger: Callable[..., Ledger] = Ledger,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._around = around
        self._table: Any = around.table
        self._waits: Any = {"clock": clock, "sleep": sleep}
        self._clock = clock
        self._resend = resend
        self._environments = environments
        self._trusted = TrustedDomains(("responsys.net",))
        self.ledger = new_ledger("delivery", self._table, resend_unknown=resend, clock=clock)
        self.reporting = Reporting(metrics or InvocationMetrics(), service="segment_events", clock=clock)
        ssm = cast("Any", around.ssm)
        self.delivery = Delivery(
            connector_settings=ConnectorSettings(CONNECTOR_PREFIX, SSMProvider(boto3_client=ssm)),
            open_sender=self.open_sender,
            trusted=self._trusted,
            settling=Settling(
                source_queues=[
                    SourceQueue(f"{QUEUE_URL}{name}", around.sqs) for name in ("segment-events", "throttled")
                ],
                throttled=DeadLetterQueue(f"{QUEUE_URL}throttled", around.sqs),
                rejected=DeadLetterQueue(f"{QUEUE_URL}rejected", around.sqs),
                clock=clock,
                jitter=jitter,
            ),
            reporting=self.reporting,
            maximum_age=86_400.0,
            in_flight=in_flight,
            clock=clock,
        )

    def budget(self, name: str = "default") -> RequestBudget:
        """Give a connector's budget."""
        return RequestBudget("delivery", name, self._table, environments=self._environments, **self._waits)

    def open_sender(self, name: str, connector: Connector) -> RequestSender:
        """Open a connector's sender."""
        http = self._around.responsys[name].session()
        session = Session(
            name,
            connector,
            http=http,
            trusted=self._trusted,
            token_store=ParameterTokenStore(f"/stack/tokens/{name}", connector, cast("Any", self._around.ssm)),
            credentials=SecretCredentials(connector.credentials_secret_id, cast("Any", self._around.secrets)),
            guard=TableLoginGuard("delivery", name, self._table, clock=self._clock),
            observe_login=self.reporting.login_ended,
            **self._waits,
        )
        return RequestSender(
            name,
            connector,
            http=http,
            session=session,
            budget=self.budget(name),
            account_limit=AccountLimit("delivery", name, self._table, clock=self._clock),
            ledger=self.ledger,
            resend_unknown=self._resend,
            **self._waits,
        )
