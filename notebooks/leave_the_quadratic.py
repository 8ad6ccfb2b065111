"""How the figures of notebook 11 look; the mathematics stands in its cells."""

import numpy as np
from matplotlib.colors import BoundaryNorm

from momentum_lib import THEORY, rule_style

#: What to see in each figure, and what it does not show.
CAPTIONS = {
    "both-ways-out": (
        "Share of starts that change wells, by gamma: heavy ball leaves the bad and the good one. "
        "Gradient descent, at the same effective rate, ends where it diverges."
    ),
    "who-is-still-inside": (
        "Walkers still in the bad well at equal temperature: strong momentum is later, less so at "
        "the smaller effective rate. One well, one temperature."
    ),
    "success-against-eta": (
        "Share of runs that end near the best minimizer against eta: a broad range in the ravine, "
        "a spike among the wells. 60 starts, 800 steps, no noise."
    ),
    "basin-of-a-cycle": "Dark, starts that end on Lessard's cycle (stars); light ones converge.",
    "cycle-regions": "Where a function of condition 100 makes heavy ball cycle; star: Polyak.",
    "worst-over-the-class": (
        "Worst squared distance at Polyak's tuning, over all functions and over quadratics, "
        "beside triple momentum. Six steps prove no divergence."
    ),
}

GRAYS = ("0.65", "0.45", "0.25", "0.0")


def draw_survival(time, inside, ax):
    """The share of walkers still inside, darker and thicker for more momentum."""
    for i, (gamma, share) in enumerate(inside.items()):
        ax.plot(
            time,
            share,
            color=GRAYS[i],
            linewidth=1 + 0.5 * i,
            label=f"gamma = {gamma:g}",
        )
    ax.set(xlabel="time, alpha times steps", ylim=(0, 1.02))


def draw_success(etas, shares, ax):
    """The share that ends near the best minimizer against eta."""
    looks = zip(("#666666", "#0072B2", "#D55E00"), ("-", (0, (6, 2)), "-"), strict=True)
    for (name, share), (color, line) in zip(shares.items(), looks, strict=True):
        ax.semilogx(etas, share, color=color, linestyle=line, linewidth=1.2, label=name)
    ax.set(xlabel="eta (log scale)", ylim=(-0.02, 1.02))
    if etas[-1] < 10 * etas[0]:  # less than a decade: three ticks, written out
        ax.set_xticks([0.002, 0.005, 0.01], ["0.002", "0.005", "0.01"])
        ax.xaxis.set_minor_formatter("")


def draw_cycle_basin(cycles, reach, cycle, ax):
    """Dark, the starts (theta, v) that end on the cycle; its own states as stars."""
    ax.imshow(
        cycles,
        origin="lower",
        extent=(-reach, reach) * 2,
        cmap="cividis_r",
        aspect="auto",
    )
    ax.axhline(0, color="black", linewidth=0.8, linestyle=":")
    points = np.array([float(x) for x in cycle])
    ax.plot(
        points,
        np.roll(points, 1) - points,
        "w*",
        markeredgecolor="black",
        markersize=12,
    )
    ax.grid(False)
    ax.set(xlabel="start, theta", ylabel="start, velocity v")


def draw_cycle_map(shortest, h, gamma, star, ax):
    """The shortest cycle at each (h, gamma), 0 for none; the limit on quadratics, one setting."""
    lengths = np.unique(shortest[shortest > 0])
    norm = BoundaryNorm(np.arange(lengths[0], lengths[-1] + 2) - 0.5, 256)
    extent = (h[0], h[-1], gamma[0], gamma[-1])
    shown = np.ma.masked_equal(shortest, 0)
    image = ax.imshow(shown, origin="lower", extent=extent, aspect="auto", cmap="viridis", norm=norm)
    ax.figure.colorbar(image, ax=ax, label="shortest cycle, steps", ticks=lengths)
    ax.plot(2 * (1 + gamma), gamma, **THEORY)
    ax.plot(2 * (1 - gamma), gamma, color="black", linewidth=1.5)
    ax.annotate("energy\nfalls", (0.25, 0.25))
    ax.plot(*star, "w*", markeredgecolor="black", markersize=13)
    ax.grid(False)
    ax.set(xlabel="h = eta L", ylabel="gamma", xlim=extent[:2])


def draw_worst(steps, curves, ax):
    """Worst squared distances; what is known by formula dashed or with its own look."""
    looks = {"heavy ball, all functions": rule_style("heavy_ball") | {"markevery": 1}}
    looks["triple momentum, all functions"] = rule_style("triple_momentum") | {"markevery": 1}
    for name, values in curves.items():
        ax.semilogy(steps, values, **looks.get(name, THEORY), label=name)
    ax.set(xlabel="steps")
