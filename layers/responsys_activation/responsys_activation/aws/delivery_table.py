"""What is in the delivery table?

==========================  ==================  ================================================  =======
``pk``                      ``sk``              item                                              expires
==========================  ==================  ================================================  =======
hash of a membership        hash of a change    the change's claim, by one request                14 days
``request#{request id}``    ``answer``          what became of that request's changes             21 days
``account#{account id}``    ``budget``          when the account's next request may go; its       never
                                                pause
``pace#{connector}``        ``budget``          the same of a connector slower than its account   never
``account#{account id}``    ``limit``           the requests per minute that the account named    never
                                                and what it gave us of them at the last refusal
``merges#{account id}``     ``budget``          when the account's next list merge may go         never
``merges#{account id}``     ``limit``           the list merges per minute that it named          never
``newcomer#{hash}``         ``newcomer``        who adds a recipient to a profile list            a day
``login#{hash}``            ``login``           lease and memory of a user's logins at one host   never
==========================  ==================  ================================================  =======

Claims and answers: :mod:`~responsys_activation.aws.ledger`. Budgets: :mod:`~responsys_activation.aws.request_budget`.
Limits: :mod:`~responsys_activation.aws.account_limit`. Newcomers: :mod:`~responsys_activation.aws.newcomers`. Logins:
:mod:`~responsys_activation.aws.login_guard`. Nothing of it names a person: what could is hashed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from responsys_activation.aws.faults import AwsCallError, aws_call, error_code
from responsys_activation.change import Change

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import BatchStatementRequestTypeDef

__all__ = [
    "ANSWER_KEPT_SECONDS",
    "ATTEMPTS",
    "CLAIM_KEPT_SECONDS",
    "STATEMENTS",
    "DeliveryTable",
    "Item",
    "Key",
    "Updated",
    "account_budget_key",
    "account_limit_key",
    "answer_key",
    "chunks",
    "claim_key",
    "connector_budget_key",
    "login_key",
    "merge_budget_key",
    "merge_limit_key",
    "newcomer_key",
    "number",
]

Each = TypeVar("Each")
Item = Mapping[str, Any]  # as DynamoDB writes it: every value with its type

# Until ``expiresAt``, the table's TTL attribute.
CLAIM_KEPT_SECONDS = 14 * 86_400
# DynamoDB deletes expired items within days, in no order: a claim that outlived its answer would look abandoned.
ANSWER_KEPT_SECONDS = CLAIM_KEPT_SECONDS + 7 * 86_400

ATTEMPTS = 4  # at what DynamoDB answered, but did not do
_FIRST_WAIT = 0.2  # seconds at most before the second attempt; doubled at each further one
_MOST_KEYS = 100  # of one BatchGetItem
STATEMENTS = 25  # DynamoDB's most for one BatchExecuteStatement


class Key(NamedTuple):
    """An item's key."""

    pk: str
    sk: str

    def attributes(self) -> dict[str, Any]:
        """Write it as DynamoDB does."""
        return {"pk": {"S": self.pk}, "sk": {"S": self.sk}}


def claim_key(change: Change) -> Key:
    """Return the key of a change's claim; the claims of one membership share a partition."""
    return Key(change.membership, change.key)


def answer_key(request_id: str) -> Key:
    """Return the key of what became of a request."""
    return Key(f"request#{request_id}", "answer")


def account_budget_key(account: str) -> Key:
    """Return the key of an account's budget, by the account's id."""
    return Key(f"account#{account}", "budget")


def connector_budget_key(connector: str) -> Key:
    """Return the key of the budget of a connector with a pace of its own."""
    return Key(f"pace#{connector}", "budget")


def account_limit_key(account: str) -> Key:
    """Return the key of an account's limit."""
    return Key(f"account#{account}", "limit")


def merge_budget_key(account: str) -> Key:
    """Return the key of the budget of an account's list merges."""
    return Key(f"merges#{account}", "budget")


def merge_limit_key(account: str) -> Key:
    """Return the key of the limit of an account's list merges."""
    return Key(f"merges#{account}", "limit")


def newcomer_key(account: str, list_name: str, column: str, value: str) -> Key:
    """Return the key of somebody who is to be added to a list: the same for all values that mean the same member."""
    whom = f"{len(account)},{len(list_name)},{account}{list_name}{column}{value}"
    digest = blake2b(whom.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return Key(f"newcomer#{digest}", "newcomer")


def login_key(host: str, user: str) -> Key:
    """Return the key of a user's logins at a host."""
    digest = blake2b(f"{host}\n{user}".encode(), digest_size=16).hexdigest()
    return Key(f"login#{digest}", "login")


def number(value: float) -> dict[str, str]:
    """Write a number for DynamoDB."""
    # Microseconds: a slot of 2,000 requests per minute is 32 ms wide, and far less on a faster local clock.
    return {"N": f"{value:.6f}"}


class Updated(NamedTuple):
    """What an update came to.

    Attributes
    ----------
    done : bool
        Whether its condition held.
    before : Item
        The attributes that it replaced; the whole item as it stands, if the condition failed.
    """

    done: bool
    before: Item


class DeliveryTable:
    """The table's calls. Each is told what it is for, and says so in its fault; each raises ``AwsCallError``."""

    def __init__(self, name: str, client: DynamoDBClient, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._client = client
        self._sleep = sleep

    def update(
        self, what: str, key: Key, changes: str, *, condition: str = "", values: dict[str, Any] | None = None
    ) -> Updated:
        """Change an item, if the condition holds; only with one the answer tells what was there before."""
        request: dict[str, Any] = {"TableName": self.name, "Key": key.attributes(), "UpdateExpression": changes}
        if values:
            request["ExpressionAttributeValues"] = values
        if condition:
            request["ConditionExpression"] = condition
            request["ReturnValues"] = "UPDATED_OLD"
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        with aws_call(f"DynamoDB {what}"):
            try:
                answer = self._client.update_item(**request)
            except ClientError as exc:
                if error_code(exc) != "ConditionalCheckFailedException":
                    raise
                item: Any = exc.response.get("Item", {})
                return Updated(False, item)
        return Updated(True, answer.get("Attributes", {}))

    def read(self, what: str, key: Key, *, consistent: bool = False) -> Item:
        """Read an item; empty where there is none."""
        with aws_call(f"DynamoDB {what}"):
            answer = self._client.get_item(TableName=self.name, Key=key.attributes(), ConsistentRead=consistent)
        return answer.get("Item", {})

    def read_all(self, what: str, keys: Sequence[Key]) -> dict[Key, Item]:
        """Read those items that there are, strongly consistent."""
        items: dict[Key, Item] = {}
        for chunk in chunks(keys, _MOST_KEYS):
            left = [key.attributes() for key in chunk]
            for attempt in range(ATTEMPTS):
                if attempt:
                    self.wait_before(attempt)
                with aws_call(f"DynamoDB {what}"):
                    reply = self._client.batch_get_item(
                        RequestItems={self.name: {"Keys": left, "ConsistentRead": True}}
                    )
                for item in reply["Responses"].get(self.name, []):
                    items[Key(item["pk"]["S"], item["sk"]["S"])] = item
                unprocessed: Any = reply.get("UnprocessedKeys", {})
                left = list(unprocessed.get(self.name, {}).get("Keys", []))
                if not left:
                    break
            if left:
                raise AwsCallError(f"DynamoDB {what}: unprocessed keys")
        return items

    def read_partition(self, what: str, pk: str) -> list[Item]:
        """Read all items of a partition, strongly consistent."""
        items: list[Item] = []
        start: dict[str, Any] = {}
        while True:
            with aws_call(f"DynamoDB {what}"):
                page = self._client.query(
                    TableName=self.name,
                    KeyConditionExpression="pk = :pk",
                    ExpressionAttributeValues={":pk": {"S": pk}},
                    ConsistentRead=True,
                    **start,
                )
            items += page["Items"]
            if not (last := page.get("LastEvaluatedKey")):
                return items
            start = {"ExclusiveStartKey": last}

    def write(self, what: str, key: Key, attributes: Item) -> None:
        """Write an item, whatever was there."""
        with aws_call(f"DynamoDB {what}"):
            self._client.put_item(TableName=self.name, Item=key.attributes() | dict(attributes))

    def execute(self, what: str, statements: Sequence[BatchStatementRequestTypeDef]) -> list[str | None]:
        """Execute up to 25 statements, each for itself; give each one's error code, ``None`` if it was done."""
        with aws_call(f"DynamoDB {what}"):
            responses = self._client.batch_execute_statement(Statements=statements)["Responses"]
        return [response["Error"].get("Code", "") if "Error" in response else None for response in responses]

    def wait_before(self, attempt: int) -> None:
        """Ask less often, from the second attempt (number 1) on, for what DynamoDB did not do."""
        longest = _FIRST_WAIT * 2 ** (attempt - 1)
        self._sleep(longest * random.uniform(0.25, 1.0))  # noqa: S311 - spreads, hides nothing


def chunks(items: Sequence[Each], size: int) -> Iterator[Sequence[Each]]:
    """Cut into runs of at most so many."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
