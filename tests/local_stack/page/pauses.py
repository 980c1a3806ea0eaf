"""Which accounts send nothing at the moment, and until when? Read where the function keeps it: the delivery table."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from responsys_activation.account import account_id
from responsys_activation.aws.connectors import ConnectorParameter
from responsys_activation.aws.delivery_table import Key, account_budget_key
from responsys_activation.aws.pace import read_budget_item
from responsys_activation.connector import InvalidConnectorError, read_connector


def budgets(parameters: Mapping[str, ConnectorParameter]) -> dict[Key, list[str]]:
    """Return the key of each account's budget, and the connectors that share it."""
    shared: dict[Key, list[str]] = defaultdict(list)
    for name, parameter in parameters.items():
        try:
            connector = read_connector(parameter.text)
        except InvalidConnectorError:
            continue  # it sends nothing, and its messages are rejected with what is wrong
        shared[account_budget_key(account_id(connector))].append(name)
    return dict(shared)


def pause_of(connectors: list[str], item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the pause in a budget's item: `connectors`, `code`, `since`, `until` in epoch milliseconds, `probing`."""
    pause = read_budget_item(dict(item)).pause
    if pause is None:
        return None
    return {
        "connectors": connectors,
        "code": pause.code,
        "since": round(pause.since * 1000),
        "until": round(pause.until * 1000),
        "probing": pause.probing,
    }
