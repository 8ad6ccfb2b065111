"""How the figures of notebook 13 look; the mathematics stands in its cells."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter, PercentFormatter

from momentum_lib import THEORY, label_end, rule_style

LINES, MARKERS = ("-", "--", "-.", ":", (0, (1, 1))), "so^vD"


def style(rule):
    """A marker at every point."""
    return rule_style(rule) | {"markevery": 1}


def shade(rule, share=0.0):
    """The color of a rule, lightened by a share of the way to white."""
    return share + (1 - share) * np.array(to_rgb(rule_style(rule)["color"]))


def ticks(axis):
    """Ticks of a short log axis as plain numbers: 0.5, 1, 2."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_lengths(long, ends):
    """Two panels: the error along the longest training, and the error at each length over SGD's.

    Parameters
    ----------
    long : DataFrame
        Columns method, t, error; a row a seed.
    ends : DataFrame
        Mean errors, a row a method (SGD, 0.9N, ..., 0.9M, ...), a column a length.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
    shown = long[~long["method"].str.endswith("M")]
    shares = iter(np.linspace(0.45, 0.0, shown["method"].nunique() - 1))
    for (name, rows), line, marker in zip(shown.groupby("method", sort=False), LINES, MARKERS, strict=True):
        error = rows.groupby("t")["error"].agg(["mean", "min", "max"])
        color = shade("gradient_descent") if name == "SGD" else shade("nesterov", next(shares))
        look = {"color": color, "linestyle": line, "marker": marker, "markersize": 4}
        left.plot(error.index, error["mean"], **look, label=name)
        left.fill_between(error.index, error["min"], error["max"], color=color, alpha=0.15, linewidth=0)
    left.set(xscale="log", yscale="log", xlabel="update (log scale)", ylabel="training error (log scale)")
    left.set_title("Nesterov, along 80,000 updates")
    left.legend(loc="lower left")
    gammas = list(dict.fromkeys(name[:-1] for name in ends.index if name != "SGD"))
    for share, (length, column) in zip(np.linspace(0.45, 0.0, ends.shape[1]), ends.items(), strict=True):
        for form, rule, line in (("N", "nesterov", "-"), ("M", "heavy_ball", "--")):
            over = column[["SGD", *(f"{g}{form}" for g in gammas)]] / column["SGD"]
            look = {"color": shade(rule, share), "linestyle": line, "marker": style(rule)["marker"]}
            (drawn,) = right.plot(over.to_numpy(), **look, markersize=5)
            if form == "N":
                label_end(right, drawn, f"{length} updates")
                right.texts[-1].set_color(shade(rule))
    right.set_xticks(range(1 + len(gammas)), ["SGD", *gammas])
    right.set(yscale="log", xlabel="largest momentum", ylabel="error over SGD's (log scale)")
    right.set_title("Nesterov (solid), heavy ball (dashed)")
    ticks(left.yaxis)
    ticks(right.yaxis)
    return fig


def draw_error_by_eta(mean, allowed):
    """Mean errors (rows eta, columns methods), a panel a form; bests are ringed, rates allowed are shaded."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.9), sharey=True)
    for ax, form, rule in zip(axes, "NM", ("nesterov", "heavy_ball"), strict=True):
        ax.axvspan(mean.index.min(), max(allowed), color="0.93", zorder=0)
        at, side = (mean.index.min(), 0.02), {"xytext": (3, 0), "textcoords": "offset points"}
        ax.annotate("allowed", at, **side, color="0.4", xycoords=("data", "axes fraction"))
        names = [name for name in mean if name == "SGD" or name.endswith(form)]
        shares = iter(np.linspace(0.45, 0.0, len(names) - 1))
        for name, line, marker in zip(names, LINES, MARKERS, strict=True):
            color = shade("gradient_descent") if name == "SGD" else shade(rule, next(shares))
            finite = mean[name].dropna()
            look = {"color": color, "linestyle": line, "marker": marker, "markersize": 4}
            ax.plot(finite.index, finite, **look, label=name)
            ax.plot(finite.idxmin(), finite.min(), "ko", markersize=10, fillstyle="none")
        ax.set(xscale="log", yscale="log", xlabel="learning rate eta (log scale)", ylim=(None, 40))
        ax.set_title("Nesterov" if form == "N" else "Heavy ball")
        ax.legend(fontsize=9, loc="upper left")
        ticks(ax.yaxis)
    axes[0].set_ylabel("training error on digits\n(log scale)")
    return fig


def draw_best(found):
    """Best eta and mean loss (rows batch and gamma) against 1 - gamma, one line a batch size."""
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.8))
    names = {"eta": "best eta (log scale)", "mean": "training loss (log scale)"}
    for ax, (column, label) in zip(axes, names.items(), strict=True):
        looks = zip(("0.62", "0.45", "0.25", "0.0"), "os^D", strict=True)
        for (batch, rows), (gray, marker) in zip(found[column].unstack().iterrows(), looks, strict=True):
            line = ax.plot(1 - rows.index, rows, "-", color=gray, marker=marker)[0]
            label_end(ax, line, "full batch" if batch > 1000 else f"batch {batch}")
        ax.set(xscale="log", yscale="log", xlabel="1 - gamma (log scale)", ylabel=label)
        ax.invert_xaxis()
    return fig


def draw_contest(shown):
    """Two panels, a row a method: training loss and test error, mean and extremes of the seeds.

    Parameters
    ----------
    shown : dict
        By panel and plan a table: rows methods, columns mean, least, largest.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), sharey=True)
    looks = {"constant": ("o", "0.2", -0.15), "cosine": ("s", "#0072B2", 0.15)}
    for (panel, plan), rows in shown.items():
        ax, (marker, color, shift) = axes[int(panel == "test")], looks[plan]
        ends = [rows["mean"] - rows["least"], rows["largest"] - rows["mean"]]
        look = {"fmt": marker, "color": color, "markersize": 5, "label": f"{plan} rate"}
        look |= {"markerfacecolor": "white"} if plan == "cosine" else {}
        ax.errorbar(rows["mean"], np.arange(len(rows)) + shift, xerr=ends, **look)
        ax.set_yticks(range(len(rows)), rows.index)
    axes[0].set(xscale="log", xlabel="training loss (log scale)")
    axes[1].set(xlabel="share of the test told wrongly")
    axes[1].xaxis.set_major_locator(MultipleLocator(0.01))
    axes[1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0].invert_yaxis()
    axes[0].legend(loc="upper left", fontsize=9)
    return fig


def draw_edges(along, edges):
    """Sharpness against the step, a column a rule and gamma, and its own limit, dashed and named, where it is in reach."""
    fig, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
    top, t = 1.1 * along.max(axis=None), along.index
    shown = {key: limit for key, limit in edges.items() if limit < top}
    words = {"heavy_ball": "heavy ball", "nesterov": "Nesterov"}
    for (name, gamma), values in along.items():
        look = rule_style("gradient_descent" if gamma == 0 else name)
        ax.plot(t, values, **look | {"linewidth": 1.2 + 1.2 * gamma, "markevery": 8})
        if (name, gamma) not in shown:
            continue
        limit = shown[name, gamma]
        text = "gradient descent" if gamma == 0 else f"{words[name]} {gamma:g}"
        near = [limit - other for other in shown.values() if 0 < abs(limit - other) < 0.05 * top]
        side = {"xytext": (8, 4 * np.sign(sum(near))), "textcoords": "offset points", "va": "center"}
        ax.axhline(limit, **THEORY)
        at = (t[-1], limit)
        ax.annotate(f"{text}: {limit:.1f}", at, **side, color=look["color"], annotation_clip=False)
    ax.set(xlabel="step", ylabel="sharpness of the loss", xlim=(0, t[-1]), ylim=(0, top))
    return fig


CAPTION = {
    "momentum-and-error": (
        "Curves. Left: error along 80,000 updates, mean and extremes of the seeds, Nesterov: the curves "
        "cross. Right: error over SGD's at three lengths, Nesterov solid, heavy ball dashed; the longest "
        "is the paper's, with images of its own."
    ),
    "which-learning-rate": (
        "Mean error on digits against the learning rate, the best of each method ringed: SGD wants a "
        "rate far above the paper's set. After 8,000 updates, three seeds."
    ),
    "batch-and-best-eta": (
        "Best learning rate and the loss it reaches in 400 updates, against 1 - gamma, for four batch "
        "sizes: a line that falls one decade a decade is eta proportional to 1 - gamma. Rates are "
        "powers of two."
    ),
    "and-adam": (
        "Eight methods after 1,000 updates on digits, each at the learning rate with the least validation "
        "error of nine: training loss and test error, mean and extremes of five seeds. Nothing but the "
        "rate is tuned; one small network."
    ),
    "edge-of-stability": (
        "Sharpness of one network under five rules at one learning rate: each settles at its own "
        "stability limit (dashed). Full batch, one start; it does not say that the edge is good."
    ),
}
