"""Maps over learning rate and momentum: where a rule is stable, how fast it is, what three clocks say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, PowerNorm
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from momentum_lib.definition import Rule
from momentum_lib.plots import THEORY, hatch_unstable
from momentum_lib.spectrum import hitting_time, settling_time, spectral_radius, step_size

__all__ = [
    "compute_clocks",
    "compute_rates",
    "draw_clocks",
    "draw_light_cone",
    "draw_paths",
    "draw_rates",
    "draw_theory",
    "draw_triangle",
    "draw_wedge",
    "label_map",
]

Array = np.ndarray[Any, Any]

_HALO = [patheffects.withStroke(linewidth=2.6, foreground="white", alpha=0.75)]
#: Fast is light, slow is dark, and the darkest tones are left out so that black lines stay readable.
#: As many tones as the eye tells apart: more of them only make files larger.
_RATES = ListedColormap(colormaps["viridis_r"](np.linspace(0, 0.93, 96)))


def draw_triangle(data: Mapping[str, Array], ax: Axes, corners: Sequence[Any]) -> None:
    """Draw settings whose runs converged or diverged, and the triangle of Jury's conditions.

    `data` has ``h`` and ``gamma`` with the masks ``converged`` and ``diverged``.
    """
    for mask, marker, color, size in (("converged", "o", "#0072B2", 4), ("diverged", "x", "#999999", 4)):
        ax.plot(data["h"][data[mask]], data["gamma"][data[mask]], marker, color=color, ms=size)
    draw_theory(ax, *np.array([*corners, corners[0]], float).T)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    labels = (
        ((-0.1, 0), 90, "root at +1"),
        ((2.2, -0.08), 26.5, "root at −1"),
        ((2, 1.15), 0, "pair on the circle"),
    )
    for (x, y), turn, text in labels:
        ax.text(x, y, text, rotation=turn, ha="center", va="center", bbox=box)
    ax.set(xlabel="h = eta·lam", ylabel="gamma", xlim=(-0.2, 4.25), ylim=(-1.1, 1.25), aspect="equal")


def draw_wedge(ax: Axes, low: Array, high: Array, gamma: Array) -> None:
    """Draw on a map, for each momentum, the interval of best learning rates (`best_eta`)."""
    ax.fill_betweenx(gamma, low, high, color="white", alpha=0.35, lw=0)
    for end in (low, high):
        draw_theory(ax, end, gamma)
    ax.set(xlabel="eta·L", ylabel="gamma", xlim=(0, 4.1), ylim=(0, 1))


def compute_rates(
    rule: Rule, lam: ArrayLike, eta: ArrayLike, gamma: ArrayLike, **hyper: Any
) -> dict[str, Array]:
    """The worst spectral radius over the curvatures `lam`, for every learning rate and momentum.

    With one curvature, 1, the first axis is eta lam. For a rule of up to two slots that reads one gradient
    a step, the two ends of an interval of curvatures stand for all of it.

    Returns
    -------
    dict
        ``eta`` (k,), ``gamma`` (m,), ``rho`` (m, k).

    Raises
    ------
    NotLinear, RuleError
        As `spectral_radius`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> compute_rates(heavy_ball, 1.0, [1.0, 3.5], [0.0, 0.25])["rho"].round(4).tolist()
    [[0.0, 2.5], [0.5, 2.1328]]
    """
    eta, gamma = np.asarray(eta, float), np.asarray(gamma, float)
    setting = {str(step_size(rule)): eta, "gamma": gamma[:, None], **hyper}
    each = [spectral_radius(rule.at(**setting), curvature) for curvature in np.ravel(np.asarray(lam, float))]
    return {"eta": eta, "gamma": gamma, "rho": np.max(each, axis=0)}


def draw_rates(data: Mapping[str, Array], ax: Axes, levels: Sequence[float]) -> AxesImage:
    """Draw the map of rates, its level lines in white and the unstable part hatched."""
    x, y, rho = data["eta"], data["gamma"], data["rho"]
    image = ax.imshow(
        np.where(rho < 1, rho, np.nan), extent=_extent(x, y), cmap=_RATES, vmin=0, vmax=1, zorder=0
    )
    ax.contour(x, y, rho, levels=list(levels), colors="white", linewidths=1.1)
    ax.contour(x, y, rho, levels=[1], colors="#333333", linewidths=1.2)
    hatch_unstable(ax, x, y, rho >= 1)
    ax.grid(False)
    return image


def draw_theory(ax: Axes, x: ArrayLike, y: ArrayLike) -> None:
    """Draw a theoretical curve on a map: thin, dashed, black, with a light edge that keeps it readable."""
    ax.plot(x, y, **THEORY, path_effects=_HALO)


def label_map(ax: Axes, ends: ArrayLike, height: float) -> None:
    """Name what the map of the heavy ball's rate shows, and the ends of the chord at `height`."""
    left, right = np.ravel(np.asarray(ends, float))
    for r in (0.6, 0.8):
        kappa = ((1 + r) / (1 - r)) ** 2
        text = f"rate {r:g}, the best for kappa = {kappa:.0f}"
        ax.text(1.3, r * r + 0.035, text, color="white", ha="center", fontsize=10)
    for x, name, align in ((left + 0.13, "eta·mu", "left"), (right - 0.42, "eta·L", "right")):
        ax.text(x, height - 0.05, name, color="white", ha=align, va="top", fontsize=10)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2.5}
    ax.text(3.25, -0.3, "unstable", ha="center", bbox=box, color="#333333")
    ax.annotate(
        "critical damping:\ngamma = (1 − √(eta·lam))²",
        (3.55, (1 - np.sqrt(3.55)) ** 2),
        xytext=(3.25, 0.12),
        ha="center",
        va="center",
        bbox=box,
        arrowprops={"arrowstyle": "-", "color": "#333333", "lw": 0.8},
        fontsize=10,
    )
    ax.set(xlabel="eta·lam", ylabel="gamma", xlim=(0, 4.15), ylim=(-1.04, 1.04), yticks=[-1, -0.5, 0, 0.5, 1])


def draw_paths(
    space: Axes,
    plane: Axes,
    paths: Mapping[tuple[float, float], Array],
    eigenvalues: ArrayLike,
) -> None:
    """Draw four runs in two coordinates in `space`, and each as the chord of its setting in `plane`.

    `paths` has one (steps + 1, 2) array for each pair of learning rate and momentum.
    """
    mu, high = np.ravel(np.asarray(eigenvalues, float))
    x, y = np.meshgrid(np.linspace(-5.5, 1.5, 61), np.linspace(-4.2, 4.2, 61))
    space.contour(x, y, mu * x * x + high * y * y, levels=7, colors="0.82", linewidths=0.8)
    colors = ("#666666", "#D55E00", "#E69F00", "#0072B2")
    looks = zip(colors, ("s", "X", "^", "o"), (5, 2, 2, 2), strict=True)
    for ((eta, gamma), path), (color, marker, width) in zip(paths.items(), looks, strict=True):
        off = np.abs(path).max() > 10
        look: dict[str, Any] = {"color": color, "marker": marker}
        space.plot(
            *path.T,
            **look,
            ls=":" if off else "-",
            lw=0.8 if off else 1.4,
            ms=3,
            markevery=slice(0, 4 if off else None),
        )
        chord = ([eta * mu, eta * high], [gamma, gamma])
        plane.plot(
            *chord,
            **look,
            ls="-",
            label=f"eta {eta:g}, gamma {gamma:g}",
            lw=width,
            ms=9,
            mec="white",
            path_effects=_HALO,
        )
    space.plot(0, 0, "k+", ms=9, mew=1.5, zorder=5)
    space.set(xlabel="x1", ylabel="x2", xlim=(-5.5, 1.5), ylim=(-4.2, 4.2))
    space.grid(False)
    plane.set(xlabel="eta·lam", ylabel="gamma", ylim=(-0.1, 0.6))
    space.figure.legend(loc="outside upper center", ncols=4, fontsize=9, markerscale=0.7)


def compute_clocks(
    rule: Rule, eigenvalues: ArrayLike, eta: ArrayLike, gamma: ArrayLike, *, tol: float, cap: int
) -> dict[str, Array]:
    """Three answers to "how many steps": first hit, settling time, and the estimate log(tol)/log(rho).

    The start has 1 along every eigenvalue. The estimate is cut at `cap`, as the two times are.

    Returns
    -------
    dict
        ``eta`` (k,), ``gamma`` (m,), and three maps (m, k): ``first hit``, ``settling time``,
        ``rate estimate``; inf where the answer lies beyond `cap`.

    Raises
    ------
    ValueError, NotLinear, RuleError
        As `hitting_time`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> clocks = compute_clocks(heavy_ball, [1.0], [1.0], [0.9], tol=1e-6, cap=2000)
    >>> [float(clocks[name].round()[0, 0]) for name in ("first hit", "settling time", "rate estimate")]
    [1.0, 263.0, 262.0]
    """
    rates = compute_rates(rule, eigenvalues, eta, gamma)
    setting = {str(step_size(rule)): rates["eta"], "gamma": rates["gamma"][:, None]}
    with np.errstate(divide="ignore"):
        estimate = np.log(tol) / np.log(np.minimum(rates["rho"], 1.0))
    return {
        "eta": rates["eta"],
        "gamma": rates["gamma"],
        "first hit": hitting_time(rule.at(**setting), eigenvalues, 1.0, tol, cap),
        "settling time": settling_time(rule.at(**setting), eigenvalues, 1.0, tol, cap),
        "rate estimate": np.where((rates["rho"] < 1) & (estimate <= cap), estimate, np.inf),
    }


def draw_clocks(data: Mapping[str, Array], axes: Sequence[Axes], *, gamma: float) -> None:
    """Draw three maps in one logarithmic color scale and, in the fourth panel, their cut at `gamma`.

    Cells beyond the cap are hatched.
    """
    names = [name for name in data if np.ndim(data[name]) == 2]
    finite = np.concatenate([data[name][np.isfinite(data[name])] for name in names])
    norm = LogNorm(finite.min(), finite.max())
    *maps, cut = axes
    row = np.abs(data["gamma"] - gamma).argmin()
    looks = ({"color": "#D55E00", "ls": "-", "lw": 0.9}, {"color": "#0072B2", "ls": "-", "lw": 1.8}, THEORY)
    for ax, name, look in zip(maps, names, looks, strict=True):
        steps = np.where(np.isfinite(data[name]), data[name], np.nan)
        extent = _extent(data["eta"], data["gamma"])
        image = ax.imshow(
            steps, extent=extent, cmap=colormaps["viridis_r"].resampled(96), norm=norm, zorder=0
        )
        hatch_unstable(ax, data["eta"], data["gamma"], np.isnan(steps))
        ax.set(title=name, xlabel="eta·L", yticks=[0, 0.5, 1])
        ax.grid(False)
        cut.plot(data["eta"], steps[row], **look, label=name)
    maps[0].set_ylabel("gamma")
    maps[0].figure.colorbar(image, ax=maps, label="steps (log scale)")
    low, middle = np.nanmin(steps[row]), np.nanmedian(steps[row])
    cut.set(xlabel="eta·L", ylabel="steps", title=f"the cut at gamma = {data['gamma'][row]:.2g}")
    cut.set(xlim=(0, data["eta"][-1]), ylim=(0.6 * low, 1.8 * middle))
    cut.legend(ncols=3, loc="upper center")


def draw_light_cone(theta: Array, ax: Axes) -> AxesImage:
    """Draw iterates from 0 as rows, time downward; entries that are exactly 0 stay white."""
    reached = np.where(theta == 0, np.nan, theta)
    steps, n = theta.shape
    image = ax.imshow(
        reached,
        origin="upper",
        extent=(0.5, n + 0.5, steps - 0.5, -0.5),
        cmap="viridis",
        norm=PowerNorm(0.4),
        zorder=0,
    )
    ax.plot([0.5, n + 0.5], [0.5, n + 0.5], **THEORY, path_effects=_HALO)
    ax.grid(False)
    ax.set(xlabel="coordinate", ylabel="steps", xlim=(0.5, n + 0.5), ylim=(steps - 0.5, -0.5))
    return image


def _extent(x: Array, y: Array) -> tuple[float, float, float, float]:
    """Outer edges of the cells around evenly spaced centers."""
    dx, dy = (np.ptp(axis) / max(1, len(axis) - 1) / 2 for axis in (x, y))
    return (float(x[0] - dx), float(x[-1] + dx), float(y[0] - dy), float(y[-1] + dy))
