"""How the figures of notebook 04 look; the mathematics stands in its cells."""

import numpy as np
from matplotlib import patheffects
from matplotlib.colors import PowerNorm

from momentum_lib import THEORY, label_end, rule_style

HALO = [patheffects.withStroke(linewidth=2.6, foreground="white", alpha=0.75)]
BOX = {"facecolor": "white", "edgecolor": "none", "pad": 2}


def draw_triangle(data, corners, ax):
    """Runs that converged and diverged, and the three conditions with what a root does on each."""
    for mask, marker, color in (
        ("converged", "o", "#0072B2"),
        ("diverged", "x", "#999999"),
    ):
        ax.plot(
            data["h"][data[mask]],
            data["gamma"][data[mask]],
            marker,
            color=color,
            ms=4,
            label=mask,
        )
    ax.plot(*np.array([*corners, corners[0]], float).T, **THEORY, path_effects=HALO)
    labels = (
        ((-0.1, 0), 90, "root at +1"),
        ((2.2, -0.08), 26.5, "root at −1"),
        ((2, 1.15), 0, "pair on the circle"),
    )
    for (x, y), turn, text in labels:
        ax.text(x, y, text, rotation=turn, ha="center", va="center", bbox=BOX)
    ax.set(
        xlabel="eta·lam",
        ylabel="gamma",
        xlim=(-0.2, 4.25),
        ylim=(-1.1, 1.25),
        aspect="equal",
    )
    ax.figure.legend(loc="outside right center")


def finish_rate_map(arm, critical, ends, height, ax):
    """The parabola of critical damping, and the chord of one best setting, on a map of rates."""
    ax.plot(arm, critical, **THEORY, path_effects=HALO)
    casing = [patheffects.withStroke(linewidth=5, foreground="white")]
    ax.plot(
        ends,
        [height] * 2,
        "-o",
        color="#D55E00",
        lw=2.8,
        ms=8,
        mec="white",
        zorder=5,
        path_effects=casing,
    )
    for x, name, align in ((ends[0], "eta·mu", "left"), (ends[1], "eta·L", "right")):
        ax.annotate(
            name,
            (x, height),
            (0, 9),
            textcoords="offset points",
            ha=align,
            va="bottom",
            bbox=BOX,
        )
    ax.text(3.25, -0.5, "unstable", ha="center", bbox=BOX)
    text = "critical damping:\ngamma = (1 − √(eta·lam))²"
    arrow = {"arrowstyle": "-", "color": "#333333", "lw": 0.8}
    ax.annotate(
        text,
        (3.55, 0.781),
        (3.2, 0.12),
        ha="center",
        va="center",
        bbox=BOX,
        arrowprops=arrow,
        fontsize=10,
    )
    ax.set(xlim=(0, 4.15), ylim=(-1.04, 1.04), yticks=[-1, -0.5, 0, 0.5, 1])


def finish_worst_map(low, high, gammas, optimum, ax):
    """For each momentum the interval of best learning rates, on a map with its optimum."""
    ax.fill_betweenx(gammas, low, high, color="white", alpha=0.35, lw=0)
    for end in (low, high):
        ax.plot(end, gammas, **THEORY, path_effects=HALO)
    ax.annotate("optimum", optimum[:2], (10, -12), textcoords="offset points", bbox=BOX)


def draw_cone(theta, ax):
    """Iterates from 0 as rows, time downward; entries that are exactly 0 stay white."""
    steps, n = theta.shape
    extent = (0.5, n + 0.5, steps - 0.5, -0.5)
    image = ax.imshow(
        np.where(theta == 0, np.nan, theta),
        origin="upper",
        extent=extent,
        norm=PowerNorm(0.4),
    )
    ax.plot([0.5, n + 0.5], [0.5, n + 0.5], **THEORY, path_effects=HALO)
    ax.grid(False)
    ax.set(
        xlabel="coordinate",
        ylabel="steps",
        xlim=(0.5, n + 0.5),
        ylim=(steps - 0.5, -0.5),
    )
    ax.figure.colorbar(image, ax=ax, label="theta", location="left")


def draw_gaps(gaps, ax):
    """The loss above its minimum, method by method, over the bound that nothing passes."""
    for name in ("chebyshev", "gradient_descent", "nesterov", "heavy_ball"):
        (line,) = ax.semilogy(gaps["steps"], gaps[name], **rule_style(name) | {"marker": ""})
        label_end(ax, line, name if name != "chebyshev" else "")
    ax.text(7, 0.16, "chebyshev", color=rule_style("chebyshev")["color"])
    ax.semilogy(gaps["steps"], gaps["lower bound"], **THEORY)
    ax.semilogy(gaps["steps"][::5], gaps["conjugate gradients"][::5], "k.", ms=8)
    ax.set(xlabel="steps", ylabel="gap / first gap (log scale)")
