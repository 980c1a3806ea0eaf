"""Entry point of ConnectorCheckFunction: which connectors in, a report out. By schedule and by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import boto3

from responsys_activation.aws.connector_parameters import ConnectorParameters
from responsys_activation.aws.credentials import SecretCredentials
from responsys_activation.aws.faults import CLIENT_CONFIG
from responsys_activation.aws.login_guard import TableLoginGuard
from responsys_activation.aws.token_store import ParameterTokenStore
from responsys_activation.check_report import count_failures, log_checked, report_document
from responsys_activation.check_request import read_check_request
from responsys_activation.connector import Connector
from responsys_activation.connector_check import ConnectorCheck
from responsys_activation.endpoint import TrustedDomains
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.proving_login import NewTokensOnly
from responsys_activation.reporting import Reporting
from responsys_activation.responsys.http import open_http_session
from responsys_activation.responsys.login import Credentials
from responsys_activation.responsys.session import Session
from responsys_activation.settings import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = "connector_check"
SECONDS_TO_REPORT = 5.0

metrics = InvocationMetrics()


def compose(settings: ConnectionSettings) -> ConnectorCheck:
    """Put the real parts together."""
    ssm = boto3.client("ssm", config=CLIENT_CONFIG)
    secrets_manager = boto3.client("secretsmanager", config=CLIENT_CONFIG)
    dynamodb = boto3.client("dynamodb", config=CLIENT_CONFIG)
    http = open_http_session()
    trusted = TrustedDomains(settings.trusted_endpoint_domains)
    reporting = Reporting(metrics, service=SERVICE)

    def open_session(name: str, connector: Connector, credentials: Credentials) -> Session:
        store = ParameterTokenStore(
            f"{settings.token_parameter_prefix}{name}", connector, ssm, kms_key_id=settings.token_kms_key_id
        )
        return Session(
            name,
            connector,
            http=http,
            trusted=trusted,
            token_store=NewTokensOnly(store, since=time.time()),
            credentials=lambda: credentials,
            guard=TableLoginGuard(settings.delivery_table_name, connector.credentials_secret_id, dynamodb),
            observe_login=reporting.login_ended,
            time_scale=settings.time_scale,
        )

    return ConnectorCheck(
        parameters=ConnectorParameters(settings.connector_parameter_prefix, ssm),
        read_credentials=lambda secret_id: SecretCredentials(secret_id, secrets_manager),
        open_session=open_session,
        http=http,
        trusted=trusted,
    )


connector_check = compose(read_settings(ConnectionSettings, os.environ))


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check the connectors that the event names, or all."""
    deadline = time.time() + context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_REPORT
    names = read_check_request(event)
    # Only a check of all may raise or end the alarm.
    all_of_service = SERVICE if names is None else None
    try:
        checked = connector_check.check(names, deadline=deadline)
        log_checked(checked)
        count_failures(metrics, checked, all_of_service=all_of_service)
    except Exception:
        if all_of_service is not None:
            metrics.count("ConnectorCheckFailures", service=all_of_service)
        raise
    finally:
        metrics.flush()
    return report_document(checked)
