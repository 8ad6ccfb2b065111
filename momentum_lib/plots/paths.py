"""Runs drawn: the path over contours, the error against steps, the motion with its envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from momentum_lib.clock import brief, count_of, real, reals
from momentum_lib.definition import NotLinear
from momentum_lib.plots import THEORY, label_end
from momentum_lib.plots.canvas import Picture, axes_for, canvas_for, looks_of, rising, rules_of, start_of
from momentum_lib.problems import Problem, Quadratic
from momentum_lib.runner import Run, run
from momentum_lib.spectrum import regimes, spectral_radius
from momentum_lib.tuning import worst_rate

__all__ = ["plot_error", "plot_motion", "plot_path"]

Array = np.ndarray[Any, Any]


def plot_path(
    rules: Any,
    problem: Problem | Callable[[Any], Any],
    theta0: Any,
    steps: int,
    *,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    levels: Any = 10,
    look_ahead: bool = False,
    rng: Any = None,
    ax: Axes | None = None,
) -> Picture:
    """Draw the paths of one rule or several over the contours of a function of two coordinates.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        At their settings.
    problem : Problem, oracle or function
        What is descended; of a function f alone the gradient is found (`Problem.from_function`).
    theta0 : (2,) array
    steps : int
    xlim, ylim : pair of float, optional
        By default what holds the paths as far as they stay near, and the minimizers.
    levels : int, "log" or array of heights
        Contours: so many, evenly spaced on a bowl; so many on a log scale (``"log"``); or given heights
        of f above its least value on the map.
    look_ahead : bool
        Mark where each gradient is read.
    rng : Generator or seed, optional
        For a stochastic oracle.
    ax : Axes, optional

    Raises
    ------
    ValueError
        Not two coordinates, a function that is not finite on the map, levels that show nothing.

    Examples
    --------
    >>> from momentum_lib import Quadratic, heavy_ball
    >>> view = plot_path(heavy_ball.at(eta=1.0, gamma=0.5), Quadratic([0.1, 1.0]), [2.0, 1.0], 30)
    >>> view.data["heavy_ball"].shape
    (31, 2)
    """
    several, theta0 = rules_of(rules), reals("theta0", theta0)
    problem, grad = _descended(problem, 2, theta0)
    if problem.dim != 2:
        raise ValueError(f"{problem!r} has {problem.dim} coordinates, and a path is drawn over two.")
    theta0 = start_of(theta0, (2,))
    runs = {label: run(rule, grad, theta0, steps, rng=rng) for label, rule in several.items()}
    looks = looks_of({label: made.rule for label, made in runs.items()})
    minimizers = np.reshape(np.asarray(problem.minimizers, float), (-1, 2))
    box = _box(problem, [r.theta for r in runs.values()], minimizers, xlim, ylim)
    fig, ax = axes_for(ax)
    _contours(problem, box, levels, ax)
    data: dict[str, Any] = {}
    for label, made in runs.items():
        style = looks[label] | {"linewidth": 1.2, "markersize": 3.2, "markevery": 1, "zorder": 4}
        ax.plot(*made.theta.T, **style, label=label + _diverged(made))
        if look_ahead and made.queries is not None:
            ax.plot(*made.queries.reshape(-1, 2).T, "x", color=style["color"], ms=4, alpha=0.7, zorder=3)
        data[label] = made.theta
    ax.plot(*theta0, "o", color="white", mec="black", ms=6, zorder=5)
    ax.plot(*minimizers.T, "+", color="black", ms=9, mew=1.4, zorder=5)
    ax.set(xlim=box[0], ylim=box[1], xlabel="theta 1", ylabel="theta 2")
    wide, high = np.ptp(box[0]), np.ptp(box[1])
    if max(wide, high) < 4 * min(wide, high):
        ax.set_aspect("equal")  # right angles look right
    ax.grid(False)
    if len(runs) > 1 or any(made.diverged_at is not None for made in runs.values()):
        ax.legend(loc="best")
    known = "; + is a minimizer" if len(minimizers) else ""
    return Picture(fig, ax, data, f"{' and '.join(runs)} from the open dot over the contours of f{known}.")


def plot_error(
    rules: Any,
    problem: Problem | Callable[[Any], Any],
    theta0: Any,
    steps: int,
    *,
    of: str = "distance",
    theory: bool = True,
    rng: Any = None,
    ax: Axes | None = None,
) -> Picture:
    """Draw the error against steps, on a log scale, with the predicted rate where the problem is quadratic.

    Parameters
    ----------
    rules, problem, theta0, steps, rng, ax
        As in `plot_path`, in any number of coordinates.
    of : {"distance", "gap"}
        The distance to the minimizer, or f above its minimum.
    theory : bool
        Add rho^t (for the gap rho^2t), rho the worst spectral radius, as a dashed line.

    Raises
    ------
    ValueError
        A problem that does not know its minimizer, another `of`.

    Examples
    --------
    >>> from momentum_lib import Quadratic, heavy_ball, nesterov, tune
    >>> view = plot_error([tune(r, 0.01, 1) for r in (heavy_ball, nesterov)], Quadratic([0.01, 1.0]), 1.0, 99)
    >>> view.data["nesterov"].shape
    (100,)
    """
    if not isinstance(of, str) or of not in ("distance", "gap"):
        raise ValueError(f'of is {brief(of)}; give "distance" or "gap".')
    several, theta0 = rules_of(rules), reals("theta0", theta0)
    problem, grad = _descended(problem, theta0.size, theta0)
    theta0 = start_of(theta0, (problem.dim,))
    if np.array_equal(theta0, problem.minimizer):
        raise ValueError(f"theta0={theta0.tolist()} is the minimizer, and no error shows; start elsewhere.")
    data: dict[str, Any] = {"t": np.arange(count_of("steps", steps, 0, 10**7) + 1)}
    looks, (fig, ax) = looks_of(several), axes_for(ax)
    for label, rule in several.items():
        made = run(rule, grad, theta0, steps, rng=rng)
        with np.errstate(all="ignore"):
            away = made.theta - problem.minimizer
            error = np.linalg.norm(away, axis=-1) if of == "distance" else problem.gap(made.theta)
        data[label] = np.where(np.isfinite(error), error, np.nan)
        (line,) = ax.semilogy(data["t"], np.where(data[label] > 0, data[label], np.nan), **looks[label])
        label_end(ax, line, label + _diverged(made))
        if theory and isinstance(problem, Quadratic) and not (rule.schedules or made.diverged_at):
            try:
                rho = float(worst_rate(rule, problem.mu, problem.L))
            except NotLinear:  # its error has no such rate
                continue
            data[f"{label}, rate"] = data[label][0] * rho ** (data["t"] * (2 if of == "gap" else 1))
            ax.semilogy(data["t"], data[f"{label}, rate"], **THEORY)
    ax.set(xlabel="steps t", ylabel=f"{'distance to the minimizer' if of == 'distance' else 'f - min f'}")
    ax.margins(x=0.02)
    return Picture(fig, ax, data, f"The {of} of {' and '.join(several)} against steps; dashed, the rate.")


def plot_motion(rules: Any, lam: float = 1.0, steps: int = 60, *, ax: Axes | None = None) -> Picture:
    """Draw theta_t of one eigen-direction against t, between its envelopes ± C rho^t.

    C is the least number with which the envelope holds at every step shown.

    Parameters
    ----------
    rules : Rule, several, or a mapping of label to Rule
        Linear; a single step size that is open counts as 1, so that `lam` is eta·lam.
    lam : float
        Curvature.
    steps : int
    ax : Axes, optional

    Raises
    ------
    NotLinear, RuleError
        As `spectral_radius`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> sorted(plot_motion(heavy_ball.at(gamma=0.9), 0.1, 40).data)
    ['heavy_ball', 'heavy_ball, envelope', 't']
    """
    lam = real("lam", lam)
    several, looks, fig, ax = canvas_for(rules, ax)
    data: dict[str, Any] = {"t": np.arange(count_of("steps", steps, 1, 10**7) + 1)}
    words = []
    for label, rule in several.items():
        rule = rule.in_unit_steps()
        theta = run(rule, lambda x: lam * x, 1.0, steps, record=("theta",)).theta
        rho = float(spectral_radius(rule, lam))
        with np.errstate(all="ignore"):
            fall = rho ** data["t"]
            envelope = np.nanmax(np.abs(theta) / fall) * fall if rho > 0 else np.abs(theta)
        regime = str(regimes(rule, lam))
        words.append(regime if rho < 1 else "diverges" if rho > 1 else "does not converge")
        style = looks[label]
        ax.plot(data["t"], theta, **style | {"markevery": 1, "markersize": 3, "linewidth": 1.2})
        for sign in (1, -1):
            ax.plot(data["t"], sign * envelope, **THEORY | {"color": style["color"]})
        ax.annotate(
            f"{label}: {words[-1]}", (0.98, 0.97 - 0.08 * (len(words) - 1)), xycoords="axes fraction",
            ha="right", va="top", color=style["color"],
        )  # fmt: skip
        data |= {label: theta, f"{label}, envelope": envelope}
    # A diverging run leaves the picture, and an envelope may begin far above its run.
    reach = min(2.0 * max(float(np.nanmax(np.abs(data[label]))) for label in several), 20.0)
    low, high = np.clip(ax.get_ylim(), -reach, reach)
    ax.set_ylim(low, high + 0.12 * len(words) * (high - low))  # room for the words
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="steps t", ylabel="theta (start 1)")
    caption = f"One eigen-direction, lam = {lam:g}: {', '.join(words)}; dashed, ± C rho^t."
    return Picture(fig, ax, data, caption)


def _descended(problem: Any, dim: int, at: Array) -> tuple[Problem, Any]:
    """The function under a problem, an oracle or f alone, and the gradient that is read."""
    oracle = problem
    while not isinstance(problem, Problem) and hasattr(problem, "problem"):
        problem = problem.problem  # an oracle wraps one
    if isinstance(problem, Problem):
        return problem, oracle if hasattr(oracle, "at_step") else problem.grad
    if not callable(problem):
        raise ValueError(f"{brief(problem)} is no problem and no function; give a Problem or f itself.")
    made = Problem.from_function(problem, dim, at=at if at.shape == (dim,) else None)  # in its domain
    return made, made.grad


def _diverged(made: Run) -> str:
    return "" if made.diverged_at is None else f" (diverged at step {made.diverged_at})"


def _box(
    problem: Problem, paths: list[Array], minimizers: Array, xlim: Any, ylim: Any
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits that hold the paths, but not what has run far away."""
    near = np.concatenate([minimizers, *(path[:1] for path in paths)])
    if not len(minimizers):  # the lowest point of each path stands for what it looked for
        with np.errstate(all="ignore"):
            heights = [np.nan_to_num(problem.value(path), nan=np.inf) for path in paths]
        lowest = [path[np.argmin(height)] for path, height in zip(paths, heights, strict=True)]
        near = np.concatenate([near, lowest])
    reach = 3 * max(float(np.abs(near - near.mean(axis=0)).max()), 1e-3)
    points = np.concatenate([near, *paths])
    points = points[np.abs(points - near.mean(axis=0)).max(axis=-1) <= reach]  # what is not finite is not
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.12 * np.maximum(high - low, 0.25 * ((high - low).max() or 8.0))
    found = [(float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True)]
    given = [
        span if span is None else tuple(rising(n, span, 2)) for n, span in (("xlim", xlim), ("ylim", ylim))
    ]
    return (given[0] or found[0], given[1] or found[1])


def _contours(problem: Problem, box: Any, levels: Any, ax: Axes) -> None:
    x, y = (np.linspace(low, high, 121) for low, high in box)
    with np.errstate(all="ignore"):
        height = np.asarray(problem.value(np.stack(np.meshgrid(x, y), axis=-1)), float)
    if not np.isfinite(height).any():
        raise ValueError("f is finite nowhere on the map; give xlim and ylim where it is.")
    floor = float(np.nanmin(np.where(np.isfinite(height), height, np.nan)))
    floor = min(floor, problem.minimum) if len(problem.minimizers) else floor
    gap = np.where(np.isfinite(height), height - floor, np.nan)
    top = float(np.nanmax(gap))
    if top == 0:
        raise ValueError("no level shows: f is the same all over the map; give wider xlim and ylim.")
    if isinstance(levels, str) and levels == "log":
        lines = np.geomspace(max(top * 1e-6, float(np.nanmin(gap[gap > 0]))), top, 12)
    elif not (lines := np.unique(reals("levels", levels))).size:
        raise ValueError('levels is empty; give a count, "log", or heights above the least value.')
    elif not np.ndim(levels):
        count = count_of("levels", levels, 1, 1000)
        lines = top * (np.arange(1, count + 1) / count) ** 2
    if not ((lines > 0) & (lines <= top)).any():
        raise ValueError(
            f"no level shows: f rises {top:.3g} above its least value on this map, and the levels are "
            f"{lines.min():.3g} to {lines.max():.3g}; give heights above the least value."
        )
    ax.contour(x, y, gap, lines, colors="0.75", linewidths=0.8, zorder=1)
