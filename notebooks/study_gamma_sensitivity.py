"""How the figures of notebook 05 look; the mathematics stands in its cells."""

import numpy as np
from matplotlib.colors import LogNorm

from momentum_lib import THEORY, hatch_unstable, label_end

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#666666"
DIVERGES = {"hatch": "////", "facecolor": "none", "edgecolor": "0.6", "linewidth": 0}


def draw_step_maps(eta, gamma, counted, predicted, best, axes):
    """Counted steps, and their ratio to the prediction; hatched where a setting diverges."""
    looks = (
        (
            counted,
            "steps to a millionth (log scale)",
            {"norm": LogNorm(20, 20_000), "cmap": "viridis_r"},
        ),
        (
            counted / predicted,
            "counted / predicted",
            {"vmin": 0.7, "vmax": 1.3, "cmap": "PuOr"},
        ),
    )
    for ax, (values, label, look) in zip(axes, looks, strict=True):
        image = ax.pcolormesh(eta, 1 - gamma, values, **look, rasterized=True)
        hatch_unstable(ax, eta, 1 - gamma, np.isnan(predicted))
        ax.plot(best["eta"], 1 - best["gamma"], "*", color="white", mec="black", ms=12)
        ax.set(yscale="log", xlabel="eta·L", ylim=(1, (1 - gamma).min()))
        ax.grid(False)
        ax.figure.colorbar(image, ax=ax, label=label, extend="both")
    axes[0].set_ylabel("1 − gamma (log scale)")


def draw_margins(change, costs, limits, axes):
    """Steps over those at the best setting, one letter moved at a time: by the rate, and counted."""
    names = {"friction": "1 − gamma", "eta": "eta"}
    for ax, (of, (by_rate, counted)) in zip(axes, costs.items(), strict=True):
        end = 100 * limits[of]
        ax.semilogy(
            100 * change,
            np.where(np.isfinite(counted), counted, np.nan),
            color=BLUE,
            label="counted",
        )
        ax.semilogy(100 * change, by_rate, **THEORY, label="by the rate")
        ax.axvline(end, color=VERMILION, linewidth=1.2)
        ax.axvspan(end, max(6.5, 1.1 * end), **DIVERGES)
        ax.text(-11.5, 6, f"diverges beyond +{end:.3g} %", color=VERMILION)
        ax.plot(0, 1, "*", color="white", mec="black", ms=12, zorder=4)
        ax.set(
            xlabel=f"change of {names[of]} (%)",
            ylim=(0.8, 8),
            xlim=(-12, max(6.5, 1.1 * end)),
        )
        ax.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        ax.minorticks_off()
    axes[0].set(
        ylabel="steps over those at the star\n(log scale)",
        title="gamma moved, eta kept",
    )
    axes[1].set(title="eta moved, gamma kept")
    axes[0].legend(loc="center left")


def draw_regret(kappas, regret, descent, ax):
    """What one momentum for all condition numbers costs, beside tuned gradient descent."""
    colors = ("#009E73", BLUE, VERMILION, "#CC79A7", "#E69F00")
    for (gamma, cost), color in zip(regret.items(), colors, strict=False):
        (line,) = ax.loglog(kappas, cost, color=color, linestyle="-")
        label_end(ax, line, f"gamma {gamma:g}")
    ax.loglog(kappas[descent < 250], descent[descent < 250], color=GREY, linestyle=":")
    ax.text(8e3, 110, "gradient descent", color=GREY, ha="right")
    ax.set(
        xlabel="condition number kappa (log scale)",
        ylabel="steps over fewest steps (log scale)",
    )
    ax.set(ylim=(0.9, 400))


def draw_schedules(frame, axes):
    """The distance every arm is left with, median and range over the seeds, one panel a problem."""
    for ax, (problem, part) in zip(axes, frame.groupby("problem", sort=False), strict=True):
        fixed = part["arm"].str.fullmatch(r"[\d.]+").to_numpy()
        place = np.arange(len(part))
        for mask, color, marker in ((fixed, BLUE, "o"), (~fixed, VERMILION, "D")):
            few = part[mask]
            spread = np.stack([few["median"] - few["low"], few["high"] - few["median"]])
            ax.errorbar(
                place[mask],
                few["median"],
                spread,
                fmt=marker,
                color=color,
                capsize=3,
                linewidth=1.2,
            )
        ax.axhline(part[fixed]["median"].min(), color=BLUE, linewidth=0.8)
        wide = part["median"].max() > 10 * part["median"].min()
        ax.set_yscale("log" if wide else "linear")
        ax.set_ylabel("distance left / at the start" + " (log scale)" * bool(wide))
        ax.set_xticks(place, part["arm"], rotation=60, ha="right", fontsize=9)
        ax.set(title=problem, xlim=(-0.6, len(part) - 0.4))
        ax.grid(axis="x", visible=False)


def draw_wrong(factor, price, expected, ax):
    """What Polyak's setting costs when mu or L is assumed `factor` times its value."""
    for (name, cost), color, line in zip(price.items(), (BLUE, VERMILION), ("-", "-."), strict=True):
        ax.loglog(factor, cost, color=color, linestyle=line, label=f"wrong {name}")
    ax.loglog(factor, expected, **THEORY, label="derived, wrong mu")
    ax.axvspan(factor[0], 1, ymax=0.1, **DIVERGES | {"edgecolor": VERMILION})
    ax.text(0.25, 1.2, "L too small: diverges", color=VERMILION, ha="center")
    ax.set(
        xlabel="assumed over true (log scale)",
        ylabel="steps over fewest (log scale)",
        ylim=(0.9, 9),
    )
    ax.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    ax.minorticks_off()
    ax.legend(loc="upper center")
