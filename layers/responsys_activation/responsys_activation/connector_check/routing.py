"""Which audiences does a connector take, and do its settings mean what they say of them and of variables? Pure."""

from __future__ import annotations

from collections import defaultdict

from responsys_activation.connector import Connector
from responsys_activation.connector_check.findings import Check, CheckedConnector

__all__ = ["judge_audiences", "judge_variables"]


def judge_audiences(checked: CheckedConnector, connector: Connector) -> None:
    """Note which audiences and journeys the connector takes, and warn of one that two names match."""
    checked.audiences = dict(connector.event_names)
    checked.other_audiences = connector.default_event_name
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in connector.event_names:
        alike[name.strip().casefold()].append(name)
    for names in alike.values():
        if len(names) > 1:
            quoted = " and ".join(f'"{name}"' for name in names)
            several = (
                f"{quoted} are one name but for blanks or letter case, which count. Leave the one that upstream writes"
            )
            checked.warn(Check.EVENTS, "eventNames", several)
    if not connector.event_names and connector.default_event_name is None:
        nothing = (
            "neither this nor eventNames is set, so every message must name its event in eventName, and nothing of a "
            "platform comes here"
        )
        checked.warn(Check.EVENTS, "defaultEventName", nothing)


def judge_variables(checked: CheckedConnector, connector: Connector) -> None:
    """Warn of names that two variables get, or that stand for something else already."""
    for name in connector.colliding_renames:
        taken = (
            f"{name} is the name of another variable or of a property that is always sent, and Responsys gets only one "
            "of them, whatever their letter case. Choose another name"
        )
        checked.warn(Check.SETTINGS, "variables.rename", taken)
