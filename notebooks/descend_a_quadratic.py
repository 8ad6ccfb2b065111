"""How the figures of notebook 01 look; the mathematics stands in its cells."""

import matplotlib.pyplot as plt
import numpy as np

from momentum_lib import THEORY, hatch_unstable, label_end, rule_style

MEASURED = rule_style("gradient_descent") | {"linestyle": "", "markevery": 1, "markersize": 4}
LINES = ("-", "--", ":", "-.")


def draw_factor(h, measured, ax):
    """The factor per step of one direction over h, measured; |1 - h| dashed; hatched beyond 2."""
    ax.plot(h, np.abs(1 - h), **THEORY)
    ax.plot(h, measured, **MEASURED)
    hatch_unstable(ax, [2, h.max()], [0, 1.4], np.ones((2, 2)))
    for x, y, word in [(0.5, 1.2, "slides in"), (1.5, 1.2, "zig-zags in"), (2.17, 0.5, "out")]:
        ax.text(x, y, word, ha="center", va="center", backgroundcolor="white")
    ax.set(xlabel="h = eta·lam", ylabel="factor on |theta| per step", ylim=(0, 1.4))


def draw_directions(runs, ax):
    """Runs of one direction against steps, told apart by the line."""
    for n, (h, theta) in enumerate(runs.items()):
        ax.plot(theta, color="0.3", marker="o", ms=3, lw=1.2, ls=LINES[n % 4], label=f"h = {h}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=3, columnspacing=1)
    ax.set(xlabel="steps", ylabel="theta / theta_0")


def draw_balance(eta, slowest, mu, best, ax):
    """The slowest factor over eta (L = 1), the two extremes by formula dashed, and where they meet."""
    low, high = best.rate - 0.35 * (1 - best.rate), 1 + 0.55 * (1 - best.rate)
    ax.plot(eta, np.transpose([1 - mu * eta, eta - 1]), **THEORY)
    ax.plot(eta, slowest, **MEASURED)
    hatch_unstable(ax, [2, eta.max()], [low, high], np.ones((2, 2)))
    at = best.setting["eta"], best.rate
    ax.annotate("2/(mu + L)", at, (1.25, low + 0.1 * (high - low)), arrowprops={"arrowstyle": "-"})
    ax.text(0.5, 1 - 0.2 * mu, "flattest direction: 1 - eta·mu")
    ax.text(1.78, 1 - 0.3 * (1 - best.rate), "steepest:\neta·L - 1", ha="right")
    ax.set(xlabel="eta·L", ylabel="factor per step, slowest direction", title=f"kappa = {1 / mu:g}")
    ax.set(ylim=(low, high), xlim=(0, eta.max()))


def draw_parts(parts, curvatures, axes):
    """What each curvature adds to the loss, a line each, the whole loss in black: a panel a learning rate."""
    colors = plt.get_cmap("viridis")(np.linspace(0.7, 0.05, len(curvatures)))
    for ax, (name, part) in zip(axes, parts.items(), strict=True):
        shown = np.where(part > 1e-9, part, np.nan)
        for n, color in enumerate(colors):
            (line,) = ax.semilogy(shown[:, n], color=color, lw=1.5, ls="-")
            if n in (0, len(curvatures) - 1):
                label_end(ax, line, f"lam = {curvatures[n]:.3g}")
        ax.semilogy(part.sum(axis=1), color="black", lw=2.5, ls=(0, (1, 1.5)), label="the loss")
        ax.set(title=f"eta = {name}", xlabel="steps", ylim=(1e-8, 2))
    axes[0].set_ylabel("part of the loss (log scale)")
    axes[0].legend(loc="upper right")
