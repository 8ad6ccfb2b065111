"""Eigenvalues and the motion they foretell; a loss by curvature; worst cases beside their formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from momentum_lib.definition import Rule
from momentum_lib.plots import THEORY, label_end, rule_style
from momentum_lib.problems import Quadratic
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix, regimes

__all__ = ["compute_decomposition", "compute_motion", "draw_decomposition", "draw_motion", "draw_worst_cases"]

Array = np.ndarray[Any, Any]

_STYLES = ("-", "--", ":", "-.")


def compute_motion(rule: Rule, lam: ArrayLike, *, steps: int = 40, **hyper: Any) -> dict[str, Array]:
    """Eigenvalues and the run from rest at theta = 1, one column a curvature, of a two-slot rule.

    Returns
    -------
    dict
        ``lam`` and ``regime`` (k,); ``matrix`` (k, 4), row by row; ``real`` and ``imag`` (k, 2), the
        eigenvalues; ``theta`` and the other slot under its name, (steps + 1, k).

    Raises
    ------
    ValueError
        A rule with another number of slots: its motion is no curve in a plane.
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> motion = compute_motion(heavy_ball, [0.25, 2.5], steps=2, eta=1.0, gamma=0.25)
    >>> motion["regime"].tolist(), motion["theta"][:, 0].tolist()
    (['critical', 'unstable'], [1.0, 0.75, 0.5])
    """
    if len(rule.slots) != 2:
        raise ValueError(f"{rule.name} has {len(rule.slots)} slots; a phase portrait needs a rule with two.")
    lam = np.atleast_1d(np.asarray(lam, float))
    matrix = iteration_matrix(rule.at(**hyper), lam)
    eigenvalues = np.sort(np.linalg.eigvals(matrix).astype(complex))  # by real part, the same everywhere
    path = np.empty((steps + 1, len(lam), 2))
    path[0] = [float(start) for start in rule.init(1.0)]
    for t in range(steps):
        path[t + 1] = np.einsum("kij,kj->ki", matrix, path[t])
    first, second = rule.slots
    return {
        "lam": lam,
        "regime": np.atleast_1d(regimes(rule.at(**hyper), lam)),
        "matrix": matrix.reshape(len(lam), 4),
        "real": eigenvalues.real,
        "imag": eigenvalues.imag,
        first: path[..., 0],
        second: path[..., 1],
    }


def draw_motion(data: Mapping[str, Array], axes: Any, rule: Rule) -> None:
    """Draw eigenvalues in ``axes[0]`` and phase portraits in ``axes[1]``, one column a curvature."""
    look = rule_style(rule)
    first, second = rule.slots
    for k, (above, below) in enumerate(np.transpose(axes)):
        _circle(above)
        above.plot(data["real"][k], data["imag"][k], "o", color=look["color"], ms=7, mec="white", zorder=4)
        above.set_title(f"{data['regime'][k]}\nlam = {data['lam'][k]:g}")
        size = max(np.abs(data[first][:, k]).max(), np.abs(data[second][:, k]).max())
        _flow(below, data["matrix"][k].reshape(2, 2), reach=min(1.15 * max(size, 1.2), 4.5))
        below.plot(data[first][:, k], data[second][:, k], "o-", color=look["color"], ms=3.5, lw=0.9)
        below.plot(data[first][0, k], data[second][0, k], "o", color="white", mec="black", ms=6, zorder=5)
        below.set(xlabel=first)
    axes[0][0].set_ylabel("eigenvalues")
    axes[1][0].set_ylabel(second)


def _circle(ax: Axes) -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), **THEORY)
    ax.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def _flow(ax: Axes, matrix: Array, reach: float) -> None:
    """Where one step leads, from a grid of states: direction only."""
    points = np.linspace(-0.9 * reach, 0.9 * reach, 9)
    x, y = np.meshgrid(points, points)
    dx, dy = np.tensordot(matrix - np.eye(2), np.stack([x, y]), axes=1)
    length = np.hypot(dx, dy)
    length[length == 0] = 1
    ax.quiver(x, y, dx / length, dy / length, color="#BBBBBB", scale=14, width=0.009, pivot="mid")
    ticks = [-int(reach), 0, int(reach)]
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=ticks, yticks=ticks)


def compute_decomposition(
    settings: Mapping[Rule, Mapping[str, Any]], problem: Quadratic, *, steps: int
) -> dict[str, Array]:
    """What each curvature contributes to the loss, along runs from 1 in every eigen-direction.

    Returns
    -------
    dict
        ``t`` (steps + 1,), and under each rule's name the parts, (steps + 1, d); their sum is the gap of
        the loss to its minimum.

    Raises
    ------
    RuleError
        As `run`.

    Examples
    --------
    >>> from momentum_lib import gradient_descent
    >>> settings = {gradient_descent: {"eta": 0.5}}
    >>> compute_decomposition(settings, Quadratic([1.0, 2.0]), steps=1)["gradient_descent"]
    array([[0.5  , 1.   ],
           [0.125, 0.   ]])
    """
    lam = problem.eigenvalues
    parts = {
        rule.name: lam
        / 2
        * run(rule.at(**hyper), lambda theta: lam * theta, np.ones(lam.size), steps).theta ** 2
        for rule, hyper in settings.items()
    }
    return {"t": np.arange(steps + 1), **parts}


def draw_decomposition(data: Mapping[str, Array], axes: Any, eigenvalues: ArrayLike) -> None:
    """Draw one panel a rule: the parts, one line style a curvature, on a gray band that is their sum."""
    names = [name for name in data if name != "t"]
    for ax, name in zip(axes, names, strict=True):
        loss = data[name].sum(axis=1)
        ax.semilogy(data["t"], loss, color="0.8", lw=6, ls="-", label="loss")
        for part, curvature, style in zip(data[name].T, np.ravel(eigenvalues), _STYLES, strict=False):
            color = rule_style(name)["color"]
            ax.semilogy(data["t"], part, color=color, ls=style, lw=1.6, label=f"lam = {curvature:g}")
        ax.set(title=name, xlabel="steps", ylim=(1e-10 * loss[0], 30 * loss[0]))
    axes[0].set_ylabel("loss and its parts (log scale)")
    axes[-1].legend(loc="upper right")


def draw_worst_cases(data: Mapping[str, Array], ax: Axes, rule: Rule) -> None:
    """Draw every entry that has an ``"..., exact"`` beside it, the exact one dashed, and ``rho^t`` dotted."""
    names = [name for name in data if f"{name}, exact" in data]
    dots = {"linestyle": "", "markevery": max(1, len(data["t"]) // 25)}
    looks = [rule_style(rule) | dots, {"color": "#3D8EC9", "marker": "D", "ms": 4} | dots]
    for name, look in zip(names, looks, strict=False):
        (line,) = ax.semilogy(data["t"], data[name], **look)
        ax.semilogy(data["t"], data[f"{name}, exact"], **THEORY)
        label_end(ax, line, name)
    (line,) = ax.semilogy(data["t"], data["rho^t"], color="#444444", lw=1.2, ls=":", marker="")
    label_end(ax, line, "rho^t")
    ax.set(xlabel="steps", ylabel="|theta| / |theta_0| (log scale)")
