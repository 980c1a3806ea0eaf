"""What would DynamoDB charge? The table in memory, with a meter."""

from __future__ import annotations

import math
from typing import Any

from tests.fakes.dynamodb import InMemoryDynamoDb, Item

_WRITE_UNIT = 1024
_READ_UNIT = 4096
_INDEX_OVERHEAD = 100  # bytes of storage an item


class MeteredDynamoDb(InMemoryDynamoDb):
    """Counts request units as AWS documents them; a write whose condition fails costs as much as one that succeeds."""

    def __init__(self) -> None:
        super().__init__()
        self.write_units = 0
        self.read_units = 0.0

    def get_item(self, **request: Any) -> dict[str, Any]:
        answer = super().get_item(**request)
        units = max(1, math.ceil(item_size(answer.get("Item", {})) / _READ_UNIT))
        self.read_units += units if request.get("ConsistentRead") else units / 2
        return answer

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        self.read_units += sum(len(of_table["Keys"]) for of_table in request["RequestItems"].values())
        return super().batch_get_item(**request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        self.write_units += math.ceil(item_size(request["Item"]) / _WRITE_UNIT)
        return super().put_item(**request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.write_units += 1  # the budget's and the guard's items are small
        return super().update_item(**request)

    def query(self, **request: Any) -> dict[str, Any]:
        answer = super().query(**request)
        units = max(1, math.ceil(sum(map(item_size, answer["Items"])) / _READ_UNIT))
        self.read_units += units if request.get("ConsistentRead") else units / 2
        return answer

    def _execute(self, statement: Any) -> dict[str, Any]:
        before = self.items.get(statement.key, {})
        answer = super()._execute(statement)
        # The larger of an item as it was and as it is, or as it would have been.
        sizes = map(item_size, (before, self.items.get(statement.key, {}), statement.attributes))
        self.write_units += math.ceil(max(sizes) / _WRITE_UNIT)
        return answer

    def byte_days(self, now: float) -> float:
        """Return the storage of what is there until it expires."""
        return sum(
            (item_size(item) + _INDEX_OVERHEAD) * (int(item["expiresAt"]["N"]) - now) / 86_400
            for item in self.items.values()
            if "expiresAt" in item
        )


def item_size(item: Item) -> int:
    """Return an item's bytes, as AWS documents them."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return _number_size(content)
        case "NS":
            return sum(map(_number_size, content))
        case "BOOL":
            return 1
        case _:
            raise NotImplementedError(kind)


def _number_size(text: str) -> int:
    return math.ceil(len(text.replace(".", "").strip("0")) / 2) + 1
