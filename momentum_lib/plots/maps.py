"""Maps over the two letters of a rule: regions, rates, times, damping, and the atlas of motions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator

from momentum_lib.clock import brief, count_of, real
from momentum_lib.definition import RuleError
from momentum_lib.oscillation import damping
from momentum_lib.plots import hatch_unstable
from momentum_lib.plots.canvas import Picture, Plane, axes_for, plane_of, rising
from momentum_lib.problems import Quadratic
from momentum_lib.runner import run
from momentum_lib.spectrum import hitting_time, regimes, settling_time, spectral_radius, stability_limit
from momentum_lib.tuning import curvatures, minimax, worst_rate

__all__ = ["plot_atlas", "plot_damping", "plot_rate", "plot_region", "plot_times"]

Array = np.ndarray[Any, Any]

#: What one eigen-direction does, in the words of the atlas, with a tint for each.
REGIONS: Final = {"creeps": "#DDEBF7", "swings": "#E2F2E4", "zig-zags": "#FDF0D5", "diverges": "#EEEEEE"}
_WORDS: Final = {
    "monotone": "creeps",
    "critical": "creeps",
    "oscillating": "swings",
    "alternating": "zig-zags",
    "unstable": "diverges",
}
_UP: Final = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
_ACROSS: Final = (0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 1.5, 1.9, 2.2, 2.6, 3.0, 3.4, 3.8)


def plot_atlas(
    rule: Any,
    *,
    across: Iterable[float] = _ACROSS,
    up: Iterable[float] = _UP,
    steps: int = 40,
    ax: Axes | None = None,
) -> Picture:
    """Draw the damping atlas: forty steps of the motion in every cell, over what the eigenvalues say.

    Each cell runs one eigen-direction from rest at 1. Its grey envelope is ± C rho^t. The tint tells
    whether the run creeps home, swings, zig-zags (the sign flips every step) or diverges.

    Parameters
    ----------
    rule : Rule
        Any linear rule with one step size and one other letter that is open, or a momentum.
    across, up : iterable of float
        Step sizes in units of 1/lam, and values of the other letter: a column and a row each.
    steps : int
    ax : Axes, optional

    Returns
    -------
    Picture
        Its data: ``region`` (rows, columns), and ``theta`` of every cell, one column a cell.

    Raises
    ------
    NotLinear, RuleError
        A rule with no two letters to spread, or outside the linear domain.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> plot_atlas(heavy_ball).data["region"].shape
    (8, 13)
    """
    plane = plane_of(rule)
    fig, ax = axes_for(ax, (9.2, 5.6))
    across, up = rising("across", across), rising("up", up)
    steps = count_of("steps", steps, 2)
    columns, rows = np.arange(len(across)), np.arange(len(up))
    _tint(plane, ax, across, up)
    cells = plane.grid(across, up)
    theta = run(cells, lambda x: x, 1.0, steps, record=("theta",)).theta
    rho = np.asarray(spectral_radius(cells, 1.0))
    region = _named(regimes(cells, 1.0))
    t = np.arange(steps + 1)
    with np.errstate(all="ignore"):
        fall = rho[None] ** t[:, None, None]
        reach = np.nanmax(np.where(fall > 0, np.abs(theta) / fall, np.nan), axis=0, initial=1.0)
        envelope = reach * fall
        # A run that stays finite is shown whole; one that leaves goes out of its cell.
        scale = 0.42 / np.where(rho < 1, np.nanmax(np.abs(theta), axis=0), 2.5)
    x = columns[None, None, :] - 0.4 + 0.8 * (t / steps)[:, None, None]

    def lines(y: Array, **look: Any) -> None:
        with np.errstate(all="ignore"):
            y = np.where(np.abs(y * scale) <= 0.46, y * scale, np.nan) + rows[None, :, None]
        paths = np.stack(np.broadcast_arrays(x, y), axis=-1).reshape(steps + 1, -1, 2).swapaxes(0, 1)
        ax.add_collection(LineCollection([path[np.isfinite(path[:, 1])] for path in paths], **look))

    lines(envelope, colors="0.55", linewidths=0.6)
    lines(-envelope, colors="0.55", linewidths=0.6)
    lines(theta, colors="black", linewidths=0.9)
    ax.set_xticks(columns, [f"{h:g}" for h in across])
    ax.set_yticks(rows, [f"{g:g}" for g in up])
    ax.set(xlim=(-0.5, len(across) - 0.5), ylim=(-0.5, len(up) - 0.5))
    plane.label(ax)
    ax.set_title(f"{plane.rule.name}: {steps} steps of one direction, start 1")
    _legend(ax)
    data = {"across": across, "up": up, "region": region, "theta": theta.reshape(steps + 1, -1)}
    caption = (
        f"The damping atlas of {plane.rule.name}: {steps} steps in each cell of {plane.across}·lam and "
        f"{plane.up}, with the envelope ± C rho^t, over where a run creeps, swings, zig-zags or diverges."
    )
    return Picture(fig, ax, data, caption)


def _tint(plane: Plane, ax: Axes, across: Array, up: Array) -> None:
    """The regions between the columns and rows, which stand at equal distances whatever their values."""
    x, y = np.linspace(-0.5, len(across) - 0.5, 521), np.linspace(-0.5, len(up) - 0.5, 321)
    h = np.exp(np.interp(x, np.arange(len(across)), np.log(np.maximum(across, 1e-9))))
    cells = plane.grid(h, np.interp(y, np.arange(len(up)), up))
    _paint(ax, x, y, _named(regimes(cells, 1.0)))


def _named(found: Any) -> Array:
    return np.asarray(np.vectorize(_WORDS.__getitem__, otypes=[object])(found))


def _mesh(ax: Axes, x: Array, y: Array, values: Array, **look: Any) -> QuadMesh:
    """A map whose columns and rows may stand at any distances."""
    ax.grid(False)
    return ax.pcolormesh(x, y, values, shading="nearest", rasterized=True, zorder=0, **look)


def _paint(ax: Axes, x: Array, y: Array, words: Array) -> None:
    number = np.vectorize(list(REGIONS).index, otypes=[float])(words)
    _mesh(ax, x, y, number, cmap=ListedColormap(list(REGIONS.values())), vmin=-0.5, vmax=3.5)
    hatch_unstable(ax, x, y, words == "diverges")


def _legend(ax: Axes) -> None:
    for word, color in REGIONS.items():
        hatch = "////" if word == "diverges" else None
        ax.fill_between([], [], [], facecolor=color, edgecolor="0.6", hatch=hatch, label=word)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=4, frameon=False)


def plot_region(
    rule: Any,
    *,
    across: Iterable[float] | None = None,
    up: Iterable[float] | None = None,
    ax: Axes | None = None,
) -> Picture:
    """Draw the stability region of one eigen-direction, and how the run moves inside it.

    Parameters
    ----------
    rule, across, up, ax
        As in `plot_atlas`; by default the whole region.

    Returns
    -------
    Picture
        Its data: the limit of step size times curvature for every value of the other letter.

    Raises
    ------
    NotLinear, RuleError
        As `plot_atlas`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> float(plot_region(heavy_ball, up=[0, 0.5]).data["limit"][1])
    3.0
    """
    plane = plane_of(rule)
    fig, ax = axes_for(ax)
    h, up = plane.spans(across, up)
    limit = np.asarray(stability_limit(plane.at(1.0, up)), float)
    _paint(ax, h, up, _named(regimes(plane.grid(h, up), 1.0)))
    ax.plot(limit, up, color="black", linewidth=1.2)
    ax.set(xlim=(0, h[-1]), ylim=(up[0], up[-1]))
    plane.label(ax)
    _legend(ax)
    caption = (
        f"Where one direction of {plane.rule.name} is stable, and how it moves there; the line is the limit."
    )
    return Picture(fig, ax, {plane.up: up, "limit": limit}, caption)


def _middles(levels: Iterable[Iterable[Any]]) -> Iterator[Any]:
    """Half-way along the longest piece of each contour: a place for its label that no rounding moves."""
    for pieces in levels:
        lines = [(np.cumsum(np.hypot(*np.diff(p, axis=0, prepend=p[:1]).T)), p) for p in pieces if len(p)]
        if lines:
            along, line = max(lines, key=lambda pair: pair[0][-1])
            yield [np.interp(along[-1] / 2, along, column) for column in line.T]


def plot_rate(
    rule: Any,
    mu: float = 1.0,
    L: float | None = None,
    *,
    across: Iterable[float] | None = None,
    up: Iterable[float] | None = None,
    optimum: bool = True,
    ax: Axes | None = None,
) -> Picture:
    """Draw the rate map: the factor per step for every setting, with the best setting starred.

    Parameters
    ----------
    rule : Rule
        As in `plot_atlas`.
    mu, L : float
        Curvatures; the worst of them counts. Without `L` there is one direction.
    across, up : iterable of float, optional
        Step sizes in units of 1/L, values of the other letter.
    optimum : bool
        Star the setting that `minimax` finds, where there are two curvatures.
    ax : Axes, optional

    Returns
    -------
    Picture
        Its data: the map ``rate`` (rows, columns), and the ``optimum`` (across, up, rate) if starred.

    Raises
    ------
    NotLinear, RuleError, ValueError
        As `plot_atlas` and `worst_rate`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> view = plot_rate(heavy_ball, 0.1, 1)
    >>> view.data["optimum"].round(2).tolist()
    [2.31, 0.27, 0.52]
    """
    plane = plane_of(rule)
    fig, ax = axes_for(ax)
    mu, L = (real("mu", mu, above=0), None) if L is None else curvatures(mu, L)
    top = mu if L is None else L
    data: dict[str, Any] = {}
    if optimum and L is not None:
        others = {n: v for n, v in plane.rule.setting.items() if n not in (plane.across, plane.up)}
        best = minimax(plane.rule.base.at(**others), mu, L)
        data["optimum"] = np.array([best.setting[plane.across] * top, best.setting[plane.up], best.rate])
    h, up = plane.spans(across, up, *data.get("optimum", ())[:1])
    cells = plane.grid(h / top, up)
    rate = np.asarray(spectral_radius(cells, mu) if L is None else worst_rate(cells, mu, L))
    shown = np.where(rate < 1, rate, np.nan)
    levels = np.asarray(MaxNLocator(9).tick_values(float(np.nanmin(shown, initial=1.0)), 1.0))
    image = _mesh(ax, h, up, shown, vmin=max(levels[0], 0.0), vmax=1, cmap="viridis_r")
    lines = ax.contour(h, up, rate, levels[levels < 1 - 1e-9], colors="white", linewidths=0.6)
    ax.clabel(lines, fmt="%g", fontsize=8, zorder=6, manual=list(_middles(lines.allsegs)))
    hatch_unstable(ax, h, up, rate >= 1)
    data = {plane.across: h, plane.up: up, "rate": rate} | data
    if "optimum" in data:
        ax.plot(*data["optimum"][:2], "*", color="white", mec="black", ms=13)
    ax.set(xlim=(0, h[-1]), ylim=(up[0], up[-1]))
    plane.label(ax, product=L is None)
    fig.colorbar(image, ax=ax, label="factor per step")
    caption = (
        f"The factor per step of {plane.rule.name}, hatched where it diverges; a star at the best setting."
    )
    return Picture(fig, ax, data, caption)


def plot_times(
    rule: Any,
    eigenvalues: Any,
    theta0: Any = 1.0,
    tol: float = 1e-6,
    cap: int = 2000,
    *,
    settle: bool = True,
    across: Iterable[float] | None = None,
    up: Iterable[float] | None = None,
    ax: Axes | None = None,
) -> Picture:
    """Draw how many steps a quadratic takes, for every setting: until it settles, or first hits.

    Parameters
    ----------
    rule, across, up, ax
        As in `plot_rate`.
    eigenvalues, theta0, tol, cap
        As in `settling_time`.
    settle : bool
        Count until the tolerance holds for good; else until it is first met.

    Raises
    ------
    NotLinear, RuleError, ValueError
        As `settling_time`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> view = plot_times(heavy_ball, [0.1, 1.0], across=[1.0, 2.0], up=[0.2, 0.3])
    >>> view.data["steps"].tolist()
    [[98.0, 43.0], [81.0, 29.0]]
    """
    plane = plane_of(rule)
    fig, ax = axes_for(ax)
    top = real("the largest eigenvalue", Quadratic(eigenvalues).L, above=0)
    h, up = plane.spans(across, up)
    count = settling_time if settle else hitting_time
    steps = np.asarray(count(plane.grid(h / top, up), eigenvalues, theta0, tol, cap))
    shown = np.log10(np.where(np.isfinite(steps), np.maximum(steps, 1), np.nan))
    image = _mesh(ax, h, up, shown, cmap="viridis_r")
    if min(steps.shape) > 1:
        hatch_unstable(ax, h, up, ~np.isfinite(steps))
    ax.set(xlim=(h[0], h[-1]), ylim=(up[0], up[-1]))
    plane.label(ax, product=False)
    word = "to settle" if settle else "to the first hit"
    fig.colorbar(image, ax=ax, label=f"steps {word} (log10)")
    caption = f"Steps {word} within {tol:g} of the start for {plane.rule.name}; hatched: not within {cap}."
    return Picture(fig, ax, {plane.across: h, plane.up: up, "steps": steps}, caption)


def plot_damping(
    rule: Any,
    what: str = "ratio",
    *,
    across: Iterable[float] | None = None,
    up: Iterable[float] | None = None,
    ax: Axes | None = None,
) -> Picture:
    """Draw one entry of the damping dictionary for every setting.

    Parameters
    ----------
    rule, across, up, ax
        As in `plot_atlas`.
    what : str
        A field of `damping`: ``"ratio"``, ``"period"``, ``"half_life"``, ``"overshoot"``, ...

    Raises
    ------
    RuleError
        As `plot_atlas` and `damping`; a field that is not there.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> plot_damping(heavy_ball, across=[0.1, 1.0], up=[0.5, 0.9]).data["ratio"].shape
    (2, 2)
    """
    plane = plane_of(rule)
    fig, ax = axes_for(ax)
    h, up = plane.spans(across, up)
    cells = plane.grid(h, up)
    found = damping(cells, 1.0)
    fields = [name for name in vars(found) if name != "roots"]
    if not isinstance(what, str) or what not in fields:
        raise RuleError(f"damping has no {brief(what)}; take one of {', '.join(fields)}.")
    value = np.asarray(getattr(found, what), float)
    stable = np.asarray(spectral_radius(cells, 1.0)) < 1
    shown = np.where(stable & np.isfinite(value), value, np.nan)
    if np.isnan(shown).all():
        raise ValueError(f"{plane.rule.name} has no finite {what} on this map; give smaller step sizes.")
    low, high = np.nanpercentile(shown, [2, 98])
    image = _mesh(ax, h, up, shown, vmin=low, vmax=high, cmap="cividis")
    if min(shown.shape) > 1:
        hatch_unstable(ax, h, up, ~stable)
    ax.set(xlim=(h[0], h[-1]), ylim=(up[0], up[-1]))
    plane.label(ax)
    fig.colorbar(image, ax=ax, label=what.replace("_", " "), extend="both")
    caption = f"The {what.replace('_', ' ')} of {plane.rule.name}; hatched where it diverges."
    return Picture(fig, ax, {plane.across: h, plane.up: up, what: value}, caption)
