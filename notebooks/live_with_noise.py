"""How the figures of notebook 10 look; the mathematics stands in its cells."""

from itertools import cycle

import numpy as np

from momentum_lib import THEORY, label_end, rule_style

#: What to see in each figure, and what it does not show.
CAPTIONS = {
    "predicted-floors": (
        "Measured over predicted noise floors, each setting with one standard error: the "
        "line is where they agree. One curvature, Gaussian noise."
    ),
    "momentum-as-a-filter": (
        "Gain of heavy ball's velocity against frequency: slow gradients are amplified, fast ones "
        "damped. Theta is not fed back here."
    ),
    "three-answers": (
        "Variance of theta over that without momentum, for three things held equal, from eta lam "
        "= {h:.2g}: rises, stays, falls by half. One curvature; dots are simulated."
    ),
    "three-thresholds": (
        "Factor a step of the mean, the root mean square and a typical run of heavy ball under "
        "random curvature; above 1 each diverges. One eigen-direction, one gamma."
    ),
    "batch-plateaus": (
        "The mean-square limit of eta S against the batch size climbs from 2(1 - gamma) to 2(1 + "
        "gamma), the bars; later for more momentum. One eigen-direction."
    ),
    "kidambi-times": (
        "Best mean-square time against kappa on Kidambi's example: heavy ball's line is parallel "
        "to SGD's. Best found with the spectrum known, no theorem."
    ),
    "batch-gamma-eta": (
        "Best mean-square time of SGD and heavy ball against the batch size, and the letters "
        "heavy ball takes for it: Kidambi's example, c = 1, kappa {kappa:g}, in steps."
    ),
    "minibatch-logistic": (
        "Median gap of heavy ball against the effective rate for three batch sizes; gaps above 1 "
        "are left out. One data set, 200 steps, six seeds."
    ),
}

#: The curves of the first, second, … gamma of a figure, told apart in grey too: color, line, marker.
LOOKS = (
    {"color": "#666666", "linestyle": "-", "marker": "s"},
    {"color": "#56B4E9", "linestyle": (0, (6, 2)), "marker": "^"},
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": (0, (6, 2, 1, 2)), "marker": "D"},
)


def draw_floors(data, ax):
    """Measured over predicted floor against the predicted one, with standard errors."""
    for name, part in data.groupby("rule"):
        look = rule_style(name) | {"linestyle": "", "markersize": 5, "markevery": 1}
        ratio, error = (
            part["measured"] / part["predicted"],
            part["error"] / part["predicted"],
        )
        ax.errorbar(
            part["predicted"],
            ratio,
            error,
            **look,
            elinewidth=1,
            label=name.replace("_", " "),
        )
    ax.axhline(1, **THEORY)
    ax.set(
        xscale="log",
        xlabel="predicted variance of theta (log scale)",
        ylabel="measured / predicted",
    )
    ax.legend(loc="lower right")


def draw_ratios(gammas, exact, dots, ax):
    """Variance over that without momentum, one curve a question; dots with bars of one standard error."""
    looks = (("#0072B2", "o"), ("#666666", "s"), ("#D55E00", "^"))
    for (name, ratio), (color, marker) in zip(exact.items(), cycle(looks), strict=False):
        ax.semilogy(gammas, ratio, **THEORY)
        g, measured, error = dots[name]
        made = ax.errorbar(g, measured, error, color=color, marker=marker, linestyle="", capsize=3)
        label_end(ax, made.lines[0], name)
    ax.set(xlabel="gamma", ylabel="variance of theta over that\nat gamma = 0 (log scale)")
    ax.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    ax.minorticks_off()


def draw_thresholds(h, growth, ax):
    """Three factors a step; above 1 the thing named grows."""
    ax.semilogx(h, growth["mean"], **THEORY, label="mean")
    ax.semilogx(h, growth["mean square"], **THEORY | {"linestyle": "-"}, label="root mean square")
    ax.semilogx(h, growth["typical run"], "o", color="#0072B2", label="typical run, measured")
    ax.axhline(1, color="0.6", linewidth=0.8)
    ax.legend(loc="upper left")
    ax.set(xlabel="h = eta lam (log scale)", ylabel="factor a step", ylim=(0.93, 1.25))


def draw_plateaus(batches, gammas, limits, ax):
    """The largest stable eta S against the batch size, a curve a gamma; bars at its two plateaus."""
    for g, look in zip(gammas, cycle(LOOKS), strict=False):
        curve = ax.loglog(batches, limits[f"gamma {g:g}"], **look | {"marker": ""})[0]
        ax.annotate(f"gamma = {g:g}", (1.1, 2.4 * (1 - g)), color=curve.get_color())
        ax.plot(batches[[0, -1]], (2 * (1 - g), 2 * (1 + g)), "k_", markersize=12)
    ax.set(xlabel="batch size B (log scale)", ylabel="largest stable eta S (log scale)")


def draw_times(times, axes):
    """Best mean-square time against kappa, one panel a fourth moment c."""
    for ax, (c, part) in zip(axes, times.groupby("c"), strict=True):
        for name, curve in part.groupby("rule"):
            look = rule_style(name) | {"markevery": 1}
            ax.loglog(curve["kappa"], curve["time"], **look, label=name.replace("_", " "))
        ax.set(xlabel="kappa (log scale)", title=f"c = {c}")
    axes[-1].legend(loc="upper left")
    axes[0].set_ylabel("steps, 1/(1 - rho) (log scale)")


def draw_batches(batches, best, axes):
    """Best time, and the letters it takes, against the batch size."""
    for name, rows in best.items():
        look = rule_style(name) | {"markevery": 1}
        axes[0].loglog(batches, rows["time"], **look, label=name.replace("_", " "))
    letters = {"eta/(1 - gamma)": "#0072B2", "eta": "#009E73", "1 - gamma": "#CC79A7"}
    for (name, color), marker in zip(letters.items(), "osD", strict=True):
        axes[1].loglog(batches, best["heavy_ball"][name], color=color, marker=marker, label=name)
    for ax, text in zip(axes, ("steps, 1/(1 - rho)", "heavy ball's best letters"), strict=True):
        ax.set(xlabel="batch size B (log scale)", ylabel=f"{text} (log scale)")
    axes[0].legend(loc="center right")
    axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.36))


def draw_gaps(etas, gammas, gaps, axes):
    """Median gap against eta/(1 - gamma), one panel a batch size and one curve a gamma."""
    for ax, (batch, gap) in zip(axes, gaps.items(), strict=True):
        for gamma, curve, look in zip(gammas, gap.T, cycle(LOOKS), strict=False):
            shown = np.where(curve < 1, curve, np.nan)
            ax.loglog(etas / (1 - gamma), shown, **look, markersize=4, label=f"{gamma:g}")
        ax.set(xlabel="eta / (1 - gamma) (log scale)", title=f"batch {batch}")
    axes[0].set_ylabel("f - min f after 200 steps (log scale)")
    axes[0].legend(title="gamma", loc="lower left")
