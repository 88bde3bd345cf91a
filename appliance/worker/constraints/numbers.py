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
"""Of a number next to a bound that is excluded; llguidance knows multiples of no smaller ones."""


def as_read(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with bounds that no number passes by being read as a double; integers are exact,
    and what is no number is left for llguidance to refuse."""
    if schema.get("type") == "integer":
        return schema
    found = dict(schema)
    for name, rounding in (("minimum", ROUND_CEILING), ("maximum", ROUND_FLOOR)):
        bound = _number(schema.get(name))
        if bound is not None and len(bound.as_tuple().digits) > DIGITS and bound % 1:
            unit = Decimal(1).scaleb(-min(DIGITS, DIGITS - 1 - bound.adjusted()))
            found[name] = float(bound.quantize(unit, rounding))
    step = _number(schema.get("multipleOf"))
    if step is not None and step > 0 and step % 1:
        _keep_exact(found, step)
    excluded = map(_number, (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")))
    sizes = [bound.adjusted() for bound in excluded if bound is not None]
    if sizes and "multipleOf" not in schema:
        decimals = max(0, min(DECIMALS, DIGITS - 1 - max(sizes)))
        found["multipleOf"] = 10.0**-decimals if decimals else 1
    return found


def _keep_exact(schema: dict[str, Any], step: Decimal) -> None:
    """Leave out multiples of a fraction that have more digits."""
    most = Decimal(1).scaleb(DIGITS + int(step.normalize().as_tuple().exponent))
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    least, greatest = -most if low is None else low, most if high is None else high
    if step < most / 2 and least < most / 2 and greatest > -most / 2:
        schema["minimum"], schema["maximum"] = map(float, (max(least, -most), min(greatest, most)))


def _number(value: Any) -> Decimal | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(repr(value)) if is_number and math.isfinite(value) else None
