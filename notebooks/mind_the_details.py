"""How the figures of notebook 09 look; the mathematics stands in its cells."""

from itertools import cycle

import numpy as np

from momentum_lib import THEORY, label_end, rule_style

# What to see in each figure, and what it does not show.
STARTS = (
    "Heavy ball from a random velocity of several sizes, and the prediction (dashed): the same rate, a "
    "higher start. The spread of the single runs is not shown."
)
SUM = (
    "A slope of one: dividing by 1 − gamma^t repairs the average (right); it makes the first steps of the "
    "sum 1/(1 − gamma) times too long (left)."
)
BLOW_UP = (
    "How far a run gets from its minimum, over eta·lam/(1 − gamma): with the correction none leaves its "
    "start up to 2, all do beyond. One curvature, start at rest."
)
STOPS = (
    "Largest distance to the minimum in each 40 steps, in 32 bits: the two-step form stops with gradient "
    "descent, the velocity form closer, where a learning rate larger by 1/(1 − gamma) stops too. Dashed: "
    "half an ulp."
)

LINES = ("-", "--", ":", "-.")
LOOKS = (("0.45", "s"), ("#0072B2", "o"), ("#D55E00", "^"))


def draw_starts(shown, ax):
    """Root mean squares every few steps, a marker for each size of start; theory dashed thin."""
    measured = [name for name in shown if f"{name}, theory" in shown]
    for name, (color, marker) in zip(measured, cycle(LOOKS), strict=False):
        ax.semilogy(shown[f"{name}, theory"], **THEORY | {"linewidth": 0.7})
        style = {"color": color, "marker": marker, "linestyle": "", "markersize": 4, "markevery": 3}
        (line,) = ax.semilogy(shown[name], **style)
        label_end(ax, line, name)
    ax.set(xlabel="steps t", ylabel="root mean square of ||theta|| (log scale)")


def draw_steps(t, panels, axes):
    """A sum and an average, each as it is and divided by 1 - gamma^t."""
    looks = [rule_style(name) | {"markersize": 4} for name in ("heavy_ball", "bias_corrected")]
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for look, (label, values) in zip(looks, curves.items(), strict=True):
            ax.plot(t, values, **look, label=label)
        ax.set(title=title, xlabel="steps t", ylim=(0, 1.15 * max(map(np.max, curves.values()))))
        ax.legend(loc="lower right")
    axes[0].set_ylabel("step, units of eta·g")
    axes[1].set_ylabel("average, units of g")


def draw_blow_up(far, plain, ax):
    """The farthest point over h / (1 - gamma), one line style a gamma; the first step dashed thin."""
    color = rule_style("bias_corrected")["color"]
    named = (name for name in far if name.startswith("gamma"))
    for name, line in zip(named, cycle(LINES), strict=False):
        ratio = far[name.replace("gamma =", "ratio,")]
        ax.plot(ratio, far[name], color=color, linestyle=line, linewidth=2, label=f"corrected, {name}")
    ax.plot(ratio, plain, color=rule_style("heavy_ball")["color"], label=f"plain, {name}")
    ax.plot(ratio, np.maximum(1, np.abs(1 - ratio)), **THEORY, label="the first step alone")
    ax.axvline(2, color="0.6", linewidth=0.8)
    ax.set(yscale="log", xlabel="eta·lam / (1 − gamma)", ylabel="largest |theta_t / theta_0| (log scale)")
    ax.legend()


def draw_stops(blocks, floors, ax):
    """Largest distance in each 40 steps, told apart by dash and width; half ulps dashed thin."""
    looks = (("0.55", "-", 4), ("black", (0, (1, 1.5)), 2), ("#0072B2", "-", 1.5), ("#D55E00", "--", 1.5))
    for (name, gap), (color, line, width) in zip(blocks.items(), looks, strict=True):
        t = 40 * np.arange(1, len(gap) + 1)
        ax.semilogy(t, gap, color=color, linestyle=line, linewidth=width, label=name)
    for floor in floors:
        ax.plot([0, 4000], [floor] * 2, **THEORY)
    ax.set(xlabel="steps t", ylabel="|theta − 1| in 32 bits (log scale)")
    ax.legend(loc="upper right", fontsize=9)
