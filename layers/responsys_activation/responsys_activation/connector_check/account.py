"""Does the account have what the connector's settings name? Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from responsys_activation.aws.slots import account_requests_per_minute
from responsys_activation.connector import Connector
from responsys_activation.connector_check.findings import Check, CheckedConnector, suggestion
from responsys_activation.responsys.catalogue import KnownList

__all__ = ["compare_secrets", "compare_shares", "judge_event_names", "judge_profile_list", "judge_requests_per_minute"]

_SETTINGS_SHOWN = 5


def judge_profile_list(checked: CheckedConnector, connector: Connector, lists: frozenset[KnownList]) -> None:
    """Find fault with the list or its folder."""
    name, folder = connector.profile_list.name, connector.profile_list.folder
    folders = sorted(known.folder for known in lists if known.name == name)
    if not folders:
        names = {known.name for known in lists}
        absent = f"Responsys has no profile list {name}. {suggestion(name, names)} Correct profileList.name"
        checked.error(Check.PROFILE_LIST, "profileList.name", absent)
    elif folder and all(folders) and folder not in folders:
        elsewhere = f"the profile list {name} is not in the folder {folder} but in {' and '.join(folders)}"
        checked.error(Check.PROFILE_LIST, "profileList.folder", f"{elsewhere}. Set profileList.folder to that")
    elif not folder and len(folders) > 1:
        several = f"the profile list {name} is in {' and '.join(folders)}. Name the folder that is meant"
        checked.warn(Check.PROFILE_LIST, "profileList.folder", several)


def judge_event_names(checked: CheckedConnector, connector: Connector, known: frozenset[str]) -> None:
    """Find fault with events that the account does not have; each once, with every setting that names it."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    if connector.default_event_name is not None:
        wanted[connector.default_event_name].append("defaultEventName")
    for segment_id, event_name in connector.event_names.items():
        wanted[event_name].append(f"eventNames.{segment_id}")
    for event_name, settings in wanted.items():
        if event_name not in known:
            shown = ", ".join(settings[:_SETTINGS_SHOWN]) + (" and others" if len(settings) > _SETTINGS_SHOWN else "")
            checked.error(
                Check.EVENTS,
                shown,
                f"Responsys has no custom event {event_name}. {suggestion(event_name, known)} Correct the name, or "
                "define the custom event in Responsys",
            )


def judge_requests_per_minute(checked: CheckedConnector, connector: Connector) -> None:
    """Set what the connector will use of the account's limit, and warn where it wants more or that is a guess."""
    limit, wanted = checked.limits.events, connector.requests_per_minute
    of_account = max(1, int(account_requests_per_minute(limit, wanted)))
    checked.requests_per_minute = min(wanted or of_account, of_account)
    if limit is None and wanted is None:
        unknown = (
            f"the account's limit is not known, so at most {of_account} requests per minute are sent. Set it if the "
            "account allows more"
        )
        checked.warn(Check.LIMITS, "requestsPerMinute", unknown)
    if limit is not None and wanted is not None and wanted > limit:
        above = (
            f"{wanted} is above the account's limit of {limit} requests per minute, and no more than that are sent. "
            "Set it to the connector's share, or leave it out"
        )
        checked.warn(Check.LIMITS, "requestsPerMinute", above)


def compare_secrets(checked: Sequence[CheckedConnector]) -> None:
    """Warn of connectors that keep one user's password in several secrets: each is a wrong password to come."""
    users: defaultdict[tuple[str, str], list[CheckedConnector]] = defaultdict(list)
    for each in checked:
        if each.user:
            users[each.user].append(each)
    for sharing in users.values():
        for each in sharing:
            others = ", ".join(other.name for other in sharing if other.secret != each.secret)
            if others:
                each.warn(
                    Check.SECRET,
                    "credentialsSecretId",
                    f"the same user logs in with another secret for {others}. Use one secret for all of them: a wrong "
                    "password in one holds back the logins of the others",
                )


def compare_shares(checked: Sequence[CheckedConnector]) -> None:
    """Warn of secrets of one API user whose connectors may make more requests together than the user's account takes.

    Connectors with one login host and secret share limit, budget and pause, however much each wants; secrets do not.
    """
    users: defaultdict[tuple[str, str], list[CheckedConnector]] = defaultdict(list)
    for each in checked:
        if each.user and each.account and each.account_requests_per_minute and each.requests_per_minute:
            users[each.user].append(each)
    for of_user in users.values():
        limit = min(each.account_requests_per_minute or 0 for each in of_user)
        accounts: defaultdict[str | None, list[int]] = defaultdict(list)
        for each in of_user:
            accounts[each.account].append(each.requests_per_minute or 0)
        together = sum(
            min(sum(shares), int(account_requests_per_minute(limit, max(shares)))) for shares in accounts.values()
        )
        if together > limit:
            for each in of_user:
                others = ", ".join(other.name for other in of_user if other.account != each.account)
                each.warn(
                    Check.LIMITS,
                    "credentialsSecretId",
                    f"its API user is also that of {others}, with another secret. Requests under one secret are not "
                    f"counted under the other, so together they may send {together} requests per minute where the "
                    f"account allows {limit}. Use one secret for all connectors of a user",
                )
