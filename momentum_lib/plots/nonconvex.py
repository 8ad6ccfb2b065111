"""Figures of notebook 11: shares with their intervals, basins, cycles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap

from momentum_lib.definition import Rule
from momentum_lib.plots import THEORY, rule_style
from momentum_lib.problems import GoujaudCycle, Problem
from momentum_lib.rules import heavy_ball, triple_momentum
from momentum_lib.runner import run
from momentum_lib.tuning import finite_bound, tune

__all__ = [
    "compute_arrivals",
    "compute_caught",
    "compute_interval",
    "compute_return",
    "draw_basins",
    "draw_cycle_basin",
    "draw_cycle_map",
    "draw_departures",
    "draw_shares",
    "draw_survival",
    "draw_worst",
    "write_interval",
]

Array = np.ndarray[Any, Any]

#: Perceptually ordered and apart in gray: four basins.
_BASINS = ["#30123b", "#2a788e", "#7ad151", "#fde725"]


def compute_interval(hits: Any, total: int) -> Array:
    """Return share, lower and upper end (Wilson, 95 %) as rows, one column a count."""
    from scipy.stats import binomtest

    counts = np.ravel(hits).astype(int)
    ends = [binomtest(int(k), int(total)).proportion_ci(method="wilson") for k in counts]
    return np.array([counts / total, [e.low for e in ends], [e.high for e in ends]])


def write_interval(rows: Array) -> list[str]:
    """Write the columns of `compute_interval` as text, two digits."""
    return [f"{share:.2f} [{low:.2f}, {high:.2f}]" for share, low, high in np.reshape(rows, (3, -1)).T]


def compute_arrivals(
    rule: Rule, f: Problem, grad: Any, starts: Array, rng: np.random.Generator
) -> Array:
    """Return how many starts end within 0.3 of a global minimizer after 800 steps."""
    # One setting more, which stands still: noise is drawn for it too, so the committed numbers hang on it.
    rule = rule.at(**{name: np.append(values, 0.0) for name, values in rule.setting.items()})
    last = run(rule, grad, starts, 800, rng=rng, record=("theta",), every=800).theta[-1, :-1]
    goals = np.atleast_2d(getattr(f, "minimizers", f.minimizer))
    with np.errstate(all="ignore"):
        near = ((last[..., None, :] - goals) ** 2).sum(axis=-1) < 0.3**2
    return np.asarray(near.any(axis=-1).sum(axis=-1))


def compute_return(K: int, kappa: float) -> float:
    """Distance from the start of Goujaud's K-gon after five rounds at Polyak's tuning."""
    tuned = tune(heavy_ball, 1 / kappa, 1.0)
    trap = GoujaudCycle(K, mu=1 / kappa, L=1.0, **tuned.setting)
    back = {"v": trap.cycle[-1] - trap.cycle[0]}
    theta = run(tuned, trap.grad, trap.cycle[0], 5 * K, start=back).theta
    return float(np.hypot(*(theta[-1] - trap.cycle[0])))


def compute_caught(K: int, kappa: float, starts: Array) -> int:
    """Return how many starts, at rest, are not near the minimizer after 1200 steps at Polyak's tuning."""
    tuned = tune(heavy_ball, 1 / kappa, 1.0)
    trap = GoujaudCycle(K, mu=1 / kappa, L=1.0, **tuned.setting)
    last = run(tuned, trap.grad, starts, 1200, record=("theta",), every=1200).theta[-1]
    return int((np.hypot(*last.T) > 0.01).sum())


def draw_departures(gamma: Array, steps: Mapping[str, Array], theory: Mapping[str, Array], ax: Axes) -> None:
    """Draw the steps to leave a saddle over gamma, linear theory dashed."""
    for name, needed in steps.items():
        ax.plot(gamma, needed, **rule_style(name), label=name.replace("_", " "))
        ax.plot(gamma, theory[name], **THEORY)
    ax.set(xlabel="gamma", ylabel="steps until |y| > 0.5 (log scale)", yscale="log")
    ax.legend()


def draw_cycle_basin(cycles: Array, extent: tuple[float, float, float, float], cycle: Any, ax: Axes) -> None:
    """Draw, dark, the starts (theta, v) that end on the cycle, and the cycle's own states as stars."""
    ax.imshow(cycles, origin="lower", extent=extent, cmap="cividis_r", aspect="auto")
    ax.axhline(0, color="black", linewidth=0.8, linestyle=":")
    points = np.array([float(x) for x in cycle])
    ax.plot(points, np.roll(points, 1) - points, "w*", markeredgecolor="black", markersize=12, linestyle="")
    ax.grid(False)
    ax.set(xlabel="start, theta", ylabel="start, velocity v")


def draw_worst(steps: Array, worst: Array, kappa: float, ax: Axes) -> None:
    """Draw heavy ball's worst case over the class beside that over quadratics, and triple momentum's."""
    every = {"markevery": 1}
    ax.semilogy(steps, worst, **rule_style("heavy_ball") | every, label="heavy ball, all functions")
    ax.semilogy(steps, finite_bound(heavy_ball, 1 / kappa, 1.0, steps) ** 2, **THEORY)
    safe = finite_bound(triple_momentum, 1 / kappa, 1.0, steps) ** 2
    look = rule_style("triple_momentum") | every
    ax.semilogy(steps, safe, **look, label="triple momentum, all functions")
    ax.plot([], [], **THEORY, label="heavy ball, quadratics")
    ax.set(xlabel="steps", title=f"kappa = {kappa:g}")


def draw_shares(gamma: Array, shares: Mapping[str, Array], ax: Axes) -> None:
    """Draw a share over gamma for each rule, rows share, low, high, with its interval as a band."""
    for name, (share, low, high) in shares.items():
        look = rule_style(name)
        ax.plot(gamma, share, **look, label=name.replace("_", " "))
        ax.fill_between(gamma, low, high, color=look["color"], alpha=0.25, linewidth=0)
    ax.set(xlabel="gamma", xlim=(0.5, 1), ylim=(-0.01, None))


def draw_survival(inside: Mapping[float, Array], ax: Axes) -> None:
    """Draw the share of walkers still inside over time: darker and thicker for more momentum."""
    grays = np.linspace(0.65, 0.0, len(inside))
    for i, ((gamma, share), gray) in enumerate(zip(inside.items(), grays, strict=True)):
        ax.plot(share, color=str(gray), linewidth=1 + 0.4 * i, label=f"gamma = {gamma:g}")
    ax.set(xlabel="steps", ylim=(-0.02, 1.02))


def draw_basins(found: Array, extent: tuple[float, float, float, float], points: Array, ax: Axes) -> None:
    """Color each start by the minimizer its run ends at; -1, none, stays white."""
    shown = np.ma.masked_less(found, 0)
    norm = BoundaryNorm(np.arange(len(_BASINS) + 1) - 0.5, len(_BASINS))
    ax.imshow(shown, origin="lower", extent=extent, cmap=ListedColormap(_BASINS), norm=norm)
    ax.plot(*points.T, "w*", markeredgecolor="black", markersize=9, linestyle="")
    ax.grid(False)
    ax.set(xlabel="start, x")


def draw_cycle_map(shortest: Array, h: Array, gamma: Array, star: tuple[float, float], ax: Axes) -> None:
    """Draw the shortest cycle at each (h, gamma), 0 for none, the limit on quadratics and one setting."""
    lengths = np.unique(shortest[shortest > 0])
    norm = BoundaryNorm(np.arange(lengths[0], lengths[-1] + 2) - 0.5, 256)
    extent = (float(h[0]), float(h[-1]), float(gamma[0]), float(gamma[-1]))
    shown = np.ma.masked_equal(shortest, 0)
    image = ax.imshow(shown, origin="lower", extent=extent, aspect="auto", cmap="viridis", norm=norm)
    ax.figure.colorbar(image, ax=ax, label="shortest cycle, steps", ticks=lengths)
    ax.plot(2 * (1 + gamma), gamma, **THEORY)
    ax.plot(*star, "w*", markeredgecolor="black", markersize=13)
    ax.grid(False)
    ax.set(xlabel="h = eta L", ylabel="gamma", xlim=extent[:2])
    ax.set_title("Where some function makes heavy ball cycle")
