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
        "spikes among the wells. One set of starts, 800 steps, no noise."
    ),
    "cycle-regions": "Where a function of condition {kappa:g} makes heavy ball cycle; star: Polyak.",
    "worst-over-the-class": (
        "Worst squared distance at Polyak's tuning, over all functions and over quadratics, "
        "beside triple momentum. Six steps prove no divergence."
    ),
}


def draw_escapes(gammas, leaves, axes):
    """The share of starts that change wells against gamma, a panel a home and a curve a rule."""
    for key, share in leaves.items():
        home, name = key.split(", ")
        ax = axes[int(home == "good")]
        ax.plot(gammas[1:], share[1:], **rule_style(name), label=name.replace("_", " "))
        ax.set(title=f"Start in the {home} well, end in the other", xlabel="gamma")
    axes[0].set_ylabel("share of starts")
    axes[0].legend(loc="upper left")


def draw_survival(time, gamma, panels, axes):
    """The share of walkers still inside, darker and thicker for more momentum; a panel an alpha."""
    for ax, (title, inside) in zip(axes, panels.items(), strict=True):
        for i, (g, share) in enumerate(zip(gamma, inside.T, strict=True)):
            depth = i / (len(gamma) - 1 or 1)
            look = {"color": str(0.65 * (1 - depth)), "linewidth": 1 + 1.5 * depth}
            ax.plot(time, share, **look, label=f"gamma = {g:g}")
        ax.set(xlabel="time, alpha times steps", ylim=(0, 1.02), title=title)
    axes[0].set_ylabel("share that has not left")
    axes[0].legend()


def draw_success(classics, curves, axes):
    """The share that ends near the best minimizer against eta, a panel a function."""
    for ax, (place, (_, _, etas)) in zip(axes, classics.items(), strict=True):
        for name in (name for at, name in curves if at == place):
            look = rule_style(name) | {"marker": "", "linewidth": 1.2}
            ax.semilogx(etas, curves[place, name], **look, label=name.replace("_", " "))
        ax.set(xlabel="eta (log scale)", ylim=(-0.02, 1.02), title=place)
        if etas[-1] < 10 * etas[0]:  # less than a decade: three ticks, written out
            ax.set_xticks([0.002, 0.005, 0.01], ["0.002", "0.005", "0.01"])
            ax.xaxis.set_minor_formatter("")
    axes[0].set_ylabel("share near the minimizer")
    axes[1].legend(loc="upper right")


def draw_cycle_map(shortest, h, gamma, star, ax):
    """The shortest cycle at each (h, gamma), 0 for none; the limit on quadratics, one setting."""
    lengths = np.unique(shortest[shortest > 0]) if shortest.any() else np.array([3])
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


def draw_worst(steps, curves, axes):
    """Worst squared distances of heavy ball over functions and over quadratics, and of triple momentum."""
    looks = {"heavy ball, all functions": rule_style("heavy_ball") | {"markevery": 1}}
    looks["heavy ball, quadratics"] = THEORY
    looks["triple momentum, all functions"] = rule_style("triple_momentum") | {"markevery": 1}
    for ax, (kappa, values) in zip(axes, curves.items(), strict=True):
        for (name, look), value in zip(looks.items(), values, strict=True):
            ax.semilogy(steps, value, **look, label=name)
        ax.set(xlabel="steps", title=f"kappa = {kappa:g}")
    axes[0].set_ylabel("worst squared distance (log scale)")
    axes[0].legend(loc="lower left", fontsize=8)
