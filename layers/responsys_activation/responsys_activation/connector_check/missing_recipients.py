"""Could recipients be created that the list does not have? Pure."""

from __future__ import annotations

from responsys_activation.aws.slots import account_requests_per_minute
from responsys_activation.connector import Connector
from responsys_activation.connector_check.findings import Check, CheckedConnector, why_not_merged
from responsys_activation.responsys.catalogue import KnownList, Limits
from responsys_activation.responsys.errors import RefusalScope, RequestRefusedError, ResponsysError

__all__ = ["judge_merge", "judge_merge_limit", "judge_merge_list"]

_NOT_FOR_THIS_USER = {401, 403}


def judge_merge_list(checked: CheckedConnector, connector: Connector, lists: frozenset[KnownList]) -> None:
    """Warn where a merge, which names no folder, could go to another list of the same name."""
    name = connector.profile_list.name
    folders = sorted(known.folder for known in lists if known.name == name)
    if len(folders) > 1:
        several = (
            f"recipients are created in a list by its name alone, and {' and '.join(folders)} both have a list {name}. "
            "Rename the one that is not meant"
        )
        checked.warn(Check.MISSING_RECIPIENTS, "missingRecipients", several)


def judge_merge(checked: CheckedConnector, connector: Connector, error: ResponsysError | None) -> None:
    """Find fault with what came of a merge that was tried.

    Parameters
    ----------
    error : ResponsysError or None
        One about the record that was tried is none: Responsys let the user get as far as that.
    """
    about_the_record = (
        isinstance(error, RequestRefusedError)
        and error.scope in {RefusalScope.RECIPIENTS, RefusalScope.REQUEST}
        and error.status not in _NOT_FOR_THIS_USER
    )
    if error is not None and not about_the_record:
        checked.error(
            Check.MISSING_RECIPIENTS, "missingRecipients.action", why_not_merged(error, connector.profile_list.name)
        )


def judge_merge_limit(checked: CheckedConnector, limits: Limits) -> None:
    """Warn where the account does not say how many merges it takes."""
    if limits.list_merges is None:
        at_most = int(account_requests_per_minute(None, None))
        unknown = f"the account's limit for list merges is not known, so at most {at_most} per minute are made"
        checked.warn(Check.MISSING_RECIPIENTS, "missingRecipients", unknown)
