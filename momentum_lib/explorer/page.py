"""`explore`: any rule as one page to play with, a widget in a notebook and a file anywhere."""

from __future__ import annotations

import ast
import html
import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any, Final

import numpy as np

from momentum_lib.clock import LIMIT, brief, count_of, real
from momentum_lib.collection import Execution, write_page
from momentum_lib.definition import Rule, RuleError
from momentum_lib.explorer.tape import Unprintable, generator_of
from momentum_lib.plots.canvas import largest, rising, rules_of, start_of
from momentum_lib.runner import run
from momentum_lib.spectrum import spectral_radius, stability_limit
from momentum_lib.tuning import tune

__all__ = ["Explorer", "explore"]

#: Height of the frame in which a committed notebook and the book show the page, in CSS pixels.
HEIGHT: Final = 1120
#: Steps at most of a path that a page holds as recorded: more, and the page outgrows its 20 kB.
RECORDED: Final = 40
_HERE: Final = Path(__file__).parent
_PANELS: Final = {
    "map": "Drag the setting. A factor 10 takes 3 steps where it is bright, 1000 where dark",
    "path": "Drag the start",
    "disc": "Eigenvalues",
    "motion": "Motion and envelope",
    "error": "Error and rate",
}


class Explorer:
    """One rule or several to play with; shows itself in a notebook, and saves as one file.

    Attributes
    ----------
    rules : dict of str to Rule
        As they were given.
    html : str
        The page.
    """

    def __init__(self, rules: Mapping[str, Rule], spec: Mapping[str, Any]) -> None:
        self.rules = dict(rules)
        self._spec = spec

    def __repr__(self) -> str:
        return f"explore({', '.join(self.rules)})"

    @cached_property
    def html(self) -> str:
        """The page: one file that needs no kernel and no network."""
        title = html.escape(" and ".join(self.rules))
        page = Template(_text("page.html"))
        return page.substitute(title=title, style=_text("explorer.css"), module=self._module)

    def save(self, path: str | Path) -> Path:
        """Write the page as one self-contained file.

        Raises
        ------
        ValueError
            A path that does not end in .html.
        """
        return write_page(path, self.html, "an explorer")

    @property
    def _module(self) -> str:
        return f"const SPEC = {_javascript(self._spec)};\n{_text('explorer.js')}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """A widget where a reader plays; a page in a frame where a notebook is executed to be kept."""
        widget = None if Execution.here().figures else self._widget()
        if widget is not None:
            return widget._repr_mimebundle_(include=include, exclude=exclude)
        return {"text/plain": repr(self), "text/html": self._frame}

    @property
    def _frame(self) -> str:
        names = html.escape(" and ".join(self.rules))
        return (
            f"<p>{names}: a page to play with. Nothing to see here? Run this cell.</p>\n"
            f'<iframe title="explorer of {names}" sandbox="allow-scripts" loading="lazy" width="100%" '
            f'height="{HEIGHT}" style="border:0" srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def _widget(self) -> Any:
        try:
            import anywidget
            import traitlets
        except ImportError:  # the extra lab is not installed
            return None
        state = traitlets.Dict().tag(sync=True)
        body = {"_esm": self._module, "_css": _text("explorer.css"), "state": state}
        return type("ExplorerWidget", (anywidget.AnyWidget,), body)()


def _text(name: str) -> str:
    """A file of this folder without what no browser reads: comments, indentation, most ends of lines."""
    text = re.sub(r"\s*// .*", "", (_HERE / name).read_text(encoding="utf-8"))
    return re.sub(r"(?<=[{;,])\n", "", re.sub(r"\n\s*", "\n", text)).lstrip()


class _Code(str):
    """JavaScript that stands as it is."""


def _javascript(value: Any) -> str:
    """A value as JavaScript that may stand in a page: JSON, and code as it is."""
    if isinstance(value, _Code):
        return value
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(k)}:{_javascript(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_javascript, value)) + "]"
    # What a script holds must not end it.
    if isinstance(value, float):  # finer than any slider
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/").replace("<!--", "<\\!--")


def _key(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else json.dumps(name)


def explore(
    rules: Any,
    kappa: float = 20.0,
    *,
    theta0: Any = (2.0, 1.0),
    steps: int = 100,
    spans: Mapping[str, tuple[float, float]] | None = None,
) -> Explorer:
    """A page to play with one rule or several, a student's own too.

    Drag the setting on the map of rates and the start on the contours; move every letter, both curvatures,
    a noise on the gradient; leave the quadratic. Beside it: the path, the eigenvalues in the unit disc, the
    motion with its envelope, the error by direction, and in one sentence what it means. The update is
    printed from the rule's own lines.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        A letter that is set begins there. An open step size begins at 0.8 and an open momentum at 0.8, other
        open letters where the rule is stable. A letter that several rules leave open moves in all of them.
    kappa : float
        The curvatures begin at 1/kappa and 1.
    theta0 : (2,) array
        Where the start begins.
    steps : int
        Steps shown in the beginning, at most 1000.
    spans : mapping of letter to pair of float, optional
        From where to where a letter goes. Without it a step size goes a little beyond the largest stable
        one, a momentum up to 0.999, and another letter over a guess, which the page tells.

    Returns
    -------
    Explorer
        A rule that branches on values or couples coordinates is shown as it runs at its setting, and the
        page tells the line and the way out.

    Raises
    ------
    RuleError
        What is no rule; a schedule that is not frozen at a step, ``.at(t=...)``.
    ValueError
        kappa below 1, another start than two numbers, steps below 1 or above 1000, spans that are none.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> page = explore(heavy_ball)
    >>> page, len(page.html.encode()) < 20_000
    (explore(heavy_ball), True)
    """
    several = rules_of(rules)
    kappa, steps = real("kappa", kappa, least=1), count_of("steps", steps, 1, 1000)
    if not isinstance(spans, Mapping | None):
        raise ValueError(f"spans is {brief(spans)}; give {{letter: (low, high)}}.")
    given = {n: rising(f"the span of {n}", span, 2).tolist() for n, span in (spans or {}).items()}
    if unknown := set(given) - {name for rule in several.values() for name in rule.hyper}:
        raise ValueError(f"spans names {', '.join(map(str, unknown))}, a letter of none of the rules.")
    x, y = start_of(theta0, (2,)).tolist()
    state = {"rule": 0, "on": 0, "a": 1 / kappa, "b": 1.0, "x": x, "y": y, "noise": 0.0, "steps": steps}
    reach = 1.3 * max(1.0, abs(y), abs(x) / 1.6)
    dials: dict[str, Any] = {
        "a": ["curvature θ₁", "log", [min(1e-3, 1 / kappa), 2.0]],
        "b": ["curvature θ₂", "log", [0.01, 2.0]],
        "x": ["start θ₁", "plain", [-1.6 * reach, 1.6 * reach]],
        "y": ["start θ₂", "plain", [-reach, reach]],
        "noise": ["noise", "plain", [0.0, 1.0]],
        "steps": ["steps", "log", [10, 1000]],
    }
    seen: dict[str, Any] = {}
    parts = [_Reading(label, rule, given, state).part(state, dials, seen) for label, rule in several.items()]
    spec = {"panels": _PANELS, "reach": reach, "state": state, "dials": dials, "rules": parts}
    return Explorer(several, spec)


class _Reading:
    """A rule as the page begins with it: where each letter starts, what it spans, what is told."""

    def __init__(
        self, label: str, rule: Rule, spans: Mapping[str, list[float]], state: Mapping[str, Any]
    ) -> None:
        self.label, self.rule, self.given, self.state = label, rule, spans, state
        self.notes: list[str] = []
        self.fixed = _fixed(rule)
        if self.fixed:
            self.notes.append(f"Frozen at t = {rule.setting['t']}: every step is as that one.")
        self.mu, self.L = state["a"], state["b"]
        self.names = [n for n in rule.hyper if n != "t" and n not in self.fixed]
        known = {n: real(n, rule.setting[n]) for n in self.names if n in rule.setting}
        self.values = {**known, **self._start()}
        self.at = rule.at(**self.values)
        try:
            spectral_radius(self.at, [self.mu, self.L])
            self.refusal = ""
        except RuleError as error:
            self.refusal = str(error)
        across = next(iter(rule.step_letters), self.names[0])
        near = [*rule.momentum_letters, *rule.base.free, *self.names]
        self.across, self.up = across, next((n for n in near if n != across and n in self.names), "a")

    def _start(self) -> dict[str, float]:
        """Open letters: a step size and a momentum that swing, the others where that is stable."""
        rule, free = self.rule, self.rule.free
        usual = {n: 0.8 for n in free if n in (*rule.step_letters, *rule.momentum_letters)}
        others = [n for n in free if n not in usual]
        if rule.step_letters:
            for value in (0.5, 0.2, 1.0, 0.0):
                found = usual | dict.fromkeys(others, value)
                try:
                    if (spectral_radius(rule.at(**found), [self.mu, self.L]) < 1).all():
                        return found
                except RuleError:  # not linear: steps that are safe
                    return {n: 0.1 if n in rule.step_letters else 0.8 for n in free}
        if not free:
            return {}
        try:
            tuned = tune(rule, self.mu, self.L)
        except ValueError:
            return usual | dict.fromkeys(others, 0.5)
        return {n: float(tuned.setting[n]) for n in free}

    def _best(self) -> dict[str, float]:
        """What the button sets, where a theorem knows it; else the page takes the least of its map."""
        if self.refusal or self.fixed:
            return {}
        try:
            best = tune(self.rule if self.rule.free else self.rule.base, self.mu, self.L)
        except ValueError:
            return {}
        return {n: float(best.setting[n]) for n in self.names}

    def _span(self, name: str) -> tuple[str, list[float], bool]:
        """How a letter's slider goes, from where to where, and whether that is a guess."""
        rule, value = self.rule, self.values[name]
        if name in self.given:
            return "plain", self.given[name], False
        if rule.momentum_letters == (name,) and 0 <= value < 1:
            return "memory", [0.0, max(0.999, value)], False
        if rule.step_letters == (name,) and not self.refusal:
            limit = self._limit(name)
            if np.isfinite(limit):
                return "plain", [0.0, max(limit, value)], False
        return "plain", [min(0.0, 2 * value), max(1.0, 2 * value) if abs(value) > 1 else 1.0], True

    def _limit(self, step: str) -> float:
        """A little beyond the largest stable step size over the other letter of the map."""
        up = (np.arange(40) + 0.5) / 40  # never 0, which a letter may stand under
        others = {n: v for n, v in self.values.items() if n not in (step, self.up)}
        grid = {} if self.up == "a" else {self.up: up}
        limits = np.atleast_1d(stability_limit(self.at.at(**{step: 1.0}, **others, **grid)))
        return 1.05 * largest(limits[limits > 0]) / float(self.L)

    def part(self, state: dict[str, Any], dials: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
        """What the page is told of the rule; its letters are entered in the state and the dials."""
        rule = self.rule
        try:
            made: dict[str, Any] = {"body": _Code(generator_of(rule, self._body, self.fixed))}
            if rule.has_first_step and not self.fixed:
                made["first"] = _Code(generator_of(rule, rule.first_step, {}))
                self.notes.append("Its first step is its own; the eigenvalues are those of all others.")
        except Unprintable as error:
            self.notes += [f"{str(error)[0].upper()}{str(error)[1:]}", f"Shown as {self.at} runs."]
            return self._told() | {"letters": [], "recorded": self._recorded()}
        if self.refusal:
            self.notes.append(f"No eigenvalues, no map: {self.refusal}")
        elif rule.counts and not self.fixed:
            self.notes.append("It counts its steps; map and eigenvalues are those as t → ∞.")
        keys, guessed = {}, []
        for name in self.names:
            scale, span, guess = self._span(name)
            guessed += [name] * guess
            key = name
            while key in state and not (key in seen and name in rule.free):
                key += "_"
            if name in rule.free:
                seen[key] = True
            keys[name] = key
            state.setdefault(key, self.values[name])
            old = dials.get(key, [name, scale, span])[2]
            dials[key] = [name, scale, [min(old[0], span[0]), max(old[1], span[1])]]
        if guessed:
            self.notes.append(f"From where to where {', '.join(guessed)} may go is a guess; spans= sets it.")
        made |= {
            "letters": list(keys.values()),
            "points": [int(point) for point in rule.at_rest],
            "across": keys[self.across],
            "up": keys.get(self.up, "a"),
            "linear": int(not self.refusal),
        }
        best = self._best()
        if best:
            made["best"] = {keys[n]: v for n, v in best.items()}
        return self._told() | made

    @property
    def _body(self) -> Any:
        return self.rule.first_step if self.fixed.get("t") == 1 else self.rule.step

    def _told(self) -> dict[str, Any]:
        return {"label": self.label, "lines": _lines(self.rule), "notes": self.notes}

    def _recorded(self) -> list[list[float]]:
        """The path on the quadratic of the start: of the point, or where that fails of each coordinate."""
        lam, start = np.array([self.mu, self.L]), [self.state["x"], self.state["y"]]
        steps = min(self.state["steps"], RECORDED)
        try:
            path = run(self.at, lambda x: lam * x, start, steps, record=("theta",)).theta
        except Exception:  # whatever a rule that branches says to an array
            each = (run(self.at, one.__mul__, x, steps).theta for one, x in zip(lam, start, strict=True))
            path = np.stack(tuple(each), axis=-1)
        return [[_rounded(x) for x in point] for point in path if np.isfinite(point).all()]


def _rounded(x: float) -> float:
    return round(float(x), 3) if abs(x) > 0.1 else float(f"{x:.2g}")


def _fixed(rule: Rule) -> dict[str, Any]:
    """What a rule that is frozen at a step holds there: t and its schedules; nothing where it is not."""
    t = rule.setting.get("t")
    for name in rule.schedules if t is None else ():
        raise RuleError(
            f"{name} of {rule} is a schedule, and a slider holds one number; freeze it with .at(t=...)."
        )
    if t is None:
        return {}
    at = LIMIT if t == np.inf else t
    return {"t": at} | {name: rule.checked(name, schedule(at)) for name, schedule in rule.schedules.items()}


def _lines(rule: Rule) -> str:
    """The rule's own lines, without its docstring."""
    try:
        source = textwrap.dedent(inspect.getsource(rule.step))
        step = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef))
    except (OSError, TypeError, SyntaxError, StopIteration):
        return f"{rule.name}{inspect.signature(rule)}: its source is not at hand."
    first = step.body[ast.get_docstring(step) is not None :]
    lines = source.splitlines()
    head = lines[step.lineno - 1 : step.body[0].lineno - 1]
    return "\n".join(head + lines[first[0].lineno - 1 : step.end_lineno])
