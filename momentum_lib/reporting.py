"""Everything about one rule, on one page; and several rules in one table.

A report is a list of sections. Each is a generator of what it shows: a sentence, a table, a picture, a
formula. Where the analysis refuses, a rule that is not linear for one, the section ends with that refusal,
so the page says what does not apply and why, and everything else is there.
"""

from __future__ import annotations

import contextlib
import html
import inspect
import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection

from momentum_lib.clock import a_rule, brief, count_of, real
from momentum_lib.collection import needs, write_page, write_whole
from momentum_lib.definition import NotLinear, Rule, RuleError
from momentum_lib.noise import stationary_covariance
from momentum_lib.oscillation import (
    count_reversals,
    count_rises,
    damping,
    measure_overshoot,
    measure_path_ratio,
)
from momentum_lib.plots.canvas import Picture, columns_of, plane_of, rules_of, start_of
from momentum_lib.plots.curves import (
    plot_eigenvalues,
    plot_noise_floor,
    plot_response,
    plot_training,
    plot_worst_case,
)
from momentum_lib.plots.maps import plot_atlas, plot_damping, plot_rate, plot_region, plot_times
from momentum_lib.plots.paths import plot_error, plot_motion, plot_path
from momentum_lib.problems import Problem, Quadratic
from momentum_lib.rules import gradient_descent, heavy_ball, nesterov
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix, stability_limit
from momentum_lib.tuning import curvatures, lower_rate, minimax, tune, worst_rate

__all__ = ["Report", "Section", "compare", "report"]

_CLASSICS = (gradient_descent, heavy_ball, nesterov)


# --- several rules in one table ----------------------------------------------------------------------


def compare(
    rules: Any,
    problem: Problem | float,
    L: float | None = None,
    *,
    theta0: Any = 1.0,
    tol: float = 1e-6,
    cap: int = 10_000,
) -> pd.DataFrame:
    """One row a rule: what theory says on the spectrum, and what a run does.

    A rule with open letters is tuned first, in closed form or by `minimax`, as `tune` and `minimax` are.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
    problem : Problem, or float
        A problem; or mu, for 33 curvatures from mu to L on a log scale.
    L : float, optional
        The largest curvature, after mu.
    theta0 : array or scalar
        Start of the runs; broadcast over the coordinates.
    tol : float
        A run has arrived once its distance to the nearest minimizer stays within tol of that at the start;
        the norm of the gradient is taken where no minimizer is known.
    cap : int
        Steps of a run.

    Returns
    -------
    DataFrame
        ``rule``, ``setting``; of quadratics ``rate`` (worst factor per step), ``limit`` (the largest stable
        curvature), ``noise`` (s.d. of theta at L under gradient noise of s.d. 1) and ``overshoot`` (largest
        over the eigen-directions, of the start); of any problem ``steps`` (inf if not within the cap),
        ``rises`` of f, ``reversals`` and ``path`` (its length over the distance between its ends), each until
        arrival. nan where a column is not for that rule.

    Raises
    ------
    ValueError
        A problem that is none; mu and L out of order.
    RuleError
        A letter that is open on a problem without a spectrum to tune on.

    Examples
    --------
    >>> from momentum_lib import gradient_descent, heavy_ball
    >>> compare([gradient_descent, heavy_ball], 0.01, 1)[["rule", "rate", "steps"]].round(4)
                   rule    rate  steps
    0  gradient_descent  0.9802  621.0
    1        heavy_ball  0.8182   86.0
    """
    if not isinstance(problem, Problem):
        if L is None or not isinstance(problem, int | float):
            raise ValueError(f"compare got {brief(problem)}; give a Problem, or two numbers mu and L.")
        problem = Quadratic(np.geomspace(*curvatures(problem, L), 33))
    theta0 = start_of(theta0, problem.shape)
    if not (tol := real("tol", tol, above=0)) < 1:
        raise ValueError(f"tol is {tol:g}; give a fraction of the start, between 0 and 1.")
    count_of("cap", cap, 1)
    rows = [_row(label, rule, problem, theta0, tol, cap) for label, rule in rules_of(rules).items()]
    return pd.DataFrame(rows)


def _row(label: str, rule: Rule, problem: Problem, theta0: Any, tol: float, cap: int) -> dict[str, Any]:
    quadratic = isinstance(problem, Quadratic)
    rule = (_tuned(rule, problem.mu, problem.L) if quadratic else rule).closed()
    theta = run(rule, problem.grad, theta0, cap, record=("theta",)).theta.reshape(cap + 1, -1)
    minimizers = np.reshape(problem.minimizers, (-1, theta.shape[1]))
    points = theta.reshape(cap + 1, *problem.shape)
    with np.errstate(all="ignore"):
        if len(minimizers):
            away = np.linalg.norm(theta[:, None] - minimizers, axis=-1).min(axis=1)
        else:
            away = np.linalg.norm(problem.grad(points).reshape(theta.shape), axis=-1)
        outside = np.flatnonzero(~(away <= tol * away[0]))
        steps = len(outside) and int(outside[-1]) + 1
        values = problem.value(points[: steps + 1])
    arrived = steps <= cap
    row: dict[str, Any] = {"rule": label, "setting": _setting(rule)}
    if quadratic:
        row |= {
            "rate": _of_linear(worst_rate, rule, problem.mu, problem.L),
            "limit": _of_linear(stability_limit, rule),
            "noise": math.sqrt(_of_linear(_variance, rule, problem.L)),
            "overshoot": _overshoot(problem, theta) if arrived else math.inf,
        }
    seen = theta[: steps + 1]
    return row | {
        "steps": float(steps) if arrived else math.inf,
        "rises": int(count_rises(values)),
        "reversals": int(count_reversals(seen)),
        "path": float(measure_path_ratio(seen)) if arrived else math.nan,
    }


def _overshoot(problem: Any, theta: Any) -> float:
    axes = problem.eigenvectors
    coordinates = (theta - problem.minimizer) @ (np.eye(problem.dim) if axes is None else axes)
    return float(np.nanmax(measure_overshoot(coordinates).largest, initial=0.0))


def _variance(rule: Rule, lam: float) -> Any:
    return stationary_covariance(rule, lam, 1.0)[0, 0]


def _of_linear(what: Callable[..., Any], *given: Any) -> float:
    try:
        return float(what(*given))
    except RuleError:  # not linear, or a schedule: there is no such number
        return math.nan


def _tuned(rule: Rule, mu: float, L: float) -> Rule:
    """The rule at the best setting for this spectrum; what is set stays."""
    if not rule.free:
        return rule
    with contextlib.suppress(ValueError):  # no theorem about it, or letters held
        return tune(rule, mu, L)
    with contextlib.suppress(NotLinear):
        return minimax(rule, mu, L)
    return rule.closed()  # names the letter


def _setting(rule: Rule) -> str:
    return repr(rule).removeprefix(rule.text).strip("()")


# --- the report --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a report: a title, its HTML, and the numbers it shows.

    Attributes
    ----------
    title, html : str
    tables : list of DataFrame
    refusal : str
        Why the rest of it does not apply to this rule; empty where it does.
    """

    title: str
    html: str
    tables: list[pd.DataFrame] = field(default_factory=list)
    refusal: str = ""

    def _repr_html_(self) -> str:
        return f"<h2>{html.escape(self.title)}</h2>{self.html}"


@dataclass(frozen=True, eq=False)
class Report:
    """Everything about one rule; shows itself in a notebook, and saves as one file.

    ``report["Tuning"]`` is one section.

    Attributes
    ----------
    rule : Rule
        As it was given.
    setting : Rule
        At the setting that is shown: that of the rule, or the best one where letters were open.
    kappa : float
    sections : list of Section
    """

    rule: Rule
    setting: Rule
    kappa: float
    sections: list[Section]

    def __getitem__(self, title: str) -> Section:
        for section in self.sections:
            if section.title == title:
                return section
        raise KeyError(f"{title!r}; the sections are {', '.join(s.title for s in self.sections)}")

    def __repr__(self) -> str:
        left_out = [section.title for section in self.sections if section.refusal]
        return f"report of {self.rule}, kappa {self.kappa:g}" + (
            f"; not whole: {', '.join(left_out)}" if left_out else ""
        )

    def _repr_html_(self) -> str:
        parts = [f"<h1>{html.escape(self.rule.name)}</h1>"]
        for number, s in enumerate(self.sections):
            title = f"<summary><b>{html.escape(s.title)}</b></summary>"
            parts.append(f"<details{' open' * (number < 2)}>{title}{s.html}</details>")
        return "\n".join(parts)

    def save(self, path: str | Path, *, csv: bool = False) -> Path:
        """Write the report as one self-contained file, which needs no network.

        Parameters
        ----------
        path : path
            ``"page.html"``.
        csv : bool
            Write each table beside it, as ``page-tuning-1.csv``.

        Raises
        ------
        ValueError
            A path that does not end in .html.
        """
        title = html.escape(f"{self.rule.name}: a report")
        body = "\n".join(f"<section>{section._repr_html_()}</section>" for section in self.sections)
        head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        page = (
            f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{body}</body></html>\n'
        )
        path = write_page(path, page, "a report")
        for section in self.sections if csv else ():
            word = re.sub(r"[^a-z]+", "-", section.title.lower()).strip("-")
            for number, table in enumerate(section.tables, 1):
                text = table.to_csv(index=False, lineterminator="\n")
                write_whole(path.with_name(f"{path.stem}-{word}-{number}.csv"), text.encode())
        return path


@needs("latex2mathml", "lab")
def report(rule: Rule, kappa: float = 100.0, *, task: Any = None, steps: int = 300) -> Report:
    """Everything the library knows of one rule, a student's own too.

    The curvatures are 1/kappa to 1. Where letters are open the rule is shown at the best setting for them,
    found by `minimax`; where all are set, at that setting, and what is tuned is tuned anew.

    Parameters
    ----------
    rule : Rule
        At a setting, or with letters open.
    kappa : float
        Condition number, at least 1.
    task : task of momentum_lib.learning, optional
        Train it besides, at five step sizes, with the other letters as they are shown.
    steps : int
        Updates of each training.

    Returns
    -------
    Report
        A rule outside the linear domain gets the sections that apply; the others say why they do not.

    Raises
    ------
    RuleError
        What is no rule.
    ValueError
        kappa below 1 or not finite.
    """
    rule = a_rule(rule)
    kappa = real("kappa", kappa, least=1)
    try:
        setting = minimax(rule, 1 / kappa, 1) if rule.free else rule
    except RuleError:
        setting = rule
    about = _About(rule, setting, rule if rule.free else rule.base, kappa, task, steps)
    plt.close(plt.figure())  # loads the backend, which may turn interactive drawing on
    with plt.ioff():
        return Report(rule, setting, kappa, [_section(part, about) for part in _SECTIONS])


class _About(NamedTuple):
    """What every section is made of: the rule as given, at a setting, and with letters to tune."""

    given: Rule
    at: Rule
    open: Rule
    kappa: float
    task: Any
    steps: int

    @property
    def mu(self) -> float:
        return 1 / self.kappa

    def beside(self, *others: Rule) -> dict[str, Rule]:
        """The rule first, then others tuned for the same curvatures."""
        return rules_of([self.at.closed(), *(tune(other, self.mu, 1) for other in others)])

    @property
    def plane(self) -> Rule:
        """The rule with two letters to spread: those left open, else its step size and momentum."""
        iteration_matrix(self.at.closed(), 1.0)  # refuses what is not linear
        try:
            return plane_of(self.open).rule
        except RuleError:
            return self.at


class _Formula(NamedTuple):
    """LaTeX, each line of it a formula of its own."""

    latex: str


class _Code(NamedTuple):
    text: str


def _source(about: _About) -> Iterator[Any]:
    try:
        lines: Any = _Code(textwrap.dedent(inspect.getsource(about.given.base.step)))
    except (OSError, TypeError):
        lines = "Its source is not at hand: it was typed where none is kept."
    yield lines
    roles = dict.fromkeys(about.given.step_letters, "step size")
    roles |= dict.fromkeys(about.given.momentum_letters, "momentum")
    settings = about.given.setting, about.at.setting
    rows = [
        (name, roles.get(name, ""), *(_value(letters.get(name, "open")) for letters in settings))
        for name in about.given.hyper
    ]
    yield pd.DataFrame(rows, columns=["letter", "role", "given", "shown below"])
    slots = (
        f"{s} ({'a point' if point else 'starts at 0'})"
        for s, point in zip(about.given.slots, about.given.at_rest, strict=True)
    )
    yield f"State: {', '.join(slots)}. It reports {about.given.slots[0]}."
    if about.given.free and not about.at.free:
        yield f"Letters were open. Shown at the best setting for curvatures {about.mu:g} to 1: {about.at}."


def _value(setting: Any) -> str:
    return f"{setting:.6g}" if isinstance(setting, float) else str(setting)


def _in_symbols(about: _About) -> Iterator[Any]:
    from momentum_lib.symbolic import latex

    try:
        yield _Formula(latex(about.open))
    except TypeError:  # NumPy's functions refuse symbols
        raise RuleError(
            f"{about.open.name} computes with more than + - * / **; read its lines above."
        ) from None


def _which_method(about: _About) -> Iterator[Any]:
    from momentum_lib.identification import identify

    found = identify(about.open)
    yield f"{found!r}"
    if found.mapping:
        letters = [(name, str(value)) for name, value in found.mapping.items()]
        yield pd.DataFrame(letters, columns=["its letter", "in yours"])


def _beside(about: _About) -> Iterator[Any]:
    yield compare(about.beside(*_CLASSICS), about.mu, 1.0)
    yield "Each classic is at its own best setting. A run starts at 1 in 33 directions, down to a millionth."


def _matrix(about: _About) -> Iterator[Any]:
    import sympy

    from momentum_lib.symbolic import characteristic_polynomial, exact, jury_conditions, latex

    lam, z = sympy.symbols("lam z")
    letters = exact(about.open, z, lam)
    matrix = sympy.Matrix(iteration_matrix(letters, lam)).applyfunc(sympy.factor)
    yield _Formula(f"M = {latex(matrix)}")
    yield _Formula(rf"\det(z - M) = {latex(characteristic_polynomial(about.open))}")
    yield "It is stable where all of these hold (Jury)."
    yield _Formula(" \\\\\n".join(latex(condition) for condition in jury_conditions(about.open)))
    limit = float(stability_limit(about.at))
    yield f"At {about.at}: stable for every curvature below {limit:.6g}."
    yield plot_eigenvalues(about.at, np.geomspace(about.mu, 1.0, 40))


def _region(about: _About) -> Iterator[Any]:
    yield plot_region(about.plane)


def _rate(about: _About) -> Iterator[Any]:
    yield plot_rate(about.plane, about.mu, 1.0)
    up = np.linspace(0, 0.98, 50)  # coarser than a rate map: here every cell is run
    reach = min(1.02 * float(np.max(stability_limit(plane_of(about.plane).at(1.0, up)))), 8.0)
    yield plot_times(about.plane, [about.mu, 1.0], across=np.linspace(0, reach, 61)[1:], up=up)
    yield plot_worst_case(about.beside(heavy_ball), about.mu, 1.0)


def _tuning(about: _About) -> Iterator[Any]:
    rows = []
    for kappa in (10.0, 100.0, 1000.0, 10_000.0):
        best = minimax(about.open, 1 / kappa, 1.0)
        rates = {r.name: tune(r, 1 / kappa, 1.0).rate for r in _CLASSICS}
        rates = {about.open.name: best.rate, **rates, "lower bound": float(lower_rate(kappa))}
        # What is left of 1 - rate is what counts.
        times = {name: _time(cast(float, rate)) for name, rate in rates.items()}
        rows.append({"kappa": kappa, "setting": _setting(best), **times})
    yield pd.DataFrame(rows)
    yield "Steps per factor e, -1/log(rate), at the best setting for each condition number; fewer is better."


def _time(rate: float) -> float:
    with np.errstate(divide="ignore"):
        return round(float(-1 / np.log(rate)), 1) if rate < 1 else math.inf


def _atlas(about: _About) -> Iterator[Any]:
    yield plot_atlas(about.plane)
    yield plot_damping(about.plane)


def _motion(about: _About) -> Iterator[Any]:
    curvatures = np.array([about.mu, math.sqrt(about.mu), 1.0])
    fig, axes = plt.subplots(1, 3, figsize=(10, 3.2))
    data: dict[str, Any] = {}
    for lam, ax in zip(curvatures, axes, strict=True):
        view = plot_motion(about.at.closed(), float(lam), 60, ax=ax)
        ax.set_title(f"curvature {lam:g}")
        data |= {f"{name}, lam {lam:g}": values for name, values in view.data.items()}
    yield Picture(fig, axes[0], data, "The motion on the flattest, a middle and the steepest direction.")
    found = damping(about.at.closed(), curvatures)
    names = ("roots", "ratio", "period", "half_life", "overshoot")
    yield pd.DataFrame({"curvature": curvatures} | {name: getattr(found, name) for name in names})


def _ravine(about: _About) -> Iterator[Any]:
    ravine = Quadratic([about.mu, 1.0])
    rules = about.beside(gradient_descent, heavy_ball)
    start = np.array([1.0, 0.3])
    yield plot_path(rules, ravine, start, 60)
    yield plot_error(rules, ravine, start, 150)


def _noise(about: _About) -> Iterator[Any]:
    sd = math.sqrt(float(stationary_covariance(about.at.closed(), 1.0, 1.0)[0, 0]))
    yield f"At curvature 1 and gradient noise of s.d. 1, theta keeps an s.d. of {sd:.4g}."
    yield plot_noise_floor(about.beside(gradient_descent))
    yield plot_response(about.at)


def _worst_case(about: _About) -> Iterator[Any]:
    table: dict[str, list[float]] = {"steps": [1, 2, 3]}
    for label, rule in about.beside(gradient_descent).items():
        table[label] = [_certified(rule, about.mu, steps) for steps in (1, 2, 3)]
    yield pd.DataFrame(table)
    yield (
        f"The largest distance to the minimizer that a function with curvatures {about.mu:g} to 1 can leave, "
        "over that at the start (PEPit). Above 1, some function drives it away; nan: the solver was not sure."
    )


def _certified(rule: Rule, mu: float, steps: int) -> float:
    """The exact worst of ||theta_steps - minimizer|| from rest at distance 1."""
    from PEPit import PEP
    from PEPit.functions import SmoothStronglyConvexFunction

    from momentum_lib.adapters import as_pepit

    problem = PEP()
    f = problem.declare_function(SmoothStronglyConvexFunction, mu=mu, L=1.0)
    minimizer, start = f.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((start - minimizer) ** 2 <= 1)
    end = as_pepit(rule)(f, start, steps)[-1]
    problem.set_performance_metric((end - minimizer) ** 2)
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always", UserWarning)
        value = problem.solve(solver="CLARABEL", verbose=0)
    sure = not any("inaccurate" in str(warning.message) for warning in caught)
    return round(math.sqrt(max(value, 0.0)), 4) if sure else math.nan


def _training(about: _About) -> Iterator[Any]:
    from momentum_lib.learning.training import train

    if about.task is None:
        yield "None was asked for: report(rule, task=Classifier()) trains one."
        return
    best = {}
    for label, rule in about.beside(heavy_ball).items():
        if len(rule.step_letters) != 1:
            raise RuleError(f"{rule.name} has not one step size to try five values of.")
        tried = [
            train(rule.at(**{rule.step_letters[0]: h}), about.task, about.steps)
            for h in (0.01, 0.03, 0.1, 0.3, 1.0)
        ]
        best[label] = min(tried, key=lambda made: float(made.error[-1]))
    yield plot_training(best)
    chosen = "; ".join(str(made.rule) for made in best.values())
    yield f"The best of five step sizes each, by the last error, with one seed: {chosen}."


_SECTIONS: tuple[tuple[str, Callable[[_About], Iterator[Any]]], ...] = (
    ("Your lines", _source),
    ("Beside the classics", _beside),
    ("Which method it is", _which_method),
    ("In symbols", _in_symbols),
    ("Matrix and stability", _matrix),
    ("Stability region", _region),
    ("Rate map", _rate),
    ("Tuning", _tuning),
    ("Damping atlas", _atlas),
    ("Motion", _motion),
    ("Path on a ravine", _ravine),
    ("Noise floor", _noise),
    ("Worst case", _worst_case),
    ("Training", _training),
)


def _section(part: tuple[str, Callable[[_About], Iterator[Any]]], about: _About) -> Section:
    title, blocks = part
    shown: list[str] = []
    tables: list[pd.DataFrame] = []
    refusal = ""
    try:
        for block in blocks(about):
            shown.append(_shown(block, re.sub(r"\W+", "-", f"{about.given.name} {title[:3]} {len(shown)}")))
            if isinstance(block, pd.DataFrame):
                tables.append(block)
            elif isinstance(block, Picture):
                tables.append(pd.DataFrame({k: pd.Series(v) for k, v in columns_of(block.data).items()}))
    except ValueError as error:  # RuleError and NotLinear are of this kind
        refusal = str(error)
        shown.append(f"<p><i>Does not apply{' further' * bool(shown)}: {html.escape(refusal)}</i></p>")
    return Section(title, "\n".join(shown), tables, refusal)


def _shown(block: Any, mark: str) -> str:
    """A block as HTML; what comes as text is escaped, always."""
    if isinstance(block, Picture):
        return f"<figure>{_svg(block, mark)}<figcaption>{html.escape(block.caption)}</figcaption></figure>"
    if isinstance(block, pd.DataFrame):
        return str(block.to_html(index=False, border=0, float_format=lambda x: f"{x:.6g}"))
    if isinstance(block, _Formula):
        return _mathml(block.latex)
    if isinstance(block, _Code):
        return f"<pre>{html.escape(block.text)}</pre>"
    return f"<p>{html.escape(block)}</p>"


def _mathml(latex: str) -> str:
    from latex2mathml.converter import convert

    body = re.sub(r"\\(begin|end)\{aligned\}", "", latex)
    # A letter of several characters is one word, and no product.
    body = re.sub(
        r"\\(?:begin|end)\{\w+\}|\\[A-Za-z]+|([A-Za-z]{2,})",
        lambda found: rf"\mathit{{{found[1]}}}" if found[1] else found[0],
        body,
    )
    lines = [line.replace("&&", r"\quad").replace("&", "") for line in re.split(r"\\\\\n", body)]
    return "\n".join(convert(line.strip(), display="block") for line in lines)


def _svg(picture: Picture, mark: str) -> str:
    """The figure as inline SVG, its ids told apart from those of the other figures of a page."""
    for lines in picture.ax.findobj(LineCollection):
        lines.set_rasterized(True)  # the atlas alone has three hundred of them
    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none"}):
        picture.fig.savefig(buffer, format="svg", dpi=60, metadata={"Date": None, "Creator": None})
    plt.close(picture.fig)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{mark}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{mark}-", text)
    # A hundredth of a point is finer than any screen, and half the file.
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)
    # White space, and turns by nothing, are a fifth of what is left.
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r"\s+", " ", text.replace("base64,\n", "base64,"))
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(picture.caption)}" ', 1)


_STYLE = """
body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 sans-serif;color:#222}
section{margin:2.5rem 0}h2{border-bottom:1px solid #ccc}
pre{background:#f6f6f6;padding:1rem;overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}
figure{margin:1rem 0}svg{max-width:100%;height:auto}figcaption{color:#555}math{margin:.4rem 0}
"""
