"""What would DynamoDB answer? A client in memory for exactly the calls and expressions that the package uses.

Safe to use from several threads. It fails where it is told to: before a call takes effect, or after.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]
Key = tuple[str, str]
Condition = Callable[[Item, Item], bool]  # of an item, and of the expression's values
Change = Callable[[Item, Item], dict[str, Any]]  # of the same: an attribute's new value

_TOKEN = re.compile(r"\s*(?:(<=|[=<>(),+])|(:?[A-Za-z_][A-Za-z0-9_]*))")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
}

_STATEMENT = re.compile(
    r"""\s*INSERT\s+INTO\s+"(?P<into>[^"]+)"\s+VALUE\s+\{(?P<item>[^{}]*)\}\s*"""
    r"""|\s*UPDATE\s+"(?P<table>[^"]+)"\s+(?P<sets>SET\s.*?)\s+WHERE\s+(?P<where>.*?)\s*"""
)
_MEMBER = re.compile(r"'([^']+)'\s*:\s*(?:(\?)|'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?))")
_EQUATION = re.compile(r"""("[A-Za-z_][A-Za-z0-9_]*"|[A-Za-z_][A-Za-z0-9_]*)\s*=\s*\?""")
# Of the words that DynamoDB reserves, those that an item of the package might have; quoted, they are plain names.
_RESERVED = {"position", "until", "state", "time", "timestamp", "type", "user", "name", "count", "data"}
_MOST_STATEMENTS = 25


def client_error(code: str, operation: str, message: str = "", **response: Any) -> ClientError:
    """Return the error that boto3 would raise."""
    answer: Any = {"Error": {"Code": code, "Message": message}, **response}
    return ClientError(answer, operation)


@dataclass
class Failure:
    """Calls that fail.

    Attributes
    ----------
    after : bool
        Whether the call takes effect all the same, as when only its reply is lost.
    statements : int or None
        Of BatchExecuteStatement that takes effect all the same: how many of its statements do; ``None``: all.
    """

    operation: str
    times: float
    after: bool
    error: Exception
    statements: int | None = None


class _Items(dict[Key, Item]):
    """Items by their key, and the sort keys of each partition, so that a query does not look at every item."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions: defaultdict[str, set[str]] = defaultdict(set)

    def __setitem__(self, key: Key, item: Item) -> None:
        super().__setitem__(key, item)
        self.partitions[key[0]].add(key[1])

    def __delitem__(self, key: Key) -> None:
        super().__delitem__(key)
        self.partitions[key[0]].discard(key[1])


class InMemoryDynamoDb:
    """One table with keys ``pk`` and ``sk``.

    Attributes
    ----------
    before, after : callable
        Called with the operation's name before and after each call takes effect; what they raise, the caller gets.
    between : callable
        Called likewise between two statements of one BatchExecuteStatement, which are no transaction.
    statement_error : callable
        Tells with which code the next statement fails alone, before it takes effect; ``None``: it does not.
    calls : Counter
        How often each operation was called.
    unprocessed : int
        How many keys the next BatchGetItem leaves to another call.
    page : int or None
        How many items an answer of Query holds; ``None``: all.
    """

    def __init__(self, table: str = "delivery") -> None:
        self.table = table
        self.items = _Items()
        self.before: Callable[[str], None] = lambda operation: None
        self.after: Callable[[str], None] = lambda operation: None
        self.between: Callable[[str], None] = lambda operation: None
        self.statement_error: Callable[[], str | None] = lambda: None
        self.calls: Counter[str] = Counter()
        self.unprocessed = 0
        self.page: int | None = None
        self._failures: list[Failure] = []
        self._lock = threading.Lock()

    def fail(
        self,
        operation: str,
        times: float = 1,
        *,
        after: bool = False,
        error: Exception | None = None,
        statements: int | None = None,
    ) -> Failure:
        """Let the next calls of an operation (``*``: of any) fail; the arguments as in :class:`Failure`."""
        error = error or client_error("InternalServerError", operation)
        failure = Failure(operation, times, after, error, statements)
        self._failures.append(failure)
        return failure

    def fail_statements(self, *codes: str | None) -> None:
        """Let the next statements fail alone, each with its code; ``None``: this one does not."""
        left = list(codes)
        self.statement_error = lambda: left.pop(0) if left else None

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

    def query(self, **request: Any) -> dict[str, Any]:
        _expect(
            request,
            "Query",
            {"TableName", "KeyConditionExpression", "ExpressionAttributeValues"},
            {"ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames", "ExclusiveStartKey", "Limit"},
        )
        return self._call("Query", lambda: self._query(request))

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        operation = "BatchExecuteStatement"
        _expect(request, operation, {"Statements"})
        failure = self._begin(operation)
        if failure and not failure.after:
            raise failure.error
        statements = [_Statement.read(each) for each in request["Statements"]]
        keys = [statement.key for statement in statements]
        if not 1 <= len(keys) <= _MOST_STATEMENTS or len(set(keys)) != len(keys):
            raise client_error("ValidationException", operation, f"1 to {_MOST_STATEMENTS} different items")
        took_effect = statements if failure is None else statements[: failure.statements]
        answers = []
        for number, statement in enumerate(took_effect):
            if number:
                self.between(operation)
            with self._lock:
                answers.append(self._execute(statement))
        self.after(operation)
        if failure:
            raise failure.error
        return {"Responses": answers}

    def _begin(self, operation: str) -> Failure | None:
        with self._lock:
            self.calls[operation] += 1
            failure = next((each for each in self._failures if each.operation in {operation, "*"}), None)
            if failure:
                failure.times -= 1
                if failure.times <= 0:
                    self._failures.remove(failure)
        self.before(operation)
        return failure

    def _call(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        failure = self._begin(operation)
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
        update, changes, removals = _Expression.of_update(request["UpdateExpression"])
        condition, holds = _Expression.of_condition(request.get("ConditionExpression", ""))
        update.check(values)
        condition.check(values)
        if unused := values.keys() - update.names - condition.names:
            raise client_error("ValidationException", "UpdateItem", f"unused in expressions: {sorted(unused)}")
        key = _key(request["Key"], "UpdateItem")
        stored = self.items.get(key)
        old = stored or {}
        if not holds(old, values):
            raise _condition_failed(request, stored)
        new = old | _copy(request["Key"])
        for name, value in changes.items():
            new[name] = value(old, values)
        for name in removals:
            new.pop(name, None)
        self.items[key] = new
        if request.get("ReturnValues") != "UPDATED_OLD":
            return {}
        attributes = {name: old[name] for name in [*changes, *removals] if name in old}
        return {"Attributes": attributes} if attributes else {}

    def _query(self, request: dict[str, Any]) -> dict[str, Any]:
        self._check_table(request["TableName"], "Query")
        if request["KeyConditionExpression"] != "pk = :pk":
            raise NotImplementedError(request["KeyConditionExpression"])
        partition = request["ExpressionAttributeValues"][":pk"]["S"]
        begun = _key(request["ExclusiveStartKey"], "Query")[1] if "ExclusiveStartKey" in request else None
        most = request.get("Limit", self.page)
        sort_keys = sorted(sk for sk in self.items.partitions[partition] if begun is None or sk > begun)
        found = [self.items[partition, sk] for sk in sort_keys[:most]]
        projection = request.get("ProjectionExpression")
        aliases = request.get("ExpressionAttributeNames", {})
        wanted = projection and {
            aliases.get(each := name.strip()) or _plain(each, "Query") for name in projection.split(",")
        }
        items = [{name: dict(value) for name, value in item.items() if not wanted or name in wanted} for item in found]
        answer: dict[str, Any] = {"Items": items, "Count": len(found), "ScannedCount": len(found)}
        if len(found) == most:  # also when nothing is left, as DynamoDB does
            answer["LastEvaluatedKey"] = {name: dict(found[-1][name]) for name in ("pk", "sk")}
        return answer

    def _execute(self, statement: _Statement) -> dict[str, Any]:
        if code := self.statement_error():
            return _statement_failed(statement, code, f"{code} as told")
        if statement.table != self.table:
            return {"Error": {"Code": "ResourceNotFound", "Message": "Requested resource not found"}}
        stored = self.items.get(statement.key)
        if statement.expected is None:
            if stored is not None:
                return _statement_failed(statement, "DuplicateItem", "Duplicate primary key exists in table")
            self.items[statement.key] = _copy(statement.attributes)
        elif stored is None or any(not _holds(stored.get(name), "=", v) for name, v in statement.expected.items()):
            failed = _statement_failed(statement, "ConditionalCheckFailed", "The conditional request failed")
            if statement.wants_item and stored is not None:
                failed["Error"]["Item"] = _copy(stored)
            return failed
        else:
            self.items[statement.key] = stored | _copy(statement.attributes)
        return {"TableName": statement.table}

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

    def _check_table(self, table: str, operation: str) -> None:
        if table != self.table:
            raise client_error("ResourceNotFoundException", operation, "Requested resource not found")


@dataclass(frozen=True)
class _Statement:
    """One PartiQL statement.

    Attributes
    ----------
    attributes : Item
        What it writes.
    expected : Item or None
        What must stand in the item that it changes; ``None``: it inserts a new one.
    """

    table: str
    key: Key
    attributes: Item
    expected: Item | None
    wants_item: bool

    @classmethod
    def read(cls, request: dict[str, Any]) -> _Statement:
        operation = "BatchExecuteStatement"
        _expect(request, operation, {"Statement"}, {"Parameters", "ReturnValuesOnConditionCheckFailure"})
        found = _STATEMENT.fullmatch(request["Statement"])
        if not found:
            raise NotImplementedError(request["Statement"])
        parameters = list(request.get("Parameters", []))
        wants_item = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        if found["item"]:
            members = [_whole(_MEMBER, member) for member in found["item"].split(",")]
            given = iter(parameters)
            item = {member[1]: _literal(member) or next(given) for member in members}
            if [*given]:
                raise client_error("ValidationException", operation, "Number of parameters in request and statement")
            _check_item(item, operation)
            return cls(found["into"], _key(item, operation, exact=False), item, None, wants_item)
        sets = [each for each in re.split(r"\bSET\b|,", found["sets"]) if each.strip()]
        wheres = re.split(r"\bAND\b", found["where"])
        names = [_plain(_whole(_EQUATION, each)[1], operation) for each in (*sets, *wheres)]
        pairs = list(zip(names, parameters, strict=True))
        written, expected = dict(pairs[: len(sets)]), dict(pairs[len(sets) :])
        _check_item(written, operation)
        if len(written) != len(sets) or written.keys() & {"pk", "sk"}:
            raise client_error("ValidationException", operation, "an attribute twice, or a part of the key")
        return cls(found["table"], _key(expected, operation, exact=False), written, expected, wants_item)


class _Expression:
    """A reader of the condition and update expressions of UpdateItem that the package writes.

    Attributes
    ----------
    names : set of str
        The values that it uses.
    ranges : list of tuple of str
        The lower and the upper bound of each ``BETWEEN``.
    """

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self.ranges: list[tuple[str, str]] = []
        self._tokens = [match[1] or match[2] for match in _TOKEN.finditer(text)]
        if "".join(self._tokens) != re.sub(r"\s+", "", text):
            raise NotImplementedError(text)
        self._next = 0

    @classmethod
    @cache
    def of_condition(cls, text: str) -> tuple[_Expression, Condition]:
        """Read a condition, once: the package writes few."""
        expression = cls(text)
        condition = expression._any() if expression._tokens else lambda item, values: True
        if expression._next != len(expression._tokens):
            raise expression._invalid()
        return expression, condition

    @classmethod
    @cache
    def of_update(cls, text: str) -> tuple[_Expression, dict[str, Change], list[str]]:
        """Read an update, once: what it sets, and what it removes."""
        expression = cls(text)
        return expression, *expression._clauses()

    def check(self, values: Item) -> None:
        """Refuse values that are missing, or bounds the wrong way round."""
        if not self.names <= values.keys():
            raise self._invalid()
        if not all(_holds(values[low], "<=", values[high]) for low, high in self.ranges):
            raise client_error(
                "ValidationException",
                "UpdateItem",
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
            )

    def _clauses(self) -> tuple[dict[str, Change], list[str]]:
        changes: dict[str, Change] = {}
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
        if len(conditions) == 1:
            return conditions[0]
        return lambda item, values: any(condition(item, values) for condition in conditions)

    def _all(self) -> Condition:
        conditions = [self._one()]
        while self._follows("AND"):
            conditions.append(self._one())
        if len(conditions) == 1:
            return conditions[0]
        return lambda item, values: all(condition(item, values) for condition in conditions)

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
            return lambda item, values: name not in item
        if self._follows("BETWEEN"):
            low = self._value()
            self._take("AND")
            high = self._value()
            self.ranges.append((low, high))
            return lambda item, values: (
                _holds(item.get(name), "<=", values[high]) and _holds(values[low], "<=", item.get(name))
            )
        comparison = self._take()
        value = self._value()
        return lambda item, values: _holds(item.get(name), comparison, values[value])

    def _sum(self) -> Change:
        first = self._take()
        if first == "if_not_exists":
            self._take("(")
            name = self._take()
            self._take(",")
            default = self._value()
            self._take(")")
            return lambda item, values: item.get(name, values[default])
        if first.startswith(":"):
            self.names.add(first)
            return lambda item, values: values[first]
        self._take("+")
        addend = self._value()

        def total(item: Item, values: Item) -> dict[str, Any]:
            if first not in item:
                raise client_error(
                    "ValidationException", "UpdateItem", "refers to an attribute that does not exist in the item"
                )
            return {"N": str(Decimal(item[first]["N"]) + Decimal(values[addend]["N"]))}

        return total

    def _value(self) -> str:
        name = self._take()
        self.names.add(name)
        return name

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
        return client_error("ValidationException", "UpdateItem", "Invalid expression")


def _literal(member: re.Match[str]) -> dict[str, Any] | None:
    """Return a value that stands in the statement's text; ``None`` where a parameter has it."""
    if member[2]:
        return None
    if member[4]:
        return {"N": member[4]}
    return {"S": member[3].replace("''", "'")}


def _whole(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text.strip())
    if not found:
        raise NotImplementedError(text)
    return found


def _plain(name: str, operation: str) -> str:
    """Return an attribute's name; a word that DynamoDB reserves has to be quoted."""
    if name.lower() in _RESERVED:
        raise client_error("ValidationException", operation, f"{name} is a reserved keyword: quote it, or name it anew")
    return name.strip('"')


def _statement_failed(statement: _Statement, code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}, "TableName": statement.table}


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


def _key(item: Item, operation: str, *, exact: bool = True) -> Key:
    if not {"pk", "sk"} <= item.keys() or (exact and len(item) != 2):
        raise client_error("ValidationException", operation, "The provided key element does not match the schema")
    return item["pk"]["S"], item["sk"]["S"]


def _expect(request: dict[str, Any], operation: str, required: set[str], optional: set[str] | None = None) -> None:
    if not required <= request.keys() <= required | (optional or set()):
        raise NotImplementedError(f"{operation} with {sorted(request)}")
