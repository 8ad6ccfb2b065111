"""How the figures of notebook 14 look; the mathematics stands in its cells."""

import numpy as np
from matplotlib.patches import Rectangle

from momentum_lib import THEORY, rule_style

RULES = {"N": "nesterov", "M": "heavy_ball", "0": "gradient_descent"}
WORDS = {"N": "Nesterov", "M": "heavy ball", "0": "momentum 0"}


def look(name):
    """The look of a momentum named as in the paper: 0, 0.9N (Nesterov), 0.98M (heavy ball)."""
    return rule_style(RULES[name[-1]]) | {"markevery": 1}


def draw_along(curves, ax, first=0):
    """Curves along a sequence on a log axis, from step `first` on."""
    looks = zip(("#0072B2", "#D55E00", "#333333"), ("-", "--", "-."), "os^", strict=True)
    for (name, curve), (color, line, marker) in zip(curves.items(), looks, strict=True):
        look = {"color": color, "linestyle": line, "marker": marker, "markevery": 5}
        ax.semilogy(first + np.arange(len(curve)), curve, **look, label=name)
    ax.legend()


def draw_errors(frame, axes, worst, least):
    """Error over learning rate, one panel a momentum: dots the seeds, lines their means, crosses diverged.

    An error below `least` is drawn there, a diverged training above `worst`, the error of a guess.
    """
    for ax, gamma in zip(axes, ("0.9", "0.98", "0.995"), strict=True):
        for name, shift in (("0", 1.0), (f"{gamma}M", 0.9), (f"{gamma}N", 1.11)):
            cell, style = frame[frame["momentum"] == name], look(name)
            mean = cell.groupby("eta")["error"].mean().replace(np.inf, np.nan).clip(lower=least)
            ax.plot(mean.index, mean, **style | {"markersize": 7}, label=WORDS[name[-1]])
            over = ~np.isfinite(cell["error"])
            dot = {"color": style["color"], "linestyle": ""}
            seeds = cell["error"][~over].clip(lower=least)
            ax.plot(
                shift * cell["eta"][~over],
                seeds,
                **dot,
                marker=style["marker"],
                markersize=3,
                fillstyle="none",
            )
            place = {"M": 2.1, "N": 2.9, "0": 1.5}[name[-1]] * worst
            ax.plot(cell["eta"][over], np.full(over.sum(), place), **dot, marker="x", markersize=5)
        ax.axhline(worst, **THEORY, label="a guess")
        if not np.isfinite(frame["error"]).all():
            ax.plot([], [], "x", color="0.5", label="diverged")
        ax.set(xscale="log", yscale="log", title=f"gamma = {gamma}", xlabel="eta (log scale)")


def draw_successes(found, ax):
    """A field for each momentum and eta: how many trainings succeeded; hatched where some diverged."""
    rows, etas = list(dict.fromkeys(found["momentum"])), sorted(set(found["eta"]))
    for name, eta, good, diverged in found[["momentum", "eta", "good", "diverged"]].itertuples(index=False):
        x, y = etas.index(eta), rows.index(name)
        color = rule_style(RULES[name[-1]])["color"]
        box = ((x - 0.5, y - 0.5), 1, 1)
        ax.add_patch(Rectangle(*box, facecolor=color, alpha=0.16 * good, linewidth=0))
        if diverged:
            hatch = "/" * int(diverged)
            ax.add_patch(Rectangle(*box, fill=False, hatch=hatch, edgecolor="#999999", linewidth=0))
        ax.text(x, y, str(good) if good or not diverged else "", ha="center", va="center", fontsize=10)
    ax.set_xticks(range(len(etas)), [f"{eta:g}" for eta in etas])
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.5, len(etas) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="eta")
    ax.grid(False)


def draw_scales(frame, least, ax):
    """Errors at the best learning rate over three spectral radii, one line a momentum, one mark a seed."""
    for name, cell in frame.groupby("momentum", sort=False):
        mean = cell.groupby("radius")["error"].mean().clip(lower=least)
        style = look(name)
        ax.plot(mean.index, mean, **style)
        at = {"textcoords": "offset points", "va": "center", "color": style["color"]}
        side = (12, 10) if name == "0" else (12, -10)
        ax.annotate(f"momentum {name}", (mean.index[1], mean.iloc[1]), side, **at)
        dot = {"color": style["color"], "linestyle": "", "fillstyle": "none", "markersize": 4}
        ax.plot(0.95 * cell["radius"], cell["error"].clip(lower=least), marker=style["marker"], **dot)
    ax.set(xscale="log", yscale="log", xlabel="spectral radius of the first W (log scale)")
    radii = sorted(set(frame["radius"]))
    ax.set_xticks(radii, [f"{radius:g}" for radius in radii])
    ax.set_xticks([], minor=True)


CAPTION = {
    "gradient-of-the-past": (
        "Before training, at three spectral radii. Left: the state after one pulse (dashed: r to the "
        "power s). Right: the gradient of the loss with respect to the input of each step. Sizes only, "
        "no directions."
    ),
    "addition-errors": (
        "Addition over 30 steps: share of sums wrong after 3000 updates over the learning rate; small "
        "marks are seeds, lines their means, crosses diverged trainings. Longer trainings are not "
        "shown."
    ),
    "memorization-errors": (
        "Memorization over a wait of ten steps: symbols of ten wrong after 3000 updates over the "
        "learning rate; marks at the bottom edge stand for none. At a longer wait the picture may "
        "differ."
    ),
    "a-slice-of-the-table": (
        "Three trainings of addition from one seed: momentum 0 after sixty updates at 0.9, no momentum "
        "at all, and Nesterov at 0.995. Circles are the committed results; other seeds are not shown."
    ),
    "where-it-works": (
        "How many of four seeds succeed at each momentum and learning rate after 3000 updates; hatched "
        "where trainings diverged, more lines for more of them."
    ),
    "scale-and-momentum": (
        "Share of sums wrong over the spectral radius of the first weights, at three momenta and the "
        "best of four learning rates, after 3000 updates; seeds beside their mean."
    ),
}
