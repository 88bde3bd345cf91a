"""Rows as a plain-text table and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import Row, spread

_WORDS = {True: "met", False: "MISSED", None: ""}


def table(row: Row) -> str:
    """Plain text: the measures, then the comparisons."""
    lines = [f"{row.number}. {row.title}", f"   {row.settings}"]
    lines += [_line("", ["min", "median", "max", "runs"])]
    for measure in row.measures:
        lines += [f"   {measure.name}, {measure.unit}"]
        lines += [_values(f"  {who}", values) for who, values in measure.values.items()]
    lines += ["   compared" if row.verdicts else ""]
    for verdict in row.verdicts:
        goal = "" if verdict.goal is None else f"   goal {verdict.goal}: {_WORDS[verdict.met]}"
        lines += [_values(f"  {verdict.name}", verdict.values) + goal]
    lines += [f"   note: {note}" for note in row.notes]
    lines += [f"   measured in {row.seconds:.0f} s"]
    return "\n".join(line for line in lines if line) + "\n"


def _values(name: str, values: Sequence[float]) -> str:
    if not values:
        return _line(name, ["–", "–", "–", "0"])
    found = spread(values)
    shown = [_number(v) for v in (found.minimum, found.median, found.maximum)]
    return _line(name, [*shown, str(found.count)])


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"   {name:<52}" + "".join(f"{cell:>9}" for cell in cells)


def as_json(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """All values, their spread, and which goals were met."""
    return json.dumps({"about": about, "rows": [_row(row) for row in rows]}, indent=2) + "\n"


def _row(row: Row) -> dict[str, Any]:
    return {
        "row": row.number,
        "title": row.title,
        "settings": row.settings,
        "measures": [
            {
                "name": measure.name,
                "unit": measure.unit,
                "of": {who: _summary(values) for who, values in measure.values.items()},
            }
            for measure in row.measures
        ],
        "verdicts": [
            {
                "name": verdict.name,
                **_summary(verdict.values),
                "goal": None if verdict.goal is None else str(verdict.goal),
                "met": verdict.met,
            }
            for verdict in row.verdicts
        ],
        "notes": row.notes,
        "seconds": row.seconds,
    }


def _summary(values: list[float]) -> dict[str, Any]:
    found = dataclasses.asdict(spread(values)) if values else {}
    return {**found, "values": values}
