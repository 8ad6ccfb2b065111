"""How the figures of notebook 13 look; the mathematics stands in its cells."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import LogLocator, NullFormatter

from momentum_lib import THEORY, label_end, rule_style

FORMS = {"N": ("nesterov", "Nesterov"), "M": ("heavy_ball", "heavy ball")}


def style(rule):
    """A marker at every point."""
    return rule_style(rule) | {"markevery": 1}


def ticks(axis):
    """Ticks of a short log axis as plain numbers: 0.5, 1, 2."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_images(rows, ax):
    """Rows of square images (n, pixels), one beneath the other, each named at its left."""
    side = round(next(iter(rows.values())).shape[1] ** 0.5)
    framed = [np.pad(images.reshape(-1, side, side), ((0, 0), (1, 1), (1, 1))) for images in rows.values()]
    sheet = np.concatenate([np.concatenate(list(images), axis=1) for images in framed])
    ax.imshow(sheet, cmap="gray_r", vmin=0, vmax=1, origin="upper", aspect="equal")
    ax.set_yticks([(side + 2) * (row + 0.5) for row in range(len(rows))], list(rows))
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def with_seeds(at, table, look, ax):
    """Mean errors, and bars from the least to the largest seed."""
    mean = table["mean"].to_numpy()
    sides = [mean - table["least"], table["largest"] - mean]
    return ax.errorbar(at, mean, sides, capsize=3, **look)[0]


def draw_errors(table, ax):
    """Error of each method, rows SGD, 0.9N, 0.9M, ..., against its largest momentum."""
    gammas = list(dict.fromkeys(name[:-1] for name in table.index if name != "SGD"))
    for shift, (form, (rule, text)) in zip((-0.07, 0.07), FORMS.items(), strict=True):
        rows = table.loc[[f"{g}{form}" for g in gammas]]
        with_seeds(np.arange(1, 1 + len(gammas)) + shift, rows, style(rule) | {"label": text}, ax)
    with_seeds([0], table.loc[["SGD"]], style("gradient_descent") | {"label": "SGD"}, ax)
    ax.set_xticks(range(1 + len(gammas)), ["SGD", *gammas])
    ax.set(yscale="log", xlabel="largest momentum")
    ticks(ax.yaxis)


def draw_scales(reach, tables, axes):
    """Gradients by layer at the start; errors after training over what the least scale leaves."""
    for scale, norm in reach.items():
        axes[0].semilogy(
            range(1, len(norm) + 1), norm, "k-" if scale == 1 else "k--", alpha=1 if scale == 1 else 0.5
        )
        axes[0].annotate(
            f"{scale:g}", (1, norm[0]), (-6, 0), textcoords="offset points", ha="right", va="center"
        )
    axes[0].set(xlabel="layer, from the input", ylabel="norm of its gradient\n(log scale)", xlim=(-0.6, None))
    for (name, table), look in zip(
        tables.items(), (style("nesterov"), THEORY | {"marker": "s"}), strict=True
    ):
        axes[1].plot(table.index, table / table.iloc[0], **look, label=name)
    axes[1].set(xscale="log", yscale="log", xlabel="scale of the first weights (log scale)")
    axes[1].set_ylabel("training error over\nthat at scale 1/4 (log scale)")
    axes[1].set_xticks(list(reach), [f"{scale:g}" for scale in reach])
    axes[1].minorticks_off()
    axes[1].legend()


def draw_error_by_eta(mean, rule, ax, allowed):
    """Mean error against eta, one line a method; the best of each is ringed, rates allowed are shaded."""
    ax.axvspan(mean.index.min(), max(allowed), color="0.93", zorder=0)
    at = (mean.index.min(), 0.02)
    ax.annotate(
        "the paper's", at, (3, 0), textcoords="offset points", color="0.4", xycoords=("data", "axes fraction")
    )
    shares, lines = iter(np.linspace(0.55, 0.0, len(mean.columns) - 1)), ("-", "--", "-.", ":", (0, (1, 1)))
    for (name, column), line, marker in zip(mean.items(), lines, "so^vD", strict=True):
        color = np.array(to_rgb(rule_style("gradient_descent" if name == "SGD" else rule)["color"]))
        share = 0 if name == "SGD" else next(shares)
        look = {"color": share + (1 - share) * color, "linestyle": line, "marker": marker, "markersize": 4}
        finite = column.dropna()
        ax.plot(finite.index, finite, **look, label=name)
        ax.plot(finite.idxmin(), finite.min(), "ko", markersize=10, fillstyle="none")
    ax.set(xscale="log", yscale="log", xlabel="learning rate eta (log scale)", ylim=(None, 16))
    ax.legend(fontsize=9, loc="upper left")
    ticks(ax.yaxis)


def draw_schedules(frame, ax):
    """Error of every seed under each schedule, a bar at the mean."""
    names = list(dict.fromkeys(frame["schedule"]))
    for row, name in enumerate(names):
        errors = frame.loc[frame["schedule"] == name, "error"]
        constant = name.startswith("constant")
        color = rule_style("gradient_descent" if constant else "nesterov")["color"]
        marker = "s" if constant else "^"
        ax.plot(errors, np.full(len(errors), row), marker, color=color, fillstyle="none", markersize=8)
        ax.plot([errors.mean()] * 2, [row - 0.3, row + 0.3], "-", color=color)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.set(xscale="log", xlabel="training error (log scale)")
    ticks(ax.xaxis)


def draw_best(table, column, ax, label):
    """A column of `table` against 1 - gamma, one line a batch size, labeled at its end."""
    for (batch, rows), shade, marker in zip(
        table.groupby("batch"), ("0.62", "0.45", "0.25", "0.0"), "os^D", strict=True
    ):
        line = ax.plot(1 - rows["gamma"], rows[column], "-", color=shade, marker=marker)[0]
        label_end(ax, line, "full batch" if batch > 1000 else f"batch {batch}")
    ax.set(xscale="log", yscale="log", xlabel="1 - gamma (log scale)", ylabel=label)
    ax.invert_xaxis()


def draw_edges(t, along, edges, ax):
    """Sharpness of each rule against the step, and its own limit, dashed and named."""
    for (name, gamma), values in along.items():
        look = rule_style("gradient_descent" if gamma == 0 else name)
        ax.plot(t, values, **look | {"linewidth": 1.2 + 1.2 * gamma, "markevery": 8})
        text = "gradient descent" if gamma == 0 else f"{name.replace('_', ' ')} {gamma}"
        limit, lift = edges[name, gamma], {"nesterov 0.5": 4, "nesterov 0.9": -4}.get(text, 0)
        ax.axhline(limit, **THEORY)
        side = {"xytext": (8, lift), "textcoords": "offset points", "annotation_clip": False}
        ax.annotate(f"{text}: {limit:.1f}", (t[-1], limit), **side, va="center", color=look["color"])
    ax.set(xlabel="step", ylabel="sharpness of the loss", xlim=(0, t[-1]), ylim=(0, 215))


CAPTION = {
    "scale-of-the-first-weights": (
        "Left: norm of each layer's gradient at the start, labeled by the scale of the first weights. "
        "Right: error after training, ours and the paper's, each over its own at scale 1/4. Curves, "
        "Nesterov at 0.99 only."
    ),
    "momentum-and-error": (
        "Training error against the largest momentum, mean and extremes of three seeds, after 8,000 "
        "updates on digits and curves; it does not show how the order changes with the length."
    ),
    "which-learning-rate": (
        "Mean error on digits against the learning rate, the best of each method ringed: SGD wants a "
        "rate far above the paper's set. After 8,000 updates, three seeds."
    ),
    "restored-digits": (
        "Fourteen digits, and what SGD at 0.2 and Nesterov at 0.99 make of them after 8,000 updates; "
        "training images only."
    ),
    "gradual-or-constant": (
        "Every seed under constant gamma (squares) and under schedules (triangles), bar at the mean. "
        "Pace and depth differ between the two networks."
    ),
    "batch-and-best-eta": (
        "Best learning rate and the loss it reaches in 400 updates, against 1 - gamma, for four batch "
        "sizes: a line that falls one decade a decade is eta proportional to 1 - gamma. Rates are "
        "powers of two."
    ),
    "edge-of-stability": (
        "Sharpness of one network under five rules at one learning rate: each settles at its own "
        "stability limit (dashed). Full batch, one start; it does not say that the edge is good."
    ),
}
