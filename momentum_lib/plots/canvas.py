"""What every view shares: a picture with its numbers, axes given or made, rules read as one or several."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from momentum_lib.clock import a_rule, brief, reals
from momentum_lib.definition import Rule, RuleError
from momentum_lib.spectrum import stability_limit

__all__ = [
    "Picture",
    "Plane",
    "axes_for",
    "canvas_for",
    "columns_of",
    "largest",
    "looks_of",
    "plane_of",
    "rising",
    "rules_of",
    "start_of",
]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """What a view returns: the figure, the axes it drew into, and the numbers it shows.

    Attributes
    ----------
    fig : Figure
    ax : Axes
    data : dict of str to array
        What `save` writes as CSV.
    caption : str
        What to see, in one sentence.
    """

    fig: Figure
    ax: Axes
    data: dict[str, Any]
    caption: str


def axes_for(ax: Any, size: tuple[float, float] = (5.2, 3.9)) -> tuple[Figure, Axes]:
    """The axes given, or new ones.

    Raises
    ------
    ValueError
        Several axes where one is drawn into, or something that is no axes.
    """
    if ax is None:
        return plt.subplots(figsize=size)
    if not isinstance(ax, Axes):
        kind = f"{ax.size} axes" if isinstance(ax, np.ndarray) else type(ax).__name__
        raise ValueError(f"ax is {kind}, and this view draws into one; pass axes[0], or leave ax out.")
    return cast(Figure, ax.get_figure(root=True)), ax


def canvas_for(
    rules: Any, ax: Any, size: tuple[float, float] = (5.2, 3.9)
) -> tuple[dict[str, Rule], dict[str, dict[str, Any]], Figure, Axes]:
    """What a view of rules begins with: the rules, their looks, and what it draws into."""
    several = rules_of(rules)
    return several, looks_of(several), *axes_for(ax, size)


def columns_of(data: Mapping[str, Any]) -> dict[str, Array]:
    """Numbers as columns of one dimension: an array of two gives one for each of its columns."""
    columns: dict[str, Array] = {}
    for name, values in data.items():
        values = np.atleast_1d(np.asarray(values))
        if values.ndim == 1:
            columns[name] = values
        else:
            columns |= {f"{name}[{j}]": values[:, j] for j in range(values.shape[1])}
    return columns


def largest(limits: Array) -> float:
    """The largest finite stability limit, and of those that run off four times the middle; inf of none."""
    limits = limits[np.isfinite(limits)]
    return min(float(limits.max()), 4 * float(np.median(limits))) if limits.size else math.inf


def start_of(theta0: Any, shape: tuple[int, ...]) -> Array:
    """Where a run starts, one number for all coordinates or one for each.

    Raises
    ------
    ValueError
        Another number of them, or no real numbers.
    """
    start = reals("theta0", theta0)
    if start.shape not in ((), shape):
        size = math.prod(shape)
        raise ValueError(f"theta0 is {brief(theta0)}; give {size} numbers, or one for all coordinates.")
    return np.broadcast_to(start, shape)


def rules_of(rules: Any) -> dict[str, Rule]:
    """One rule, several, or a mapping of label to rule, as labels and rules.

    A label is the rule's name where the names differ, else the rule at its setting, else numbered.

    Raises
    ------
    RuleError
        What is no rule, none at all, a letter at a whole grid.
    """
    if isinstance(rules, Mapping):
        named = {str(label): a_rule(rule) for label, rule in rules.items()}
    else:
        alone = isinstance(rules, str) or not isinstance(rules, Iterable)
        several = [a_rule(rule) for rule in ([rules] if alone else rules)]
        names, texts = Counter(r.name for r in several), Counter(map(repr, several))
        counted = {text: itertools.count(1) for text in texts}
        named = {}
        for rule in several:
            text = repr(rule)
            again = f" ({next(counted[text])})" if texts[text] > 1 else ""
            named[(text if names[rule.name] > 1 else rule.name) + again] = rule
    if not named:
        raise RuleError("there is no rule to draw; give one, several or {label: rule}.")
    for rule in named.values():
        for name, value in rule.setting.items():
            if np.ndim(value):
                raise RuleError(
                    f"{rule} holds {name} at several values, and a curve is at one; give a mapping of label "
                    "to rule, one for each."
                )
    return named


#: How the second, third, ... of one name is told from the first: by color, line and marker.
_AGAIN: Final = (
    {"color": "#E69F00", "linestyle": (0, (6, 2)), "marker": "s"},
    {"color": "#CC79A7", "linestyle": (0, (1, 1.5)), "marker": "D"},
    {"color": "#000000", "linestyle": (0, (6, 2, 1, 2)), "marker": "^"},
    {"color": "#56B4E9", "linestyle": (0, (9, 2)), "marker": "v"},
)


def looks_of(rules: Mapping[str, Rule]) -> dict[str, dict[str, Any]]:
    """The look of each rule; where a name comes again, one that is told apart."""
    from momentum_lib.plots import rule_style

    seen: Counter[str] = Counter()
    looks = {}
    for label, rule in rules.items():
        again = seen[rule.name]
        looks[label] = rule_style(rule) | (_AGAIN[(again - 1) % len(_AGAIN)] if again else {})
        seen[rule.name] += 1
    return looks


def rising(name: str, values: Any, most: float = math.inf) -> Array:
    """The places of columns or rows: from two to `most` numbers, each larger than the one before."""
    try:
        found = reals(name, list(values))
    except TypeError:  # a RuleError is one
        found = np.empty(0)
    if found.ndim != 1 or not 2 <= len(found) <= most or not (np.diff(found) > 0).all():
        count = "two" if most == 2 else "at least two"
        raise ValueError(f"{name} is {brief(values)}; give {count} numbers, each above the last.")
    return found


@dataclass(frozen=True)
class Plane:
    """The two letters of a rule that a map spreads: the step size to the right, the other one upwards."""

    rule: Rule
    across: str
    up: str

    def at(self, across: Any, up: Any) -> Rule:
        """The rule with both letters set: numbers, or arrays that broadcast."""
        return self.rule.at(**{self.across: across, self.up: up})

    def grid(self, across: Array, up: Array) -> Rule:
        """The rule over a whole map, rows upwards."""
        return self.at(across[None, :], up[:, None])

    def spans(
        self, across: Iterable[float] | None, up: Iterable[float] | None, beyond: float = 0.0
    ) -> tuple[Array, Array]:
        """Columns and rows of a map: those given, else the whole region and what is `beyond` it.

        Step sizes go from 0 to a little beyond the largest stability limit. One that runs off as the other
        letter nears 1 is followed to four times its middle value.

        Returns
        -------
        h, up : arrays
        """
        up = np.linspace(0, 1, 121)[:-1] if up is None else rising("up", up)
        if across is not None:
            return rising("across", across), up
        last = largest(np.asarray(stability_limit(self.at(1.0, up)), float))
        last = 1.05 * max(last if last < math.inf else 1.0, 1.0)
        return np.linspace(0.0, last if beyond <= last else 1.2 * beyond, 241)[1:], up

    def label(self, ax: Axes, product: bool = True) -> None:
        """Name the axes: the step size in units of 1/lam or 1/L, the other letter as it is."""
        ax.set_xlabel(f"{self.across}·lam" if product else f"{self.across}·L")
        ax.set_ylabel(self.up)


def plane_of(rule: Any) -> Plane:
    """The step size and the one other letter that is open, or else the momentum.

    Raises
    ------
    RuleError
        A rule with no single step size, or with no one letter to spread beside it.
    """
    if isinstance(rule, list | tuple | Mapping):
        raise RuleError(f"a map is of one rule, and got {len(rule)}; draw each into an ax= of its own.")
    rule = a_rule(rule)
    if len(rule.step_letters) != 1:
        found = " and ".join(rule.step_letters) or "none"
        raise RuleError(f"a map needs one step size and {rule.name} has {found}; draw its error or its path.")
    step = rule.step_letters[0]
    others = [name for name in rule.free if name != step]
    if not others:
        others = [name for name in rule.momentum_letters if name != step]
    if len(others) != 1:
        left = set(others) & set(rule.free)
        found = f"{'leaves' if left else 'has'} {', '.join(others)}{' open' if left else ''}"
        remedy = "leave one open and set the others with .at()" if others else "draw its error or its path"
        found = found if others else "has no momentum to spread"
        raise RuleError(f"a map needs one letter beside {step} and {rule} {found}; {remedy}.")
    return Plane(rule, step, others[0])
