"""Networks under momentum: pictures restored, errors with their spread over seeds, the edge of stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from momentum_lib.plots import THEORY, label_end, rule_style

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "draw_best_etas",
    "draw_edge",
    "draw_error_by_eta",
    "draw_errors",
    "draw_finish",
    "draw_images",
    "draw_reach",
    "draw_scales",
    "draw_schedules",
]

Array = np.ndarray[Any, Any]

_FORMS = {"N": ("nesterov", "Nesterov"), "M": ("heavy_ball", "heavy ball")}
_GREYS = ("0.62", "0.45", "0.25", "0.0")


def draw_images(rows: Mapping[str, Array], ax: Axes) -> None:
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


def draw_errors(table: pd.DataFrame, ax: Axes, names: bool = True) -> None:
    """Error of each method against its largest momentum: the median, and all seeds between the bars.

    `table` is that of `momentum_lib.learning.spread`, indexed SGD, 0.9N, 0.9M, ...
    """
    gammas = list(dict.fromkeys(name[:-1] for name in table.index if name != "SGD"))
    place = {name: at for at, name in enumerate(["SGD", *gammas])}
    for form, (rule, text) in _FORMS.items():
        rows = table.loc[[f"{g}{form}" for g in gammas]]
        at = np.array([place[g] for g in gammas]) + (0.06 if form == "M" else -0.06)
        line = _with_spread(at, rows, rule_style(rule) | {"markevery": 1}, ax)
        if names:
            label_end(ax, line, text)
    _with_spread([0], table.loc[["SGD"]], rule_style("gradient_descent") | {"markevery": 1}, ax)
    ax.set_xticks(range(len(place)), ["SGD", *gammas])
    ax.set(yscale="log", xlabel="largest momentum")
    _plain_ticks(ax.yaxis)


def _with_spread(at: Any, rows: pd.DataFrame, style: Mapping[str, Any], ax: Axes) -> Any:
    middle = rows["median"].to_numpy()
    sides = [middle - rows["least"], rows["largest"] - middle]
    return ax.errorbar(at, middle, sides, capsize=3, **style)[0]


def draw_error_by_eta(mean: pd.DataFrame, rule: str, ax: Axes, allowed: Sequence[float] = ()) -> None:
    """Mean error against eta (log-log), one line a column of `mean`; the best of each is ringed.

    The range of the learning rates `allowed` is shaded.
    """
    if len(allowed):
        ax.axvspan(mean.index.min(), max(allowed), color="0.93", zorder=0)
        ax.annotate(
            "the paper's",
            (mean.index.min(), 0.02),
            (3, 0),
            textcoords="offset points",
            color="0.4",
            xycoords=("data", "axes fraction"),
        )
    shades = iter(np.linspace(0.55, 0.0, len(mean.columns) - 1))
    for (name, column), style in zip(mean.items(), ("-", "--", "-.", ":", (0, (1, 1))), strict=True):
        plain = name == "SGD"
        color = rule_style("gradient_descent" if plain else rule)["color"]
        shade = color if plain else _blend(color, next(shades))
        finite = column.dropna()
        ax.plot(finite.index, finite, color=shade, linestyle=style, label=name)
        ax.plot(finite.idxmin(), finite.min(), "o", color=shade, markersize=8, fillstyle="none")
    ax.set(xscale="log", yscale="log", xlabel="learning rate eta (log scale)")
    ax.legend(fontsize=9, loc="upper left")
    ax.set_ylim(top=16)
    _plain_ticks(ax.yaxis)


def _blend(color: str, share: float) -> tuple[float, ...]:
    """The color mixed with white."""
    from matplotlib.colors import to_rgb

    return tuple((1 - share) * part + share for part in to_rgb(color))


def _plain_ticks(axis: Any) -> None:
    """Ticks of a short log axis as plain numbers: 0.5, 1, 2."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_finish(before: pd.DataFrame, after: pd.DataFrame, ax: Axes) -> None:
    """One arrow a method, from the median error before the finish to the one after it."""
    for row, name in enumerate(before.index):
        rule = _FORMS.get(name[-1], ("gradient_descent",))[0]
        color = rule_style(rule)["color"]
        a, b = before.loc[name, "median"], after.loc[name, "median"]
        ax.annotate("", (b, row), (a, row), arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.8})
        ax.plot(a, row, "o", color=color, fillstyle="none")
        ax.plot([after.loc[name, "least"], after.loc[name, "largest"]], [row, row], "|", color=color)
    ax.set_yticks(range(len(before)), list(before.index))
    ax.set_ylim(len(before) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.set(xscale="log", xlabel="training error (log scale)")
    _plain_ticks(ax.xaxis)


def draw_reach(norms: Mapping[float, Array], ax: Axes) -> None:
    """Norm of each layer's gradient (log scale), one grey line a scale of the weights; scale 1 is black."""
    for scale, norm in norms.items():
        plain = scale == 1
        ax.semilogy(range(1, len(norm) + 1), norm, "-" if plain else "--", color="black" if plain else "0.55")
        ax.annotate(f"{scale:g}", (1, norm[0]), (-6, 0), textcoords="offset points", ha="right", va="center")
    ax.set(xlabel="layer, from the input", ylabel="norm of its gradient (log scale)", xlim=(-0.4, None))


def draw_scales(ours: pd.DataFrame, theirs: Mapping[str, float], baseline: float, ax: Axes) -> None:
    """Error against the scale of the first weights: ours with the spread of the seeds, the paper's dashed."""
    _with_spread(ours.index.to_numpy(float), ours, rule_style("nesterov") | {"markevery": 1}, ax)
    scales = [float(scale) for scale in theirs]
    ax.plot(scales, list(theirs.values()), **THEORY, marker="s", fillstyle="none")
    ax.annotate("the paper's,\nin its own units", (scales[0], 2 * theirs["1"]))
    ax.axhline(baseline, color="0.5", linewidth=1, linestyle=":")
    ax.annotate("the mean image", (0.62, baseline), (0, 4), textcoords="offset points", color="0.4")
    ax.set(xscale="log", yscale="log", xlabel="scale of the first weights (log scale)")
    ax.set_ylabel("training error (log scale)")
    ax.set_xticks(scales, list(theirs))
    ax.minorticks_off()


def draw_schedules(frame: pd.DataFrame, ax: Axes) -> None:
    """Error of every seed under each schedule, a bar at the median."""
    names = list(dict.fromkeys(frame["schedule"]))
    for row, name in enumerate(names):
        errors = frame.loc[frame["schedule"] == name, "error"]
        constant = name.startswith("constant")
        color = rule_style("gradient_descent" if constant else "nesterov")["color"]
        marker = "s" if constant else "^"
        ax.plot(errors, np.full(len(errors), row), marker, color=color, fillstyle="none", markersize=8)
        ax.plot([errors.median()] * 2, [row - 0.3, row + 0.3], "-", color=color)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.set(xscale="log", xlabel="training error (log scale)")
    _plain_ticks(ax.xaxis)


def draw_best_etas(best: pd.DataFrame, ax: Axes, column: str, label: str) -> None:
    """A column of `best` against 1 - gamma (log-log), one line a batch size, labeled at its end."""
    for (batch, rows), shade, marker in zip(best.groupby("batch"), _GREYS, "os^D", strict=True):
        rows = rows.sort_values("gamma")
        line = ax.plot(1 - rows["gamma"], rows[column], "-", color=shade, marker=marker)[0]
        label_end(ax, line, "full batch" if batch > 1000 else f"batch {batch}")
    ax.set(xscale="log", yscale="log", xlabel="1 - gamma (log scale)", ylabel=label)
    ax.invert_xaxis()


def draw_edge(t: Array, ratios: Mapping[tuple[str, float], Array], ax: Axes) -> None:
    """Sharpness over its limit against the step, one line a rule and gamma; the limit is 1."""
    widths = {0.0: 1.2, 0.5: 1.8, 0.9: 2.6}
    for (rule, gamma), ratio in ratios.items():
        name = "GD" if gamma == 0 else f"{_FORMS['N' if rule == 'nesterov' else 'M'][1]} {gamma}"
        style = rule_style("gradient_descent" if gamma == 0 else rule)
        ax.plot(t, ratio, linewidth=widths.get(gamma, 2.0), label=name, **style)
    ax.axhline(1, **THEORY)
    ax.legend(ncols=2, fontsize=9, loc="lower right")
    ax.set(xlabel="step", ylabel="sharpness over its limit", ylim=(0.2, 1.25))
