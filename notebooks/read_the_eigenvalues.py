"""How the figures of notebook 03 look; the mathematics stands in its cells."""

import numpy as np

from momentum_lib import THEORY, label_end, plot_eigenvalues, plot_motion, rule_style

LOOK = rule_style("heavy_ball")
LINES = ("-", "-.", ":", "--")


def draw_regimes(ball, curvatures, words, axes):
    """A column a curvature: the eigenvalues in the disc above, the run below. Returns the views."""
    views = []
    for (above, below), lam, word in zip(axes.T, curvatures, words, strict=True):
        views += [plot_eigenvalues(ball, [lam], ax=above), plot_motion(ball, lam, 20, ax=below)]
        above.get_legend().remove()
        above.set(title=f"{word}\nlam = {lam}", xlabel="", ylabel="", xticks=[-1, 0, 1])
        below.texts[0].remove()
        below.set(ylim=(-1.6, 1.6), ylabel="")
    axes[1, 0].set_ylabel("theta")
    return views


def draw_plateau(gamma, fine, rho, grid, measured, ax):
    """The factor per step over h: measured (dots), the larger modulus (dashed), the smaller one (gray)."""
    ax.plot(fine, gamma / rho, color="0.6", lw=1, ls="-")
    ax.plot(fine, rho, **THEORY)
    ax.plot(grid, measured, **LOOK | {"linestyle": "", "markevery": 1, "markersize": 4})
    ax.set(title=f"gamma = {gamma}", xlabel="h = eta·lam", ylim=(0, 1.4))


def draw_dips(t, theta, envelope, ax):
    """The same motion on a log scale, under its envelope."""
    ax.semilogy(t, np.abs(theta), **LOOK | {"markevery": 1, "markersize": 3, "linewidth": 1})
    ax.semilogy(t, envelope, **THEORY)
    ax.set(xlabel="steps t", ylabel="|theta| (log scale)", ylim=(1e-5, 3))


def draw_critical(runs, theory, ax):
    """|theta| of one curvature, a line style a momentum; dashed, the formula at critical damping."""
    for n, (name, theta) in enumerate(runs.items()):
        (curve,) = ax.semilogy(np.abs(theta), color=LOOK["color"], linestyle=LINES[n % 4])
        label_end(ax, curve, name)
    ax.semilogy(theory, **THEORY)
    ax.set(xlabel="steps", ylabel="|theta| (log scale)", ylim=(1e-6, 2), xlim=(-5, 170))


def draw_worst(worst, exact, some, rate, ax):
    """The worst over the curvatures against steps: runs (dots), formulas (dashed), rho^t, single runs gray."""
    ax.semilogy(some, color="0.8", lw=0.8, ls="-")
    for (name, values), marker in zip(worst.items(), "oD", strict=True):
        style = LOOK | {"linestyle": "", "marker": marker, "markevery": 3, "markersize": 4}
        (line,) = ax.semilogy(values, **style)
        label_end(ax, line, name)
        ax.semilogy(exact[name], **THEORY)
    (line,) = ax.semilogy(rate, color="#444444", lw=1.2, ls=":")
    label_end(ax, line, "rho^t")
    ax.set(xlabel="steps", ylabel="|theta| (start 1, log scale)", ylim=(1e-6, 10))
    ax.set_xlim(0, 1.35 * len(rate))
