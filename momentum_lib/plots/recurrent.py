"""Figures of notebook 14: echoes and gradients along a sequence, errors over learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from momentum_lib.learning.campaigns import best_eta_of
from momentum_lib.learning.tasks import RecurrentTask
from momentum_lib.learning.weights import echo_state
from momentum_lib.plots import THEORY, label_end, rule_style

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "compute_echo",
    "compute_past",
    "compute_successes",
    "compute_table",
    "draw_along",
    "draw_beside",
    "draw_errors",
    "draw_rates",
    "draw_scales",
    "draw_sequence",
    "draw_successes",
]

Array = np.ndarray[Any, Any]

_FORMS = {"N": "nesterov", "M": "heavy_ball", "0": "gradient_descent"}
_LIGHT = {"0": 1.0, "0.9": 0.45, "0.98": 0.7, "0.995": 1.0}  # more momentum, more ink


def _look(name: str) -> dict[str, Any]:
    """The look of a momentum named as in the paper: 0, 0.9N (Nesterov), 0.98M (heavy ball)."""
    return rule_style(_FORMS[name[-1]]) | {"markevery": 1, "alpha": _LIGHT[name.rstrip("NM")]}


def compute_echo(radius: float, steps: int, size: float, rng: np.random.Generator) -> Array:
    """Norm of the state of a hundred tanh units after one pulse of norm `size`, undisturbed from then on."""
    weights = echo_state(rng, 100, radius=radius).astype(float)
    pulse = rng.standard_normal(100)
    states = [np.tanh(size * pulse / np.linalg.norm(pulse))]
    for _ in range(steps):
        states.append(np.tanh(states[-1] @ weights))
    return np.asarray(np.linalg.norm(states, axis=1))


def compute_past(task: RecurrentTask, theta: Array, key: Any) -> Array:
    """Root mean square, over a thousand sequences, of the norm of d loss / d x_t at each step t."""
    import jax

    inputs, target = task.sequence.draw(key, 1000)
    slope = jax.grad(lambda x: task.sequence.loss(task.outputs(theta, x), target))(inputs)
    return np.asarray(np.sqrt(((1000 * np.asarray(slope, float)) ** 2).sum(axis=-1).mean(axis=1)))


def compute_successes(frame: pd.DataFrame, success: float) -> pd.DataFrame:
    """How many trainings of each momentum and eta are `good`, an error below `success`, and `diverged`."""
    marked = frame.assign(good=frame["error"] < success, diverged=np.isfinite(frame["diverged_at"]))
    return marked.groupby(["momentum", "eta"], sort=False)[["good", "diverged"]].sum().reset_index()


def compute_table(frame: pd.DataFrame, success: float, paper: Mapping[str, float]) -> pd.DataFrame:
    """One row a momentum: its best eta, the error over the seeds there, successes, divergences, the paper's.

    `edge` tells a best eta at an end of the set. `diverged` counts over all etas. An error that is not below
    `success`, and every diverged training, is no success.
    """
    best = best_eta_of(frame, ["momentum"]).groupby("momentum", sort=False)
    table = best["error"].agg(mean="mean", least="min", largest="max")
    table.insert(0, "eta", best["eta"].first())
    table.insert(1, "edge", best["edge"].first())
    share = best["error"].agg(good=lambda error: (error < success).sum(), seeds="size")
    table["success"] = [f"{good} of {seeds}" for good, seeds in share.itertuples(index=False)]
    lost = frame.assign(lost=np.isfinite(frame["diverged_at"])).groupby("momentum", sort=False)["lost"]
    table["diverged"] = [f"{lost.sum()[name]} of {lost.size()[name]}" for name in table.index]
    table["paper"] = [paper[str(name)] for name in table.index]
    return table


def draw_sequence(inputs: Array, ax: Axes) -> None:
    """One sequence of the addition problem, (length, 2): its numbers, the marked ones filled."""
    steps, marked = np.arange(1, len(inputs) + 1), inputs[:, 1] == 1
    color = rule_style("heavy_ball")["color"]
    ax.vlines(steps, 0, inputs[:, 0], color="#999999", linewidth=1)
    ax.plot(steps[~marked], inputs[~marked, 0], "o", color="#999999", fillstyle="none")
    ax.plot(steps[marked], inputs[marked, 0], "o", color=color, markersize=10)
    for t in steps[marked]:
        ax.annotate(
            f"{inputs[t - 1, 0]:.2f}", (t, inputs[t - 1, 0]), (9, 0), textcoords="offset points", va="center"
        )
    ax.axhline(0, color="#666666", linewidth=0.8)
    ax.set(xlabel="step of the sequence", ylabel="number", ylim=(-1.15, 1.15))


def draw_along(
    curves: Mapping[str, Array],
    ax: Axes,
    theory: Mapping[str, Array] | None = None,
    first: int = 0,
    named: int = -1,
) -> None:
    """Curves along a sequence on a log axis, from step `first` on; what theory says of each, dashed.

    Each is named at its end, or above its point number `named`.
    """
    for (name, curve), marker in zip(curves.items(), "os^D", strict=False):
        steps = first + np.arange(len(curve))
        line = ax.semilogy(steps, curve, marker=marker, markevery=5)[0]
        if theory is not None and name in theory:
            ax.semilogy(steps, theory[name], **THEORY)
        if named == -1:
            label_end(ax, line, name)
        else:
            at, side = (steps[named], curve[named]), "right" if curve[named] > curve[0] else "left"
            ax.annotate(name, at, (0, 7), textcoords="offset points", ha=side, color=line.get_color())


def draw_errors(frame: pd.DataFrame, axes: Sequence[Axes], worst: float, least: float) -> None:
    """Error over learning rate, one panel a momentum: dots the seeds, lines their means, crosses diverged.

    An error below `least` is drawn there, a diverged training above `worst`, the error of a guess.
    """
    plain = frame[frame["momentum"] == "0"]
    for ax, gamma in zip(axes, ("0.9", "0.98", "0.995"), strict=True):
        for name, cell in [
            ("0", plain),
            *((n, frame[frame["momentum"] == n]) for n in (gamma + "M", gamma + "N")),
        ]:
            look = _look(name) | {"alpha": 1.0}
            rows = cell.groupby("eta")["error"]
            mean = rows.mean().replace(np.inf, np.nan).clip(lower=least)
            ax.plot(mean.index, mean, **look, label=_word(name))
            shift = {"0": 1.0, "M": 0.93, "N": 1.07}[name[-1]]
            seeds, over = cell["error"].clip(lower=least), ~np.isfinite(cell["error"])
            dot = {"color": look["color"], "marker": look["marker"], "linestyle": "", "markersize": 3}
            ax.plot(shift * cell["eta"][~over], seeds[~over], **dot, alpha=0.6)
            ax.plot(
                shift * cell["eta"][over],
                np.full(over.sum(), 1.6 * worst),
                "x",
                color=look["color"],
                markersize=6,
            )
        ax.axhline(worst, **THEORY)
        ax.set(xscale="log", yscale="log", title=f"gamma = {gamma}", xlabel="eta (log scale)")


def _word(name: str) -> str:
    return {"N": "Nesterov", "M": "heavy ball", "0": "no momentum"}[name[-1]]


def draw_beside(table: pd.DataFrame, least: float, ax: Axes) -> None:
    """Our mean error and the paper's for each momentum, ours with its seeds' least and largest.

    Columns: mean, least, largest, paper. What lies below `least` is drawn there.
    """
    places = np.arange(len(table))
    shown = table[["mean", "least", "largest", "paper"]].clip(lower=least)
    ax.vlines(places - 0.12, shown["least"], shown["largest"], color="#0072B2", linewidth=2)
    ax.plot(
        places - 0.12, shown["mean"], "o", color="#0072B2", markersize=8, label="here: mean, least, largest"
    )
    ax.plot(
        places + 0.12, shown["paper"], "D", color="black", fillstyle="none", markersize=7, label="the paper"
    )
    ax.set_xticks(places, list(table.index))
    ax.set(yscale="log", xlabel="momentum (N Nesterov, M heavy ball)")
    ax.grid(False, axis="x")


def draw_rates(frame: pd.DataFrame, ax: Axes, worst: float) -> None:
    """Mean error over eta / (1 - gamma), a line each momentum; with a diverged seed there is no mean."""
    for name, cell in frame.groupby("momentum", sort=False):
        mean = cell.groupby("eta")["error"].mean().replace(np.inf, np.nan)
        remembered = 1 / (1 - float(str(name).rstrip("NM")))
        ax.semilogx(np.asarray(mean.index, float) * remembered, mean, **_look(str(name)), label=str(name))
    ax.axhline(worst, **THEORY)
    ax.set_xlabel("eta / (1 - gamma) (log scale)")


def draw_successes(found: pd.DataFrame, ax: Axes) -> None:
    """A field for each momentum and eta: how many trainings succeeded; hatched where all diverged."""
    rows, etas = list(dict.fromkeys(found["momentum"])), sorted(set(found["eta"]))
    for name, eta, good, diverged in found[["momentum", "eta", "good", "diverged"]].itertuples(index=False):
        x, y = etas.index(eta), rows.index(name)
        color = rule_style(_FORMS[name[-1]])["color"]
        corner = (x - 0.5, y - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=color, alpha=0.16 * good, linewidth=0))
        if diverged:
            hatch = "/" * int(diverged)
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch=hatch, edgecolor="#999999", linewidth=0))
        ax.text(x, y, str(good) if good or not diverged else "", ha="center", va="center", fontsize=10)
    ax.set_xticks(range(len(etas)), [f"{eta:g}" for eta in etas])
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.5, len(etas) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="eta")
    ax.grid(False)


def draw_scales(frame: pd.DataFrame, radius: float, least: float, ax: Axes) -> None:
    """Errors at the best learning rate over three spectral radii, one line a momentum, one mark a seed."""
    for name, cell in frame.groupby("momentum", sort=False):
        look = _look(str(name)) | {"alpha": 1.0}
        mean = cell.groupby("scale")["error"].mean().replace(np.inf, np.nan).clip(lower=least)
        ax.plot(radius * mean.index, mean, **look)
        middle = (radius * mean.index[1], mean.iloc[1])
        name_at = {"textcoords": "offset points", "va": "center", "color": look["color"]}
        ax.annotate(f"momentum {name}", middle, (12, 8 if name == "0" else -10), **name_at)
        seeds = cell[np.isfinite(cell["error"])]
        ax.plot(
            0.96 * radius * seeds["scale"],
            seeds["error"].clip(lower=least),
            look["marker"],
            color=look["color"],
            alpha=0.4,
        )
    ax.set(xscale="log", yscale="log", xlabel="spectral radius of the first W (log scale)")
    radii = [radius * scale for scale in sorted(set(frame["scale"]))]
    ax.set_xticks(radii, [f"{r:g}" for r in radii])
    ax.set_xticks([], minor=True)
