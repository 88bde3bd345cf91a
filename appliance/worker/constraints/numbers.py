"""Bounds of numbers that hold for whoever reads the reply.

Nearly every program reads a number as a double, which is sure of 15 digits: it takes
0.99999999999999999 for 1, which is not below 1, and a multiple of 1.5 with thirty digits for one of
something else. llguidance compares what is written, and rounds bounds of more digits itself.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

DIGITS = 15
DECIMALS = 9
"""Of a number where a bound is excluded; llguidance knows multiples of no smaller ones."""


def as_read(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with bounds that no number passes by being read as a double; integers are exact,
    and what is no number is left for llguidance to refuse."""
    if schema.get("type") == "integer":
        return schema
    found = dict(schema)
    for name, inwards in (("minimum", ROUND_CEILING), ("maximum", ROUND_FLOOR)):
        bound = _number(schema.get(name))
        if bound is not None and (
            len(bound.as_tuple().digits) > DIGITS or _decimals(bound) > DIGITS
        ):
            _round(found, name, min(DIGITS, DIGITS - 1 - bound.adjusted()), inwards)
    step = _number(schema.get("multipleOf"))
    if step is not None and step > 0 and _decimals(step):
        _keep_exact(found, step)
    excluded = (_number(schema.get(f"exclusive{side}")) for side in ("Minimum", "Maximum"))
    sizes = [bound.adjusted() for bound in excluded if bound is not None]
    if sizes and "multipleOf" not in schema:
        decimals = max(0, min(DECIMALS, DIGITS - 1 - max(sizes)))
        found["multipleOf"] = 10.0**-decimals if decimals else 1
        _round(found, "exclusiveMinimum", decimals, ROUND_FLOOR)
        _round(found, "exclusiveMaximum", decimals, ROUND_CEILING)
    return found


def _round(schema: dict[str, Any], name: str, decimals: int, rounding: str) -> None:
    bound = _number(schema.get(name))
    if bound is not None and _decimals(bound) > max(0, decimals):
        schema[name] = float(bound.quantize(Decimal(1).scaleb(-decimals), rounding))


def _keep_exact(schema: dict[str, Any], step: Decimal) -> None:
    """Leave out multiples of a fraction that have more digits."""
    most = Decimal(1).scaleb(DIGITS - _decimals(step))
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    least, greatest = -most if low is None else low, most if high is None else high
    if step < most / 2 and least < most / 2 and greatest > -most / 2:
        schema["minimum"], schema["maximum"] = map(float, (max(least, -most), min(greatest, most)))


def _decimals(number: Decimal) -> int:
    return max(0, -int(number.normalize().as_tuple().exponent))


def _number(value: Any) -> Decimal | None:
    try:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return Decimal(repr(value)) if is_number and math.isfinite(value) else None
    except (OverflowError, ValueError):  # thousands of digits
        return None
