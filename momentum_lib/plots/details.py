"""Numbers and drawings of notebook 09: amplification, step lengths, gaps between conventions, decay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from momentum_lib.definition import RULES, Rule
from momentum_lib.plots import THEORY, rule_style
from momentum_lib.runner import run

__all__ = [
    "compute_amplification",
    "compute_gaps",
    "draw_amplification",
    "draw_settled",
    "draw_steps",
]

Array = np.ndarray[Any, Any]


def compute_amplification(rule: Rule, h: npt.ArrayLike, gamma: float, steps: int | None = None) -> Array:
    """Return the largest |theta_t / theta_0| along a run on one curvature, for an array of h = eta lam.

    `steps` defaults to 15 memories 1/(1 - gamma), past which a correction by 1 - gamma^t is over.
    """
    steps = steps or round(15 / (1 - gamma))
    theta = run(rule.at(eta=np.asarray(h, float), gamma=gamma), lambda x: x, 1.0, steps).theta
    return np.asarray(np.nanmax(np.abs(theta), axis=0))


def draw_amplification(measured: Mapping[float, tuple[Array, Array]], ax: Any) -> None:
    """Draw amplification over h/(1 - gamma), one curve for each gamma: corrected thick, plain thin."""
    looks = zip(measured.items(), ("-", "--", ":"), strict=False)
    for (gamma, (ratio, corrected)), line in looks:
        ax.plot(
            ratio,
            corrected,
            color=rule_style("bias_corrected")["color"],
            linestyle=line,
            label=f"corrected, gamma = {gamma:g}",
        )
        plain = compute_amplification(RULES["heavy_ball"], ratio * (1 - gamma), gamma)
        if gamma == max(measured):
            ax.plot(ratio, plain, color=rule_style("heavy_ball")["color"], label=f"plain, gamma = {gamma:g}")
    ratio = np.linspace(0, max(float(r.max()) for r, _ in measured.values()), 300)
    ax.plot(ratio, np.maximum(1, np.abs(1 - ratio)), **THEORY, label="theory: the first step alone")
    ax.axvline(2, color="0.6", linewidth=0.8)
    ax.set(yscale="log", xlabel="eta·lam / (1 - gamma)", ylabel="largest |theta_t / theta_0| (log scale)")
    ax.legend()


def draw_steps(panels: Mapping[str, Mapping[str, tuple[Rule | str, Array]]], axes: Any) -> None:
    """Draw one panel a title; in it, for each label, step lengths in the look of a rule, from t = 1."""
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        for label, (rule, length) in curves.items():
            t = np.arange(1, len(length) + 1)
            ax.plot(t, length, **rule_style(rule) | {"markevery": 0.2, "markersize": 4}, label=label)
        ax.set(title=title, xlabel="steps t")
        ax.legend(fontsize=8)


def compute_gaps(
    grad: Callable[[Array], Array],
    theta0: npt.ArrayLike,
    eta: Callable[[int], float],
    gamma: Callable[[int], float],
    steps: int = 60,
) -> dict[str, float]:
    """Return the largest gap of each convention's iterates to heavy ball's, under two schedules.

    The average gets eta(t)/(1 - gamma(t)). The last entry is heavy ball with gamma(t) eta(t)/eta(t - 1),
    compared with PyTorch.
    """

    def path(name: str, **hyper: Any) -> Array:
        return run(RULES[name].at(**{"eta": eta, "gamma": gamma, **hyper}), grad, theta0, steps).theta

    source, torch = path("heavy_ball"), path("torch_sgd")
    carried = path("heavy_ball", gamma=lambda t: gamma(t) * eta(t) / eta(max(t - 1, 1)))
    tracks = {
        "Keras": path("keras_sgd"),
        "two-step": path("polyak_two_step"),
        "PyTorch": torch,
        "average": path("ema", eta=lambda t: eta(t) / (1 - gamma(t))),
    }
    gaps = {name: float(np.abs(track - source).max()) for name, track in tracks.items()}
    return gaps | {"corrected, to PyTorch": float(np.abs(carried - torch).max())}


def draw_settled(gammas: Array, runs: Mapping[str, tuple[Rule, Array, Array]], ax: Any) -> None:
    """Draw over 1 - gamma, for each label, where the runs of a rule settle, and its fixed point dashed."""
    for label, (rule, ends, theory) in runs.items():
        ax.semilogx(1 - gammas, theory, **THEORY)
        ax.semilogx(1 - gammas, ends, **rule_style(rule) | {"linestyle": "", "markevery": 1}, label=label)
    ax.set(xlabel="1 - gamma (log scale; momentum grows to the right)", ylabel="where theta settles")
    ax.invert_xaxis()
    ax.legend(loc="center right")
