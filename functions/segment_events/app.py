"""Entry point of SegmentEventsFunction: an SQS event in, a partial batch response out."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.parameters import SSMProvider

from responsys_activation.aws.account_limit import AccountLimit
from responsys_activation.aws.connector_settings import ConnectorSettings
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.aws.ledger import Ledger
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.queues import DeadLetterQueue, SourceQueue
from responsys_activation.aws.request_budget import RequestBudget
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.connector import Connector
from responsys_activation.delivery import Delivery
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.reporting import Reporting
from responsys_activation.responsys.http import open_http_session
from responsys_activation.responsys.session import Session
from responsys_activation.sending import RequestSender
from responsys_activation.settings import Settings, read_settings
from responsys_activation.settling import Settling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext


def compose(settings: Settings) -> Delivery:
    """Put the real parts together."""
    sqs = boto3.client("sqs", config=CLIENT_CONFIG)
    ssm = boto3.client("ssm", config=CLIENT_CONFIG)
    secrets_manager = boto3.client("secretsmanager", config=CLIENT_CONFIG)
    dynamodb = boto3.client("dynamodb", config=CLIENT_CONFIG)
    http = open_http_session()
    trusted = TrustedDomains(settings.trusted_endpoint_domains)
    table = settings.delivery_table_name
    resend_unknown = settings.unknown_outcome == "Resend"
    ledger = Ledger(table, dynamodb, resend_unknown=resend_unknown, time_scale=settings.time_scale)
    reporting = Reporting(InvocationMetrics(), service="segment_events")

    def open_sender(name: str, connector: Connector) -> RequestSender:
        session = Session(
            name,
            connector,
            http=http,
            trusted=trusted,
            token_store=ParameterTokenStore(
                f"{settings.token_parameter_prefix}{name}", connector, ssm, kms_key_id=settings.token_kms_key_id
            ),
            credentials=SecretCredentials(connector.credentials_secret_id, secrets_manager),
            guard=TableLoginGuard(table, connector.credentials_secret_id, dynamodb),
            observe_login=reporting.login_ended,
            time_scale=settings.time_scale,
        )
        return RequestSender(
            name,
            connector,
            http=http,
            session=session,
            budget=RequestBudget(
                table,
                name,
                dynamodb,
                environments=settings.maximum_concurrency + settings.replay_maximum_concurrency,
                time_scale=settings.time_scale,
            ),
            account_limit=AccountLimit(table, name, dynamodb),
            ledger=ledger,
            resend_unknown=resend_unknown,
        )

    return Delivery(
        connector_settings=ConnectorSettings(settings.connector_parameter_prefix, SSMProvider(boto3_client=ssm)),
        open_sender=open_sender,
        trusted=trusted,
        settling=Settling(
            source_queues=[
                SourceQueue(settings.segment_events_queue_url, sqs),
                SourceQueue(settings.throttled_dead_letter_queue_url, sqs),
            ],
            throttled=DeadLetterQueue(settings.throttled_dead_letter_queue_url, sqs),
            rejected=DeadLetterQueue(settings.rejected_dead_letter_queue_url, sqs),
            time_scale=settings.time_scale,
        ),
        reporting=reporting,
        maximum_age=settings.maximum_event_age_hours * 3600,
        in_flight=settings.requests_in_flight,
    )


delivery = compose(read_settings(Settings, os.environ))

# What a batch makes lives until its end, without cycles: to collect in its midst would only read it again and again.
gc.freeze()
gc.set_threshold(200_000)


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Deliver one batch of membership messages."""
    return delivery.deliver(event["Records"], context.get_remaining_time_in_millis() / 1000)
