"""Every published number the project meets, in one place: `published.toml`.

A notebook compares its own number with a publication's by `check`, which leaves a record for the
closing table of ``momentum reproduce``, or reads a setting or a measured table by `value`. Numbers of
ours are not published numbers: they are asserted where they are derived.
"""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from momentum_lib.collection import Execution
from momentum_lib.definition import brief

__all__ = ["Published", "check", "entries", "value"]

Value = float | tuple[float, ...] | dict[str, float]


@dataclass(frozen=True)
class Published:
    """One published number: what it is, where it stands, how far ours may lie from it, how it is known."""

    id: str
    value: Value
    what: str
    source: str
    tolerance: float | None
    evidence: str
    read: str


@functools.cache
def entries() -> Mapping[str, Published]:
    """Every entry of ``published.toml`` by id, in the file's order.

    Examples
    --------
    >>> entries()["lessard-2016/cycle-p"].source
    'L. Lessard, B. Recht, A. Packard 2016, SIAM J. Optim. 26(1), 57-95; appendix B'
    """
    text = Path(__file__).with_name("published.toml").read_text(encoding="utf-8")
    found: dict[str, Published] = {}
    for work, group in tomllib.loads(text).items():
        for name, entry in group.items():
            if isinstance(entry, dict):
                found[f"{work}/{name}"] = Published(
                    id=f"{work}/{name}",
                    value=_read(entry["value"]),
                    what=entry["what"],
                    source=f"{group['work']}; {entry['at']}",
                    tolerance=entry.get("tolerance"),
                    evidence=entry["evidence"],
                    read=group["read"],
                )
    return found


def value(id: str) -> Value:
    """Return a published number, or tuple or table of numbers.

    Raises
    ------
    ValueError
        Unknown id; near ones are named.

    Examples
    --------
    >>> value("sutskever-2013/schedule-period")
    250.0
    >>> value("sutskever-2013/table-1-mnist")["0.99N"]
    0.73
    """
    return _entry(id).value


def check(id: str, here: float | Iterable[float]) -> None:
    """Assert that a number of ours agrees with the published one, and record both.

    The record is one JSON line in the file `records` of the execution, if there is one.

    Parameters
    ----------
    id : str
        ``"source/name"`` of ``published.toml``.
    here : number or sequence of numbers
        What was computed here, of the published value's length.

    Raises
    ------
    AssertionError
        They differ by more than the entry's tolerance, in absolute terms.
    ValueError
        Unknown id, another length, or an entry without tolerance (a setting or a measured result).

    Examples
    --------
    >>> check("lessard-2016/cycle-p", 792 / 1225)
    """
    entry = _entry(id)
    if entry.tolerance is None:
        raise ValueError(
            f"{id} is a {entry.evidence} value without tolerance; show published.value({id!r}) beside yours."
        )
    ours, theirs = _numbers(here), _numbers(entry.value)
    if len(ours) != len(theirs):
        raise ValueError(
            f"{id} has {len(theirs)} numbers, got {len(ours)}; pass them in the published order."
        )
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    good = all(difference <= entry.tolerance for difference in differences)  # a nan is not good
    execution = Execution.here()
    if execution.records:
        record = {
            "id": id,
            "published": theirs if len(theirs) > 1 else theirs[0],
            "here": ours if len(ours) > 1 else ours[0],
            "tolerance": entry.tolerance,
            "verdict": "agrees" if good else "differs",
            "notebook": execution.notebook,
        }
        with open(execution.records, "a", encoding="utf-8") as records:
            records.write(json.dumps(record) + "\n")
    if not good:
        off = max(differences)
        raise AssertionError(
            f"{id} ({entry.what}): published {_show(theirs)}, here {_show(ours)}, off by {off:.2g}, "
            f"tolerance {entry.tolerance:g} ({entry.source})."
        )


def _entry(id: str) -> Published:
    known = entries()
    if not isinstance(id, str) or id not in known:
        near = get_close_matches(str(id), known, 3) or [k for k in known if str(id).split("/")[0] in k][:3]
        hint = f"did you mean {' or '.join(near)}" if near else "the ids stand in momentum_lib/published.toml"
        raise ValueError(f"There is no published number {brief(id)}; {hint}.")
    return known[id]


def _read(raw: Any) -> Value:
    """TOML to Python: fractions are quoted, so that they stay exact in the file."""
    if isinstance(raw, dict):
        return {name: float(Fraction(item)) for name, item in raw.items()}
    if isinstance(raw, list):
        return tuple(float(Fraction(item)) for item in raw)
    return float(Fraction(raw))


def _numbers(values: Any) -> list[float]:
    try:
        several = list(values)
    except TypeError:  # a single number, also NumPy's and SymPy's
        several = [values]
    try:
        return [float(item) for item in several]
    except (TypeError, ValueError):
        raise ValueError(f"{brief(values)} is no number and no sequence of numbers; give one.") from None


def _show(numbers: list[float]) -> str:
    shown = ", ".join(f"{number:.10g}" for number in numbers)
    return f"({shown})" if len(numbers) > 1 else shown
