"""What would DynamoDB answer? A client in memory for exactly the calls and expressions that the package uses.

Safe to use from several threads. It fails where it is told to: before a call takes effect, or after.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]
Condition = Callable[[Item], bool]

_TOKEN = re.compile(r"\s*(?:(<=|>=|<>|[=<>(),+-])|(:?[A-Za-z_][A-Za-z0-9_]*))")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
}


def client_error(code: str, operation: str, message: str = "", **response: Any) -> ClientError:
    """Give the error that boto3 would raise."""
    answer: Any = {"Error": {"Code": code, "Message": message}, **response}
    return ClientError(answer, operation)


@dataclass
class Failure:
    """Calls that fail.

    Attributes
    ----------
    after : bool
        Whether the call takes effect all the same, as when only its reply is lost.
    """

    operation: str
    times: float
    after: bool
    error: Exception


class InMemoryDynamoDb:
    """One table with keys ``pk`` and ``sk``.

    Attributes
    ----------
    before, after : callable
        Called with the operation's name before and after each call takes effect; what they raise, the caller gets.
    calls : Counter
        How often each operation was called.
    unprocessed : int
        How many keys the next BatchGetItem leaves to another call.
    """

    def __init__(self, table: str = "delivery") -> None:
        self.table = table
        self.items: dict[tuple[str, str], Item] = {}
        self.before: Callable[[str], None] = lambda operation: None
        self.after: Callable[[str], None] = lambda operation: None
        self.calls: Counter[str] = Counter()
        self.unprocessed = 0
        self._failures: list[Failure] = []
        self._lock = threading.Lock()

    def fail(self, operation: str, times: float = 1, *, after: bool = False, error: Exception | None = None) -> Failure:
        """Let the next calls of an operation (``*``: of any) fail."""
        error = error or client_error("InternalServerError", operation)
        failure = Failure(operation, times, after, error)
        self._failures.append(failure)
        return failure

    def get_item(self, **request: Any) -> dict[str, Any]:
        _expect(request, "GetItem", {"TableName", "Key"}, {"ConsistentRead"})
        return self._call("GetItem", lambda: self._get(request))

    def put_item(self, **request: Any) -> dict[str, Any]:
        _expect(request, "PutItem", {"TableName", "Item"})
        return self._call("PutItem", lambda: self._put(request))

    def update_item(self, **request: Any) -> dict[str, Any]:
        _expect(
            request,
            "UpdateItem",
            {"TableName", "Key", "UpdateExpression"},
            {
                "ConditionExpression",
                "ExpressionAttributeValues",
                "ReturnValues",
                "ReturnValuesOnConditionCheckFailure",
            },
        )
        return self._call("UpdateItem", lambda: self._update(request))

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        _expect(request, "BatchGetItem", {"RequestItems"})
        return self._call("BatchGetItem", lambda: self._batch_get(request))

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        _expect(request, "TransactWriteItems", {"TransactItems"})
        return self._call("TransactWriteItems", lambda: self._transact(request["TransactItems"]))

    def _call(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        with self._lock:
            self.calls[operation] += 1
            failure = next((each for each in self._failures if each.operation in {operation, "*"}), None)
            if failure:
                failure.times -= 1
                if failure.times <= 0:
                    self._failures.remove(failure)
        self.before(operation)
        if failure and not failure.after:
            raise failure.error
        with self._lock:
            answer = effect()
        self.after(operation)
        if failure:
            raise failure.error
        return answer

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        self._check_table(request["TableName"], "GetItem")
        item = self.items.get(_key(request["Key"], "GetItem"))
        return {"Item": _copy(item)} if item is not None else {}

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        self._check_table(request["TableName"], "PutItem")
        _check_item(request["Item"], "PutItem")
        self.items[_key(request["Item"], "PutItem", exact=False)] = _copy(request["Item"])
        return {}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        self._check_table(request["TableName"], "UpdateItem")
        values = request.get("ExpressionAttributeValues", {})
        update = _Expression(request["UpdateExpression"], values, "UpdateItem")
        changes, removals = update.update()
        condition, used = _condition(request, values, "UpdateItem")
        _check_used(values, update.used | used, "UpdateItem")
        key = _key(request["Key"], "UpdateItem")
        stored = self.items.get(key)
        old = stored or {}
        if not condition(old):
            raise _condition_failed(request, stored)
        new = _copy(old) | _copy(request["Key"])
        for name, value in changes.items():
            new[name] = value(old)
        for name in removals:
            new.pop(name, None)
        self.items[key] = new
        if request.get("ReturnValues") != "UPDATED_OLD":
            return {}
        attributes = {name: old[name] for name in [*changes, *removals] if name in old}
        return {"Attributes": attributes} if attributes else {}

    def _batch_get(self, request: dict[str, Any]) -> dict[str, Any]:
        (table, content), *others = request["RequestItems"].items()
        if others:
            raise NotImplementedError("the package reads one table")
        self._check_table(table, "BatchGetItem")
        keys = content["Keys"]
        named = [_key(key, "BatchGetItem") for key in keys]
        if not 1 <= len(keys) <= 100 or len(set(named)) != len(named):
            raise client_error("ValidationException", "BatchGetItem", "1 to 100 different keys")
        processed = max(1, len(keys) - self.unprocessed)
        self.unprocessed = 0
        found = [_copy(self.items[key]) for key in named[:processed] if key in self.items]
        left = {table: content | {"Keys": keys[processed:]}} if keys[processed:] else {}
        return {"Responses": {table: found}, "UnprocessedKeys": left}

    def _transact(self, writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        puts = [write["Put"] for write in writes]
        operation = "TransactWriteItems"
        for put in puts:
            _expect(
                put,
                "Put",
                {"TableName", "Item"},
                {"ConditionExpression", "ExpressionAttributeValues", "ReturnValuesOnConditionCheckFailure"},
            )
            self._check_table(put["TableName"], operation)
            _check_item(put["Item"], operation)
        keys = [_key(put["Item"], operation, exact=False) for put in puts]
        if not 1 <= len(keys) <= 100 or len(set(keys)) != len(keys):
            raise client_error("ValidationException", operation, "1 to 100 different items")
        reasons = [self._reason(put, self.items.get(key)) for put, key in zip(puts, keys, strict=True)]
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise client_error(
                "TransactionCanceledException",
                operation,
                f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
                CancellationReasons=reasons,
            )
        for put, key in zip(puts, keys, strict=True):
            self.items[key] = _copy(put["Item"])
        return {}

    @staticmethod
    def _reason(put: dict[str, Any], stored: Item | None) -> dict[str, Any]:
        values = put.get("ExpressionAttributeValues", {})
        condition, used = _condition(put, values, "TransactWriteItems")
        _check_used(values, used, "TransactWriteItems")
        if condition(stored or {}):
            return {"Code": "None"}
        reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        if put.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and stored is not None:
            return reason | {"Item": _copy(stored)}
        return reason

    def _check_table(self, table: str, operation: str) -> None:
        if table != self.table:
            raise client_error("ResourceNotFoundException", operation, "Requested resource not found")


class _Expression:
    """A reader of the condition and update expressions that the package writes."""

    def __init__(self, text: str, values: Item, operation: str) -> None:
        self._values = values
        self._operation = operation
        self.used: set[str] = set()
        self._tokens = [match[1] or match[2] for match in _TOKEN.finditer(text)]
        if "".join(self._tokens) != re.sub(r"\s+", "", text):
            raise NotImplementedError(text)
        self._next = 0

    def condition(self) -> Condition:
        condition = self._any()
        if self._next != len(self._tokens):
            raise self._invalid()
        return condition

    def update(self) -> tuple[dict[str, Callable[[Item], dict[str, Any]]], list[str]]:
        changes: dict[str, Callable[[Item], dict[str, Any]]] = {}
        removals: list[str] = []
        while self._next < len(self._tokens):
            clause = self._take()
            while True:
                name = self._take()
                if clause == "SET":
                    self._take("=")
                    changes[name] = self._sum()
                elif clause == "REMOVE":
                    removals.append(name)
                else:
                    raise self._invalid()
                if not self._follows(","):
                    break
        return changes, removals

    def _any(self) -> Condition:
        conditions = [self._all()]
        while self._follows("OR"):
            conditions.append(self._all())
        return lambda item: any(condition(item) for condition in conditions)

    def _all(self) -> Condition:
        conditions = [self._one()]
        while self._follows("AND"):
            conditions.append(self._one())
        return lambda item: all(condition(item) for condition in conditions)

    def _one(self) -> Condition:
        if self._follows("("):
            inner = self._any()
            self._take(")")
            return inner
        name = self._take()
        if name == "attribute_not_exists":
            self._take("(")
            name = self._take()
            self._take(")")
            return lambda item: name not in item
        if self._follows("BETWEEN"):
            low = self._value()
            self._take("AND")
            high = self._value()
            return lambda item: _holds(item.get(name), "<=", high) and _holds(low, "<=", item.get(name))
        comparison = self._take()
        value = self._value()
        return lambda item: _holds(item.get(name), comparison, value)

    def _sum(self) -> Callable[[Item], dict[str, Any]]:
        first = self._take()
        if first == "if_not_exists":
            self._take("(")
            name = self._take()
            self._take(",")
            default = self._value()
            self._take(")")
            return lambda item: item.get(name, default)
        if first.startswith(":"):
            value = self._named(first)
            return lambda item: value
        self._take("+")
        addend = self._value()

        def total(item: Item) -> dict[str, Any]:
            if first not in item:
                raise client_error(
                    "ValidationException", self._operation, "refers to an attribute that does not exist in the item"
                )
            return {"N": str(Decimal(item[first]["N"]) + Decimal(addend["N"]))}

        return total

    def _value(self) -> dict[str, Any]:
        return self._named(self._take())

    def _named(self, name: str) -> dict[str, Any]:
        self.used.add(name)
        if name not in self._values:
            raise self._invalid()
        return self._values[name]

    def _take(self, expected: str = "") -> str:
        if self._next >= len(self._tokens) or (expected and self._tokens[self._next] != expected):
            raise self._invalid()
        self._next += 1
        return self._tokens[self._next - 1]

    def _follows(self, token: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next] == token:
            self._next += 1
            return True
        return False

    def _invalid(self) -> ClientError:
        return client_error("ValidationException", self._operation, "Invalid expression")


def _condition(request: dict[str, Any], values: Item, operation: str) -> tuple[Condition, set[str]]:
    if "ConditionExpression" not in request:
        return (lambda item: True), set()
    expression = _Expression(request["ConditionExpression"], values, operation)
    return expression.condition(), expression.used


def _condition_failed(request: dict[str, Any], stored: Item | None) -> ClientError:
    wants_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return client_error(
        "ConditionalCheckFailedException",
        "UpdateItem",
        "The conditional request failed",
        **({"Item": _copy(stored)} if wants_item and stored is not None else {}),
    )


def _holds(left: dict[str, Any] | None, comparison: str, right: dict[str, Any] | None) -> bool:
    """Compare as DynamoDB does: what is missing or of another type never holds."""
    if left is None or right is None or left.keys() != right.keys():
        return False
    return _COMPARISONS[comparison](_comparable(left), _comparable(right))


def _comparable(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    return Decimal(content) if kind == "N" else content


def _copy(item: Item) -> Item:
    return {name: dict(value) for name, value in item.items()}


def _check_item(item: Item, operation: str) -> None:
    for value in item.values():
        ((kind, content),) = value.items()
        if kind == "NS" and not content:
            raise client_error("ValidationException", operation, "An number set may not be empty")


def _check_used(values: Item, used: set[str], operation: str) -> None:
    if unused := values.keys() - used:
        raise client_error(
            "ValidationException",
            operation,
            f"Value provided in ExpressionAttributeValues unused in expressions: keys: {sorted(unused)}",
        )


def _key(item: Item, operation: str, *, exact: bool = True) -> tuple[str, str]:
    if not {"pk", "sk"} <= item.keys() or (exact and len(item) != 2):
        raise client_error("ValidationException", operation, "The provided key element does not match the schema")
    return item["pk"]["S"], item["sk"]["S"]


def _expect(request: dict[str, Any], operation: str, required: set[str], optional: set[str] | None = None) -> None:
    if not required <= request.keys() <= required | (optional or set()):
        raise NotImplementedError(f"{operation} with {sorted(request)}")
