"""Zig-zags in a ravine, measures that disagree, the damping dictionary beside runs, growth, restarts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage

from momentum_lib.definition import Rule
from momentum_lib.noise import stationary_covariance
from momentum_lib.nonlinear import fixed_restart, function_restart, gradient_restart
from momentum_lib.oscillation import (
    count_reversals,
    count_rises,
    count_sign_changes,
    damping_ratio,
    half_life,
    measure_half_life,
    measure_overshoot,
    measure_path_ratio,
    oscillation_period,
    overshoot,
    sign_changes,
)
from momentum_lib.plots import THEORY, hatch_unstable, rule_style
from momentum_lib.problems import Noisy, Problem, Quadratic
from momentum_lib.rules import gradient_descent, heavy_ball, nesterov
from momentum_lib.runner import run
from momentum_lib.schedules import nesterov_sequence
from momentum_lib.spectrum import iteration_matrix, spectral_radius, transient_growth

__all__ = [
    "MEASURES",
    "compute_dictionary",
    "compute_gaps",
    "compute_growth",
    "compute_log_sum_exp",
    "compute_measures",
    "compute_paths",
    "compute_restarts",
    "compute_wander",
    "draw_dictionary",
    "draw_growth",
    "draw_map",
    "draw_measures",
    "draw_paths",
    "draw_restarts",
]

Array = np.ndarray[Any, Any]

#: Four things people mean by oscillation.
MEASURES = ("sign flips", "rises of f", "path / displacement", "reversals")

#: Nesterov's convex sequence with and without restarts, the best constant momentum, gradient descent.
_LOOKS: dict[str, dict[str, Any]] = {
    "gradient descent": rule_style("gradient_descent"),
    "no restart": {"color": "#CC79A7", "linestyle": (0, (1, 1))},
    "function": {"color": "#0072B2", "linestyle": (0, (3, 1))},
    "gradient": {"color": "#009E73", "linestyle": "-"},
    "fixed": {"color": "#E69F00", "linestyle": (0, (6, 2, 1, 2))},
    "best constant": rule_style("nesterov"),
}


def compute_measures(rule: Rule, problem: Problem, theta0: Any, steps: int, **hyper: Any) -> dict[str, Array]:
    """Four measures of oscillation along runs, for single settings and for grids.

    Returns
    -------
    dict
        ``"sign flips"`` (of all coordinates together), ``"rises of f"``, ``"path / displacement"``,
        ``"reversals"`` (negative cosines between successive steps), each of the grid's shape.

    Raises
    ------
    ValueError, RuleError
        As `run`.

    Examples
    --------
    >>> from momentum_lib import Quadratic, gradient_descent
    >>> found = compute_measures(gradient_descent, Quadratic([1.0]), [1.0], 10, eta=1.5)
    >>> int(found["sign flips"]), int(found["rises of f"]), int(found["reversals"])
    (10, 0, 9)
    """
    theta = run(rule.at(**hyper), problem.grad, theta0, steps, record=("theta",)).theta
    counts = (
        count_sign_changes(theta - problem.minimizer).sum(axis=-1),
        count_rises(problem.value(theta)),
        measure_path_ratio(theta),
        count_reversals(theta),
    )
    return dict(zip(MEASURES, map(np.asarray, counts), strict=True))


def compute_paths(
    rule: Rule, problem: Problem, theta0: Any, steps: int, settings: Sequence[tuple[float, float]]
) -> dict[str, Array]:
    """Run from `theta0` at each (eta, gamma).

    Returns
    -------
    dict
        ``"eta 0.1, gamma 0.9"`` and so on: (steps + 1, d), in the order given.

    Raises
    ------
    ValueError, RuleError
        As `run`.

    Examples
    --------
    >>> from momentum_lib import Quadratic, heavy_ball
    >>> compute_paths(heavy_ball, Quadratic([1.0]), [1.0], 2, [(1.5, 0)])["eta 1.5, gamma 0"].ravel()
    array([ 1.  , -0.5 ,  0.25])
    """
    return {
        f"eta {eta:g}, gamma {gamma:g}": run(rule.at(eta=eta, gamma=gamma), problem.grad, theta0, steps).theta
        for eta, gamma in settings
    }


def draw_paths(data: Mapping[str, Array], axes: Any, problem: Problem, rule: Rule) -> None:
    """Draw one path of the plane a panel, over level lines of f; the start white, the minimizer a cross."""
    for ax, (name, theta) in zip(np.ravel(axes), data.items(), strict=True):
        reach = 1.12 * max(1.0, float(np.abs(theta).max()))
        x, y = np.meshgrid(*[np.linspace(-reach, reach, 81)] * 2)
        levels = np.geomspace(1e-3, 1, 8) * problem.value(np.array([reach, reach]))
        height = problem.value(np.stack([x, y], axis=-1))
        ax.contour(x, y, height, levels=levels, colors="0.8", linewidths=0.6)
        ax.plot(*theta.T, "o-", color=rule_style(rule)["color"], ms=2.2, lw=0.8)
        ax.plot(*theta[0], "o", color="white", mec="black", ms=6, zorder=4)
        ax.plot(*problem.minimizer, "x", color="black", ms=6, mew=1.4, zorder=4)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        ax.grid(False)
        flips = count_sign_changes(theta - problem.minimizer)[-1]
        ax.set_title(f"{name}\n{flips} sign flips of y", fontsize=9.5)


def draw_measures(found: Mapping[str, Mapping[str, Array]], gamma: Array, axes: Any) -> None:
    """Draw one panel a measure against gamma, one line a way to choose the learning rate."""
    looks = (("#0072B2", "-"), ("#D55E00", (0, (6, 2))), ("#CC79A7", (0, (2, 1))), ("#009E73", "-."))
    for ax, measure in zip(np.ravel(axes), MEASURES, strict=True):
        for (name, part), (color, style) in zip(found.items(), looks, strict=False):
            ax.plot(gamma, part[measure], color=color, ls=style, lw=1.5, label=name)
        ax.set_title(measure)
        if measure == "path / displacement":
            ax.set_yscale("log")
            ax.set_title(f"{measure} (log scale)")
    for ax in np.atleast_2d(axes)[-1]:
        ax.set_xlabel("gamma")


def compute_wander(
    rule: Rule,
    lam: Any,
    sigma: float,
    rng: np.random.Generator,
    *,
    runs: int = 100,
    steps: int = 2500,
    **hyper: Any,
) -> dict[str, Array]:
    """How noisy gradients move a rule around a minimum, after 500 steps to forget the start.

    Parameters
    ----------
    rule : Rule
    lam : (d,) array
        Curvatures; the spread is that along the last.
    sigma : float
        Standard deviation of the noise in each component of the gradient.
    **hyper
        Arrays of one shape (k,).

    Returns
    -------
    dict
        ``"reversals"`` (k,): the share of steps that turn by more than a right angle, and
        ``"over runs"`` (k,), its standard deviation over the runs; ``"spread"`` and ``"spread, exact"``
        (k,): the standard deviation of theta.

    Raises
    ------
    ValueError, RuleError
        As `run`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> rng, gamma = np.random.default_rng(0), np.array([0.0, 0.9])
    >>> found = compute_wander(heavy_ball, [0.1, 1.0], 1.0, rng, steps=1500, eta=0.1, gamma=gamma)
    >>> found["reversals"].round(1).tolist(), found["spread, exact"].round(2).tolist()
    ([0.5, 0.1], [0.23, 0.72])
    """
    lam = np.asarray(lam, float)
    oracle = Noisy(Quadratic(lam), sigma)
    out = run(rule.at(**hyper), oracle, np.zeros((runs, lam.size)), steps, rng=rng, record=("theta",))
    theta = out.theta[500:]
    share = count_reversals(theta) / (len(theta) - 2)
    return {
        "reversals": share.mean(axis=-1),
        "over runs": share.std(axis=-1),
        "spread": theta[..., -1].std(axis=(0, 2)),
        "spread, exact": np.sqrt(stationary_covariance(rule.at(**hyper), lam[-1], sigma)[..., 0, 0]),
    }


def compute_dictionary(rule: Rule, lam: Any, gamma: Any, *, steps: int = 4000) -> dict[str, Array]:
    """Each entry of the damping dictionary beside what a run from rest shows.

    Overshoots and sign changes (in 100 steps) are measured in every cell. Periods and half-lives are read
    off zero crossings and envelopes, so only in cells that swing 40 times or more within `steps` and 450
    half-lives, after which squares underflow; the measured damping ratio follows from those two.

    Parameters
    ----------
    rule : Rule
        A linear rule with the hyper-parameters eta and gamma; eta is 1 here.
    lam, gamma : (k,) arrays
        Stable settings.

    Returns
    -------
    dict
        ``"overshoot"``, ``"sign changes"``, ``"period"``, ``"half-life"``, ``"damping ratio"``, and each
        of them again as ``"..., run"``, all (k,); nan where a run does not show it.

    Raises
    ------
    RuleError
        As `overshoot`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> found = compute_dictionary(heavy_ball, np.array([0.1, 0.001]), np.array([0.9, 0.9]), steps=1000)
    >>> found["period"].round(2).tolist(), found["period, run"].round(2).tolist()
    ([19.53, inf], [19.53, nan])
    """
    lam, gamma = np.asarray(lam, float), np.asarray(gamma, float)
    at = {"eta": 1.0, "gamma": gamma}
    # eta carries the curvature, so that one grid holds all cells.
    theta = run(rule.at(eta=lam, gamma=gamma), lambda x: x, 1.0, steps, record=("theta",)).theta
    period, life = oscillation_period(rule.at(**at), lam), half_life(rule.at(**at), lam)
    last = np.minimum(steps, 450 * life).astype(int)
    seen_period, seen_life = np.full((2, lam.size), np.nan)
    for cell in np.flatnonzero(last > 40 * period):
        path = theta[: last[cell] + 1, cell]
        before = np.flatnonzero(path[1:] * path[:-1] < 0)
        crossing = before + path[before] / (path[before] - path[before + 1])
        seen_period[cell] = 2 * (crossing[-1] - crossing[0]) / (crossing.size - 1)
        seen_life[cell] = measure_half_life(path[:, None])
    decrement = math.log(2) * seen_period / seen_life  # the logarithm of one swing over the next
    return {
        "overshoot": overshoot(rule.at(**at), lam),
        "overshoot, run": measure_overshoot(theta),
        "sign changes": sign_changes(rule.at(**at), lam, 100),
        "sign changes, run": count_sign_changes(theta[:101]),
        "period": period,
        "period, run": seen_period,
        "half-life": life,
        "half-life, run": seen_life,
        "damping ratio": damping_ratio(rule.at(**at), lam),
        "damping ratio, run": decrement / np.hypot(2 * math.pi, decrement),
    }


def compute_gaps(found: Mapping[str, Array]) -> dict[str, float]:
    """The largest gap between formula and run in what `compute_dictionary` returns.

    Absolute for counts and overshoots, relative for the others; the number of cells whose swings could be
    measured comes last.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> gaps = compute_gaps(compute_dictionary(heavy_ball, np.array([0.1, 1.0]), np.array([0.9, 0.5])))
    >>> gaps["sign changes"], gaps["overshoot"] < 1e-12, gaps["period (relative)"] < 1e-2
    (0.0, True, True)
    """
    gaps = {
        name: float(np.abs(found[f"{name}, run"] - found[name]).max())
        for name in ("sign changes", "overshoot")
    }
    for name in ("period", "half-life", "damping ratio"):
        gap = np.abs(found[f"{name}, run"] / found[name] - 1)
        gaps[f"{name} (relative)"] = float(np.nanmax(gap, initial=0.0))
    return gaps | {"settings with a measured swing": float(np.isfinite(found["period, run"]).sum())}


def draw_dictionary(rules: Sequence[Rule], axes: Any, gamma: float, lam: Any) -> dict[str, Array]:
    """Draw period, half-life and overshoot against eta lam at one gamma: formulas dashed, runs as markers.

    Returns
    -------
    dict
        ``"h"`` and what the markers show, nan where a rule is unstable or a run shows nothing.
    """
    lam = np.asarray(lam, float)
    fine = np.geomspace(lam[0] / 1.2, lam[-1] * 1.03, 400)
    data: dict[str, Array] = {"h": lam}
    for rule in rules:
        line = compute_dictionary(rule, fine, np.full(fine.size, gamma), steps=1)
        stable = np.isfinite(half_life(rule.at(eta=1.0, gamma=gamma), lam))
        runs = compute_dictionary(rule, lam[stable], np.full(stable.sum(), gamma), steps=3000)
        for ax, name in zip(axes, ("period", "half-life", "overshoot"), strict=True):
            look = rule_style(rule) | {"linestyle": "", "markevery": 1}
            seen = data[f"{name}, {rule.name}"] = np.full(lam.size, np.nan)
            seen[stable] = runs[f"{name}, run"]
            ax.semilogx(lam, seen, **look, label=rule.name)
            ax.plot(fine, np.where(np.isfinite(line["half-life"]), line[name], np.nan), **THEORY)
            ax.set(xlabel="h = eta·lam (log scale)", title=name)
    axes[0].set(ylabel="steps (log scale)", yscale="log")
    axes[1].set(ylabel="steps", ylim=(0, 1.6 * half_life(heavy_ball.at(eta=1.0, gamma=gamma), 1.0)))
    axes[2].set(ylabel="fraction of the start")
    axes[2].legend()
    return data


def compute_growth(
    rule: Rule,
    lam: float,
    weights: Sequence[float],
    steps: int,
    peaks_at: Array,
    gammas: Sequence[float],
    **hyper: Any,
) -> dict[str, Array]:
    """The norm of powers of the iteration matrix under two rulers, and its peak over curvatures.

    Parameters
    ----------
    rule : Rule
    lam : float
        Curvature of the powers.
    weights : sequence of float
        What the second ruler multiplies each slot by.
    steps : int
    peaks_at : (k,) array
        Curvatures of the peaks.
    gammas : sequence of float
        Momenta of the peaks; the other hyper-parameters are those of the powers.

    Returns
    -------
    dict
        ``"slots"`` and ``"weighted"`` (steps + 1,); ``"rho^t"`` (steps + 1,); ``"peak, gamma 0.9"`` (k,)
        and so on, of the slots unweighted.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> grown = compute_growth(heavy_ball, 0.01, [0.1, 0.9**0.5], 20, [0.01], [0.9], eta=1.0, gamma=0.9)
    >>> [float(grown[name].max().round(3)) for name in ("slots", "weighted")]
    [5.016, 1.0]
    """
    matrix = iteration_matrix(rule.at(**hyper), lam)
    scale = np.asarray(weights, float)
    powers = [np.eye(len(scale))]
    for _ in range(steps):
        powers.append(matrix @ powers[-1])
    stack = np.array(powers)
    grown = {
        "slots": np.linalg.norm(stack, 2, axis=(1, 2)),
        "weighted": np.linalg.norm(scale[:, None] * stack / scale, 2, axis=(1, 2)),
        "rho^t": spectral_radius(rule.at(**hyper), lam) ** np.arange(steps + 1),
    }
    for gamma in gammas:
        at = hyper | {"gamma": gamma}
        grown[f"peak, gamma {gamma:g}"] = transient_growth(rule.at(**at), np.asarray(peaks_at)).peak
    return grown


def draw_growth(data: Mapping[str, Array], axes: Any, peaks_at: Array) -> None:
    """Draw the norms against steps in ``axes[0]`` and the peaks against curvature in ``axes[1]``."""
    left, right = axes
    for name, label, style in (("slots", "(theta, v)", "-"), ("weighted", "energy", (0, (6, 2)))):
        left.semilogy(data[name], ls=style, color="#0072B2", lw=1.6, label=label)
    left.semilogy(data["rho^t"], **THEORY, label="rho^t")
    left.set(xlabel="steps", ylabel="largest growth (log scale)")
    looks: tuple[tuple[str, Any], ...] = (("#009E73", "-."), ("#0072B2", "-"), ("#D55E00", (0, (6, 2))))
    peaks = [name for name in data if name.startswith("peak, ")]
    for name, (color, style) in zip(peaks, looks, strict=False):
        right.loglog(peaks_at, data[name], color=color, ls=style, label=name.removeprefix("peak, "))
    right.set(xlabel="h = eta·lam (log scale)", ylabel="peak (log scale)")
    left.legend()
    right.legend()


def draw_map(
    ax: Axes, rule: Rule, values: Array, gamma: Array, lam: Array, *, top: float, lines: Sequence[float] = ()
) -> AxesImage:
    """Draw values over gamma (across) and log eta lam (up): level lines white, the unstable part hatched."""
    g, h = np.meshgrid(gamma, lam)
    unstable = spectral_radius(rule.at(eta=1.0, gamma=g), h) >= 1
    shown = np.where(unstable, np.nan, values)
    low, high = np.log10(lam[[0, -1]])
    image = ax.imshow(
        np.clip(shown, 0, top),
        extent=(gamma[0], gamma[-1], low, high),
        norm=Normalize(0, top),
        cmap="cividis",
    )
    ax.grid(False)
    if len(lines):
        ax.contour(gamma, np.log10(lam), shown, levels=list(lines), colors="white", linewidths=0.9)
    hatch_unstable(ax, gamma, np.log10(lam), unstable)
    ax.set(xlabel="gamma", title=rule.name, ylim=(low, high))
    return image


def compute_restarts(
    eigenvalues: Any, theta0: Any, steps: int, *, tol: float = 1e-10, schemes: Sequence[str] = tuple(_LOOKS)
) -> dict[str, dict[str, Any]]:
    """Nesterov's convex sequence under each restart scheme on a quadratic, and what it competes with.

    All with eta = 1/L. ``"best constant"`` knows mu and ``"fixed"`` restarts each e sqrt(8 kappa) steps;
    the others know L alone.

    Returns
    -------
    dict
        For each scheme a dict: ``"gap"`` (steps + 1,), f over its start; ``"steps"``, the first with a
        gap of `tol` or less (inf if none); ``"for good"``, the same without a later excess;
        ``"restarts"`` (steps + 1,), how many there were, or None.

    Raises
    ------
    ValueError
        As `run`.

    Examples
    --------
    >>> found = compute_restarts(np.geomspace(0.01, 1, 200), np.ones(200), 250, schemes=("gradient",))
    >>> found["gradient"]["steps"], int(found["gradient"]["restarts"][137])
    (137.0, 3)
    """
    lam = np.asarray(eigenvalues, float)
    eta, kappa = 1 / lam.max(), lam.max() / lam.min()

    def value(theta: Array) -> Array:
        half: Array = (lam * theta**2).sum(axis=-1) / 2
        return half

    rules: dict[str, tuple[Rule, dict[str, Any]]] = {
        "gradient descent": (gradient_descent, {}),
        "no restart": (nesterov, {"gamma": nesterov_sequence()}),
        "function": (function_restart(value), {}),
        "gradient": (gradient_restart, {}),
        "fixed": (fixed_restart, {"period": round(math.e * math.sqrt(8 * kappa))}),
        "best constant": (nesterov, {"gamma": (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)}),
    }
    found = {}
    for name in schemes:
        rule, hyper = rules[name]
        kept = ("theta", "restarts") if "restarts" in rule.slots else ("theta",)
        out = run(rule.at(eta=eta, **hyper), lambda x: lam * x, theta0, steps, record=kept)
        gap = value(out.theta)
        above = gap > tol * gap[0]
        found[name] = {
            "gap": gap / gap[0],
            "steps": math.inf if above.all() else float(np.argmin(above)),
            "for good": math.inf if above[-1] else float(np.flatnonzero(above)[-1] + 1),
            "restarts": out.slots["restarts"][:, 0] if "restarts" in kept else None,
        }
    return found


def compute_log_sum_exp(
    rng: np.random.Generator,
    sizes: tuple[int, int, float],
    draws: int,
    constants: Array,
    *,
    steps: int = 1000,
) -> dict[str, Array]:
    """Restarts and constant momenta on random f(x) = r log sum_i exp((a_i'x - b_i)/r), scaled to L = 1.

    Parameters
    ----------
    rng : Generator
    sizes : unknowns n, terms m and r
        a_i and b_i are standard normal; then all a_i are scaled, so that L = ||A||²/r = 1.
    draws : int
        Number of functions.
    constants : (k,) array
        Momenta that Nesterov's rule tries.
    steps : int
        Length of a run.

    Returns
    -------
    dict
        Steps until f stays within 1e-8 of its first gap to the minimum, inf if it does not:
        ``"no restart"``, ``"function"``, ``"gradient"`` (draws,) and ``"constants"`` (k, draws).

    Raises
    ------
    ValueError
        As `run`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = compute_log_sum_exp(rng, (5, 30, 5.0), 2, np.array([0.8, 0.9]), steps=300)
    >>> found["constants"].shape, bool((found["gradient"] < 300).all())
    ((2, 2), True)
    """
    n, m, r = int(sizes[0]), int(sizes[1]), float(sizes[2])
    a, b = rng.standard_normal((draws, m, n)), rng.standard_normal((draws, m))
    a *= math.sqrt(r) / np.linalg.norm(a, 2, axis=(1, 2))[:, None, None]

    def terms(x: Array) -> Array:
        return np.asarray(np.exp(((a @ x[..., None])[..., 0] - b) / r))

    def value(x: Array) -> Array:
        return np.asarray(r * np.log(terms(x).sum(axis=-1)))

    def grad(x: Array) -> Array:
        weights = terms(x)
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights[..., None, :] @ a)[..., 0, :]

    start = np.zeros((draws, n))
    bottom = value(run(gradient_restart.at(eta=1.0), grad, start, steps, every=steps).theta[-1])

    def needed(rule: Rule, **hyper: Any) -> Array:
        gap = value(run(rule.at(eta=1.0, **hyper), grad, start, steps, record=("theta",)).theta) - bottom
        above = gap > 1e-8 * gap[0]
        return np.where(above[-1], np.inf, steps + 1 - above[::-1].argmax(axis=0))

    return {
        "no restart": needed(nesterov, gamma=nesterov_sequence()),
        "function": needed(function_restart(value)),
        "gradient": needed(gradient_restart),
        "constants": needed(nesterov, gamma=np.asarray(constants, float)),
    }


def draw_restarts(data: Mapping[str, Array], ax: Axes, *, low: float = 1e-10) -> None:
    """Draw the gap of each scheme down to `low`, in its own look."""
    for name, gap in data.items():
        # A line ends where it leaves the panel for good.
        end = int(np.flatnonzero(gap > low)[-1]) + 2
        ax.semilogy(
            np.arange(gap.size)[:end], gap[:end], label=name, **_LOOKS[name] | {"lw": 1.5, "marker": ""}
        )
    ax.set(xlabel="steps", ylim=(low, 3))
