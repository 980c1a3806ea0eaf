"""What becomes of each recipient of a well-formed request?

The profile list comes first, then repetitions within the request, then the look-up of the recipient.
"""

from collections import Counter
from hashlib import blake2b
from typing import NamedTuple

from tests.simulator.event_request import Identifier, RecipientData
from tests.simulator.list_members import ListMembers
from tests.simulator.settings import AccountSettings, ProfileList, Recipients

UNKNOWN_RECIPIENT_ID = -1
NOBODY = Identifier("", "")
NOT_FOUND = "NO_RECIPIENT_FOUND: Recipient Not Found"


class RecipientResult(NamedTuple):
    """What Responsys found out about one recipient; no `error_message`: the event is accepted."""

    identifier: Identifier
    recipient_id: int
    error_message: str | None = None

    @property
    def code(self) -> str:
        """The code at the start of the error message."""
        return (self.error_message or "").partition(":")[0]


class Judgement(NamedTuple):
    """What Responsys thinks of a request.

    Attributes
    ----------
    results : list of RecipientResult
        One for each record, in order.
    recipient_keys : set of str
        The different recipients of the request.
    warnings : Counter of str
        What Responsys lets pass although it may process wrong data.
    """

    results: list[RecipientResult]
    recipient_keys: set[str]
    warnings: Counter[str]


def judge(records: list[RecipientData], account: AccountSettings, members: ListMembers) -> Judgement:
    """Decide on each recipient of a request."""
    warnings: Counter[str] = Counter()
    occurrences: Counter[str] = Counter()
    identifiers: list[Identifier] = []
    for record in records:
        given = record.recipient.identifiers()
        identifiers.append(given[0] if given else NOBODY)
        if given:
            occurrences[given[0].key] += 1
        if len(given) > 1:
            warnings["several identifiers: " + ", ".join(identifier.kind for identifier in given)] += 1
        for entry in record.properties:
            # A trailing underscore marks a system column: EMAIL_ADDRESS_, RIID_, ...
            if entry["name"].endswith("_"):
                warnings[f"system column name: {entry['name']}"] += 1

    results = []
    for record, identifier in zip(records, identifiers, strict=True):
        duplicate = occurrences[identifier.key] > 1 or _repeats_a_name(record)
        list_name = record.recipient.list_name
        newcomer = members.find(account.username, (list_name and list_name.object_name) or "", identifier)
        if newcomer is None:
            unfound = _look_up_error(identifier, account.recipients)
        else:
            unfound = NOT_FOUND if members.hidden(newcomer, identifier, account.newcomers) else None
        error = _list_error(record, account.lists) or ("MULTIPLE_RECIPIENTS_FOUND" if duplicate else None) or unfound
        found = newcomer.recipient_id if newcomer else None
        recipient_id = UNKNOWN_RECIPIENT_ID if error else found or stable_recipient_id(identifier)
        results.append(RecipientResult(identifier, recipient_id, error))
    return Judgement(results, set(occurrences), warnings)


def stable_recipient_id(identifier: Identifier) -> int:
    """Return the RIID of a recipient: always the same ten digits for the same identifier."""
    if identifier.kind == "recipientId":
        return int(identifier.value)
    digest = blake2b(identifier.key.encode(), digest_size=8).digest()
    return 1_000_000_000 + int.from_bytes(digest) % 9_000_000_000


def _list_error(record: RecipientData, lists: tuple[ProfileList, ...]) -> str | None:
    wanted = record.recipient.list_name
    folders = [known.folder for known in lists if wanted is not None and known.name == wanted.object_name]
    if wanted is None or not folders:
        return "PROFILE_LIST_NOT_FOUND"
    if wanted.folder_name is not None and wanted.folder_name not in folders:
        return "PROFILE_LIST_NOT_FOUND_IN_FOLDER"
    return None


def _look_up_error(identifier: Identifier, recipients: Recipients) -> str | None:
    value = identifier.value
    nobody = not value.strip() or (identifier.kind == "recipientId" and int(value) <= 0)
    if nobody or recipients.unknown.holds(value):
        return NOT_FOUND
    if recipients.ambiguous.holds(value):
        return "MULTIPLE_RECIPIENTS_FOUND"
    if recipients.undeliverable.holds(value):
        return "RECIPIENT_STATUS_UNDELIVERABLE: Recipient deliverability status is undeliverable"
    if recipients.failing.holds(value):
        return recipients.failure_text
    return None


def _repeats_a_name(record: RecipientData) -> bool:
    names = {entry["name"].casefold() for entry in record.properties}
    return len(names) < len(record.properties)
