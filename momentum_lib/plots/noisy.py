"""Noise floors, predicted beside measured; filters; mean-square limits; minibatch runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from momentum_lib.definition import Rule
from momentum_lib.noise import (
    autocorrelation_time,
    mean_square_curve,
    mean_square_radius,
    noisy_run,
    stationary_covariance,
)
from momentum_lib.plots import THEORY, label_end, rule_style
from momentum_lib.problems import Logistic, Minibatch, Multiplicative, Quadratic
from momentum_lib.rules import gradient_descent, heavy_ball
from momentum_lib.runner import run
from momentum_lib.spectrum import spectral_radius

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "compute_floors",
    "compute_gaps",
    "compute_growth_factors",
    "compute_same_noise",
    "draw_effective_rates",
    "draw_floors",
    "draw_growth_factors",
    "draw_times",
    "draw_variance_ratios",
]

Array = np.ndarray[Any, Any]


def compute_floors(
    settings: Iterable[tuple[Rule, float, float]],
    rng: np.random.Generator,
    *,
    sigma: float = 0.3,
    steps: int = 3000,
    runs: int = 40,
) -> pd.DataFrame:
    """Variance of theta on curvature 1, predicted and measured; settings are (rule, eta, gamma).

    A run counts from where its predicted mean square is within a millionth of the floor. `error` is the
    standard error of the measured variance, autocorrelation included.
    """
    import pandas as pd

    rows = []
    for rule, eta, gamma in settings:
        at: dict[str, Any] = {"eta": eta, "gamma": gamma}
        floor = float(stationary_covariance(rule.at(**at), 1.0, sigma)[0, 0])
        curve = mean_square_curve(rule.at(**at), 1.0, sigma, 0.0, 3000).square
        settled = int(np.argmax(np.abs(curve / floor - 1) < 1e-6))
        theta = noisy_run(rule.at(**at), 1.0, sigma, 0.0, settled + steps, rng, runs)[settled:]
        tau = float(autocorrelation_time(rule.at(**at), 1.0, of="variance"))
        error = floor * np.sqrt(2 * tau / theta.size)
        rows.append((rule.name, eta, gamma, floor, float(np.mean(theta**2)), float(error)))
    return pd.DataFrame(rows, columns=["rule", "eta", "gamma", "predicted", "measured", "error"])


def compute_same_noise(alphas: Sequence[float], gamma: float, seed: int) -> dict[str, Array]:
    """SGD at alpha and heavy ball at (1 - gamma) alpha, fed the same noise: mean square gap, mean square."""
    gap, square = [], []
    for alpha in alphas:
        plain = noisy_run(gradient_descent.at(eta=alpha), 1.0, 1.0, 0.0, 20_000, seed, 20)[8000:]
        eta = (1 - gamma) * alpha
        ball = noisy_run(heavy_ball.at(eta=eta, gamma=gamma), 1.0, 1.0, 0.0, 20_000, seed, 20)[8000:]
        gap.append(np.mean((plain - ball) ** 2))
        square.append(np.mean(plain**2))
    return {"alpha": np.array(alphas), "gap": np.array(gap), "sgd": np.array(square)}


def compute_gaps(
    rule: Rule, problem: Logistic, batch: int, eta: Any, gamma: Any, seeds: Iterable[int], steps: int = 200
) -> Array:
    """Gap f - f*, averaged over the last fifth of a minibatch run, one row a seed; inf where a run diverged.

    All settings of a seed see the same batches.
    """
    rows = []
    for seed in seeds:
        oracle = Minibatch(problem, batch, shared=True)
        start = np.zeros_like(problem.minimizer)
        done = run(rule.at(eta=eta, gamma=gamma), oracle, start, steps, rng=seed, every=10, record=("theta",))
        with np.errstate(all="ignore"):
            last = problem.value(done.theta[-(steps // 50) :])
            rows.append((last - problem.value(problem.minimizer)).mean(axis=0))
    return np.where(np.isfinite(rows), rows, np.inf)


def draw_floors(data: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Left: measured against predicted. Right: their ratio, with the standard error of each."""
    wide, close = axes
    ends = np.array([data["predicted"].min() / 1.5, data["predicted"].max() * 1.5])
    wide.loglog(ends, ends, **THEORY)
    for name, part in data.groupby("rule"):
        look = rule_style(str(name)) | {"linestyle": "", "markevery": 1}
        wide.loglog(part["predicted"], part["measured"], **look, label=str(name).replace("_", " "))
        ratio, spread = part["measured"] / part["predicted"], part["error"] / part["predicted"]
        close.errorbar(part.index, ratio, spread, **look, elinewidth=1)
    close.axhline(1, **THEORY)
    wide.set(xlabel="predicted variance (log scale)", ylabel="measured variance (log scale)")
    close.set(xlabel="setting, by number", ylabel="measured / predicted")
    wide.legend(loc="upper left")


def draw_variance_ratios(
    gammas: Array, curves: dict[str, Array], measured: dict[str, pd.DataFrame], ax: Axes
) -> None:
    """Variance over that without momentum against gamma, one curve a question; dots with error bars."""
    looks = (("#0072B2", "o"), ("#666666", "s"), ("#D55E00", "^"))
    for (name, ratio), (color, marker) in zip(curves.items(), looks, strict=True):
        ax.semilogy(gammas, ratio, **THEORY)
        at = measured[name]
        spread = at["error"] / at["unit"]
        dots = ax.errorbar(
            at["gamma"],
            at["measured"] / at["unit"],
            spread,
            color=color,
            marker=marker,
            linestyle="",
            capsize=3,
        )
        label_end(ax, dots.lines[0], name)
    ax.set(xlabel="gamma", ylabel="variance, in units of\nthat at gamma = 0 (log scale)")
    ax.set_yticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
    ax.minorticks_off()


def compute_growth_factors(
    h: Array, p: float, gamma: float, rng: np.random.Generator, runs: int = 200
) -> dict[str, Array]:
    """Factors a step of heavy ball, the curvature being 1/p with probability p: three senses of stable.

    `typical` is measured over steps 200 to 400; the other two are exact.
    """
    ratio = (1 - p) / p
    oracle = Multiplicative(Quadratic([1.0]), p)
    eta = h[:, None] * np.ones(runs)
    done = run(heavy_ball.at(eta=eta, gamma=gamma), oracle, np.ones(1), 400, rng=rng, every=200)
    size = np.log(np.hypot(done.theta[..., 0], done.slots["v"][..., 0]))
    slope = (size[2] - size[1]) / 200
    return {
        "h": h,
        "mean": spectral_radius(heavy_ball.at(eta=h, gamma=gamma), 1.0),
        "mean square": np.sqrt(mean_square_radius(heavy_ball.at(eta=h, gamma=gamma), 1.0, ratio)),
        "typical run": np.exp(slope.mean(axis=-1)),
        "error": slope.std(axis=-1) / np.sqrt(runs),
    }


def draw_growth_factors(data: dict[str, Array], ax: Axes) -> None:
    """Three factors a step against h; above 1 the thing named grows."""
    ax.semilogx(data["h"], data["mean"], **THEORY)
    ax.semilogx(data["h"], data["mean square"], **THEORY)
    ax.semilogx(data["h"], data["typical run"], "o", color="#0072B2")
    ax.axhline(1, color="0.6", linewidth=0.8)
    ax.set(xlabel="h = eta lam (log scale)", ylabel="factor a step")


def draw_times(data: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Best mean-square time against kappa, one panel a fourth moment c."""
    for ax, (c, part) in zip(axes, data.groupby("c"), strict=True):
        for name, line in part.groupby("rule"):
            look = rule_style(str(name)) | {"markevery": 1}
            ax.loglog(line["kappa"], line["time"], **look, label=str(name).replace("_", " "))
        ax.set(xlabel="kappa (log scale)", title=f"c = {c}")
    axes[-1].legend(loc="upper left")
    axes[0].set_ylabel("steps, 1/(1 - rho) (log scale)")


def draw_effective_rates(etas: Array, gammas: Array, gaps: dict[int, Array], axes: Sequence[Axes]) -> None:
    """Median gap against eta/(1 - gamma), one panel a batch size and one curve a gamma."""
    looks = zip(("#666666", "#56B4E9", "#0072B2", "#D55E00"), ("s", "^", "o", "D"), strict=True)
    for (color, marker), gamma, j in zip(looks, gammas, range(len(gammas)), strict=False):
        for ax, gap in zip(axes, gaps.values(), strict=True):
            shown = np.where(gap[:, j] < 1, gap[:, j], np.nan)
            ax.loglog(etas / (1 - gamma), shown, color=color, marker=marker, markersize=4, label=f"{gamma:g}")
    for ax, batch in zip(axes, gaps, strict=True):
        ax.set(xlabel="eta / (1 - gamma), log scale", title=f"batch {batch}")
    axes[0].set_ylabel("f - f* after the run (log scale)")
    axes[0].legend(title="gamma", loc="lower left")
