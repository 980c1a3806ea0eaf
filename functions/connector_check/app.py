"""Entry point of ConnectorCheckFunction: which connectors in, a report out. By schedule and by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from responsys_activation.aws.clients import open_clients
from responsys_activation.connector_check.composition import compose_connector_check
from responsys_activation.observability import logger
from responsys_activation.settings import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

connector_check = compose_connector_check(read_settings(ConnectionSettings, os.environ), open_clients())


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check the connectors that the event names, or all."""
    return connector_check.run(event, time.time() + context.get_remaining_time_in_millis() / 1000)
