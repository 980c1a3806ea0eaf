"""What becomes of a message whose recipient the profile list does not have? As its connector's settings say. Pure."""

from __future__ import annotations

from responsys_activation.connector import Connector, IdentifierType, MissingAction
from responsys_activation.delivery.outcome import Outcome, Rejected, Throttled
from responsys_activation.recipient import find_match_value
from responsys_activation.upstream.addressing import addressed
from responsys_activation.upstream.memberships import Part

__all__ = ["BEING_CREATED", "NO_RECIPIENT_FOUND", "match_value", "outcome_of_missing"]

NO_RECIPIENT_FOUND = "NO_RECIPIENT_FOUND"
_LIST_LOAD_SECONDS = 900.0  # SQS's longest delay: a nightly load is hours away
_CREATION_SECONDS = 60.0

_REJECTED = Rejected(NO_RECIPIENT_FOUND)
_WAITS = Throttled(
    NO_RECIPIENT_FOUND,
    _LIST_LOAD_SECONDS,
    reason="the profile list has no such recipient yet: it is tried again every 15 minutes, as missingRecipients says",
)
BEING_CREATED = Throttled(
    NO_RECIPIENT_FOUND,
    _CREATION_SECONDS,
    reason="the profile list has no such recipient yet: it is created, as missingRecipients says, or was a moment ago",
)


def outcome_of_missing(action: MissingAction, *, may_create: bool) -> Outcome:
    """Return how a message ends whose recipient is not in the list, if nothing more comes of it in this batch.

    Parameters
    ----------
    may_create : bool
        Whether somebody may be created for its sake, where the settings create.
    """
    match action:
        case MissingAction.WAIT:
            return _WAITS
        case MissingAction.CREATE if may_create:
            return BEING_CREATED
        case _:
            return _REJECTED


def match_value(part: Part, name: str, connector: Connector) -> tuple[str, str]:
    """Find by which value a membership's recipient could be created, as :func:`find_match_value` does.

    Parameters
    ----------
    name : str
        The connector's.
    """
    chosen = addressed(part, name, connector).identifiers
    # Where ``identifierFrom`` leads to a hash, the address that it is the hash of is where it always is.
    given = part.membership.identifiers.items()
    clear = {each: value for each, value in given if each.upper() == IdentifierType.EMAIL}
    return find_match_value(clear | dict(chosen), connector.identifier_type)
