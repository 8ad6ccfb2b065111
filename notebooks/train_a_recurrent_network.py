"""How the figures of notebook 14 look; the mathematics stands in its cells."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from momentum_lib import THEORY, rule_style

WORDS = {"none": "no momentum", "0": "row 0", "M": "heavy ball", "N": "Nesterov"}
LOOKS = {
    "none": rule_style("gradient_descent"),
    "0": rule_style("gradient_descent") | {"color": "0.55", "linestyle": ":", "marker": "D"},
    "M": rule_style("heavy_ball"),
    "N": rule_style("nesterov"),
}


def form(name):
    """What a row named as in the paper is: none, 0, M (0.98M, heavy ball) or N (0.9N, Nesterov)."""
    return name if name in WORDS else name[-1]


def look(name):
    """The look of a row, a marker at every point."""
    return LOOKS[form(name)] | {"markevery": 1}


def draw_along(curves, ax, powers=()):
    """Curves along a sequence on a log axis; `powers` dashed while they are small."""
    looks = cycle(
        zip(("#0072B2", "#D55E00", "#333333", "#009E73"), ("-", "--", "-.", ":"), "os^D", strict=True)
    )
    for (name, curve), (color, line, marker) in zip(curves.items(), looks, strict=False):
        look = {"color": color, "linestyle": line, "marker": marker, "markevery": 5}
        ax.semilogy(curve, **look, label=name)
    for power in powers:
        ax.semilogy(np.where(power < 1, power, np.nan), **THEORY)
    ax.legend()


def draw_echoes(echoes, pasts, powers):
    """State after a pulse (`powers` dashed), and gradient of each input, a curve a spectral radius."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    draw_along(echoes, axes[0], powers)
    draw_along(pasts, axes[1])
    axes[0].set(xlabel="steps since the pulse", ylabel="norm of the state (log scale)")
    axes[1].set(xlabel="step s of the input, from 0", ylabel="norm of d loss / d x_s (log scale)")
    return fig


def draw_errors(frame, worst, label, least=5e-4):
    """Error over learning rate, one panel a momentum: dots the seeds, lines their means, crosses diverged.

    An error below `least` is drawn there, a diverged training above `worst`, the error of a guess.
    """
    fig, axes = plt.subplots(1, 3, figsize=(10, 3.9), sharey=True, layout="constrained")
    for ax, gamma in zip(axes, ("0.9", "0.98", "0.995"), strict=True):
        shifts = {"none": 0.94, "0": 1.06, f"{gamma}M": 0.84, f"{gamma}N": 1.19}
        for height, (name, shift) in enumerate(shifts.items()):
            cell, style = frame[frame["momentum"] == name], look(name)
            mean = cell.groupby("eta")["error"].mean().replace(np.inf, np.nan).clip(lower=least)
            ax.plot(mean.index, mean, **style | {"markersize": 7}, label=WORDS[form(name)])
            over = ~np.isfinite(cell["error"])
            dot = {"color": style["color"], "linestyle": ""}
            seeds = cell["error"][~over].clip(lower=least)
            small = dot | {"marker": style["marker"], "markersize": 3, "fillstyle": "none"}
            ax.plot(shift * cell["eta"][~over], seeds, **small)
            place = worst * 1.45 * 1.4**height
            ax.plot(cell["eta"][over], np.full(over.sum(), place), **dot, marker="x", markersize=5)
        ax.axhline(worst, **THEORY, label="a guess")
        if not np.isfinite(frame["error"]).all():
            ax.plot([], [], "x", color="0.5", label="diverged")
        ax.set(xscale="log", yscale="log", title=f"gamma = {gamma}", xlabel="eta (log scale)")
    axes[0].set_ylabel(label)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return fig


def draw_patience(frames):
    """Error over the update of each row's seeds, a column a seed."""
    fig, ax = plt.subplots(figsize=(7.5, 3.6))
    for name, errors in frames.items():
        words = name if name not in WORDS else WORDS[name]
        lines = ax.plot(errors, **look(name) | {"linewidth": 1, "markersize": 3})
        lines[0].set_label(f"{words}, {len(lines)} seeds")
    ax.set(xscale="log", yscale="log", xlabel="update (log scale)", ylabel="share of sums wrong (log scale)")
    ax.legend(loc="lower left")
    return fig


def draw_successes(found):
    """A panel a problem, a field for each row and eta: how many trainings succeeded; hatched: some diverged."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for ax, (problem, table) in zip(axes, found.items(), strict=True):
        rows, etas = list(dict.fromkeys(table["momentum"])), sorted(set(table["eta"]))
        for name, eta, good, diverged in table[["momentum", "eta", "good", "diverged"]].itertuples(
            index=False
        ):
            x, y = etas.index(eta), rows.index(name)
            box = ((x - 0.5, y - 0.5), 1, 1)
            ax.add_patch(Rectangle(*box, facecolor=look(name)["color"], alpha=0.16 * good, linewidth=0))
            if diverged:
                hatch = "/" * int(diverged)
                ax.add_patch(Rectangle(*box, fill=False, hatch=hatch, edgecolor="#999999", linewidth=0))
            ax.text(x, y, str(good) if good or not diverged else "", ha="center", va="center", fontsize=10)
        ax.set_xticks(range(len(etas)), [f"{eta:g}" for eta in etas])
        ax.set_yticks(range(len(rows)), rows)
        ax.set(xlim=(-0.5, len(etas) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="eta")
        ax.set_title(f"{problem.capitalize()}: successes of four")
        ax.grid(False)
    axes[0].set_ylabel("momentum")
    return fig


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
    "momentum-or-patience": (
        "Share of sums wrong along training: Nesterov at 0.995 for 3000 updates, four seeds, and gradient "
        "descent without momentum for ten times as many, two seeds at one learning rate, not tuned."
    ),
    "where-it-works": (
        "How many of four seeds succeed at each momentum and learning rate after 3000 updates; hatched "
        "where trainings diverged, more lines for more of them."
    ),
}
