"""Entry point of ConnectorCheckFunction: which connectors in, a report out. By schedule and by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.clients import open_clients
from responsys_activation.connector_check.composition import compose_connector_check
from responsys_activation.connector_check.report import count_failures, log_checked, report_document
from responsys_activation.connector_check.request import read_check_request
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.settings import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

SERVICE = "connector_check"
SECONDS_TO_REPORT = 5.0

metrics = InvocationMetrics()
connector_check = compose_connector_check(
    read_settings(ConnectionSettings, os.environ), open_clients(), metrics=metrics
)


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check the connectors that the event names, or all."""
    deadline = time.time() + context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_REPORT
    request = read_check_request(event)
    # Only a check of all may raise or end the alarm.
    all_of_service = SERVICE if request.connectors is None else None
    try:
        checked = connector_check.check(
            request.connectors, deadline=deadline, forget_refused_login=request.forget_refused_login
        )
        log_checked(checked)
        count_failures(metrics, checked, all_of_service=all_of_service)
    except Exception:
        if all_of_service is not None:
            metrics.count("ConnectorCheckFailures", service=all_of_service)
        raise
    finally:
        metrics.flush()
    return report_document(checked)
