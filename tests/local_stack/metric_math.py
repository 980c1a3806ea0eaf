"""What is the value of a CloudWatch metric-math expression at each point in time?

As much of the language as alarms of this project use: arithmetic, comparisons, `FILL` with a number and `IF`.
A point is missing where one of its operands is.
"""

import ast
import operator
from collections.abc import Callable, Mapping

_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class UnsupportedExpressionError(ValueError):
    """The expression uses what is not evaluated here."""


def value_at(expression: str, values: Mapping[str, float | None]) -> float | None:
    """Return the value of an expression at one point in time.

    Parameters
    ----------
    expression
        The metric-math expression.
    values
        The value of each id at that point; None where it is missing.

    Raises
    ------
    UnsupportedExpressionError
        The expression uses what is not evaluated here.

    Examples
    --------
    >>> value_at("FILL(a, 0) + b", {"a": None, "b": 2})
    2.0
    """
    try:
        return _value(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, KeyError) as exc:
        raise UnsupportedExpressionError(f"metric math is not evaluated locally: {expression}") from exc


def _value(node: ast.expr, values: Mapping[str, float | None]) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combined(lambda value, _zero: -value, _value(operand, values), 0.0)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(_ARITHMETIC[type(op)], _value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _combined(_COMPARISONS[type(op)], _value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, ast.Constant(value=int() | float() as number)]):
            value = _value(filled, values)
            return float(number) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            holds = _value(condition, values)
            return None if holds is None else _value(then if holds else otherwise, values)
    raise UnsupportedExpressionError(f"metric math is not evaluated locally: {ast.unparse(node)}")


def _combined(function: Callable[[float, float], float], left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    try:
        return float(function(left, right))
    except ZeroDivisionError:
        return None
