"""How the figures of notebook 08 look; the mathematics stands in its cells."""

import numpy as np
from matplotlib.colors import LogNorm

from momentum_lib import label_end, rule_style

#: What to see in each figure, and what it does not show.
CAPTIONS = {
    "where-pairs-part": (
        "Largest difference of two conventions over 200 random steps; a dot is rounding, a blank does not "
        "apply. One setting a pair; not which side is better."
    ),
    "map-of-momentum": (
        "The plane of QHM: each rule is a line, a point for each kappa, or its published default. Where a "
        "rule stands does not say how good it is."
    ),
}

#: Where names stand on the map: beside which point of what they name, how far right and up.
PLACES = {
    "heavy_ball": (0, 0, 9),
    "gradient_descent": (60, 0, 9),
    "nesterov": (50, 8, -4),
    "triple_momentum": (4, 34, -22),
}


def draw_parting(table, ax):
    """Color and number where a pair parts, a dot where it does not."""
    values = table.to_numpy()
    parted = np.where(values > 1e-9, values, np.nan)
    ax.imshow(parted, cmap="viridis_r", norm=LogNorm(1e-2, 100), origin="upper", alpha=0.85)
    for (i, j), value in np.ndenumerate(values):
        text = "" if np.isnan(value) else "·" if value < 1e-9 else f"{value:.2g}"
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if value > 2 else "black")
    ax.set_xticks(range(len(table.columns)), [c.replace(" ", "\n", 1) for c in table.columns], fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(table)), table.index.str.replace("_", " "), fontsize=9)
    ax.set_xlabel("largest difference, units of theta; a dot is rounding")
    ax.tick_params(length=0)
    ax.grid(False)


def draw_map(lines, points, ax):
    """The plane of beta and nu: rules with a free letter as lines, settings as points."""
    for name, (beta, nu) in lines.items():
        style = rule_style(name) | {"marker": "", "linewidth": 2}
        (line,) = ax.plot(1 / (1 - beta), nu, **style)
        at, *shift = PLACES[name]
        _name(ax, name, (1 / (1 - beta[at]), nu[at]), shift, line)
    for name, (beta, nu) in points.items():
        style = rule_style(name.split(",")[0]) | {"linestyle": "", "markersize": 9, "markevery": 1}
        (dot,) = ax.plot(1 / (1 - beta), nu, **style)
        _name(ax, name, (1 / (1 - beta), nu), (8, 0), dot)
    ax.set(xscale="log", xlabel="memory 1/(1 − beta), steps (log scale)", ylabel="nu", ylim=(-0.12, 1.16))


def _name(ax, name, end, shift, line):
    arrow = {"arrowstyle": "-", "color": line.get_color(), "lw": 0.7} if shift[0] > 20 else None
    ax.annotate(
        name.replace("_", " "), end, shift, textcoords="offset points", va="center",
        color="0.15", fontsize=10, annotation_clip=False, arrowprops=arrow,
    )  # fmt: skip


def draw_limits(limits, share, axes):
    """The largest stable step over the memory, in alpha and in eta, rule by rule."""
    labels = {"heavy_ball": "heavy ball", "nesterov": "nesterov", "qhm": f"qhm, nu = {share:g}"}
    for ax, letter in zip(axes, ("alpha", "eta"), strict=True):
        for name, label in labels.items():
            style = rule_style(name) | {"markersize": 4, "linewidth": 1.8}
            (line,) = ax.plot(limits["memory"], limits[f"{name}, {letter}"], **style)
            label_end(ax, line, label)
        ax.set(xscale="log", xlabel="memory 1/(1 − beta), steps (log scale)")
    axes[0].set(yscale="log", ylabel="largest alpha·lam (log scale)", title="in alpha")
    axes[1].set(ylabel="largest eta·lam", ylim=(-0.2, 4.3), title="in eta = alpha(1 − beta)")
