"""What a setting costs: maps of steps beside their prediction, cliffs, limits of the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from momentum_lib.definition import RULES
from momentum_lib.plots import THEORY, hatch_unstable, label_end
from momentum_lib.problems import GoujaudCycle, Problem
from momentum_lib.runner import run
from momentum_lib.spectrum import hitting_time, settling_time, spectral_radius
from momentum_lib.tuning import best_eta, lower_rate, tune

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "compute_cost",
    "compute_largest",
    "compute_margins",
    "compute_race",
    "compute_regret",
    "compute_step_map",
    "compute_trapped",
    "compute_valleys",
    "draw_limits",
    "draw_margins",
    "draw_regret",
    "draw_schedules",
    "draw_step_maps",
    "draw_wrong",
]

Array = np.ndarray[Any, Any]
_MARKERS = "osD^vP*X"
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#000000")


_BALL = RULES["heavy_ball"]


def _rate(mu: float, **hyper: Any) -> Any:
    """Heavy ball's worst radius on [mu, 1], which is at one of the ends; 1 where it diverges."""
    ends = [spectral_radius(_BALL.at(**hyper), lam) for lam in (mu, 1.0)]
    return np.minimum(np.maximum(*ends), 1.0)


def compute_step_map(kappa: float, eta: Array, gamma: Array, tol: float = 1e-6) -> dict[str, Array]:
    """Heavy ball's steps to `tol` over learning rate and momentum, counted by two clocks and predicted.

    Twenty curvatures spread evenly in the logarithm between 1/kappa and 1, the same start in each.

    Returns
    -------
    dict
        ``eta`` (k,), ``gamma`` (m,), and ``measured`` (the first hit), ``settled`` and ``predicted`` by the
        spectral radius, (m, k); inf where a setting diverges, or needs more than 20 000 steps.

    Examples
    --------
    >>> found = compute_step_map(10.0, np.array([1.0, 3.9]), np.array([0.5]))
    >>> found["measured"].tolist(), found["predicted"].round(1).tolist()
    ([[40.0, inf]], [[39.9, inf]])
    """
    at: dict[str, Any] = {"eta": eta, "gamma": gamma[:, None]}
    with np.errstate(divide="ignore"):
        predicted = np.log(tol) / np.log(_rate(1 / kappa, **at))
    problem = (np.geomspace(1 / kappa, 1, 20), 1.0, tol, 20_000)
    measured, settled = (clock(_BALL.at(**at), *problem) for clock in (hitting_time, settling_time))
    predicted = np.where(np.isfinite(predicted), predicted, np.inf)
    return {"eta": eta, "gamma": gamma, "measured": measured, "settled": settled, "predicted": predicted}


def compute_cost(mu: float, eta: Any, gamma: Any) -> tuple[Any, Any]:
    """Steps of a setting over the fewest possible on [mu, 1]: by the rate, and counted.

    Counted are the steps for sixty further decimal digits, so that a factor in front of the rate does not
    count; inf by the rate, and nan counted, where the run diverges.

    Examples
    --------
    >>> by_rate, counted = compute_cost(0.01, np.array([1.0]), np.array([0.9]))
    >>> by_rate.round(2), counted.round(2)
    (array([3.81]), array([3.79]))
    """
    best = tune(_BALL, mu, 1.0)

    def more(**hyper: Any) -> Any:
        ends = ([mu, 1.0], 1.0)
        first, last = (settling_time(_BALL.at(**hyper), *ends, tol, 400_000) for tol in (1e-60, 1e-120))
        return np.where(np.isfinite(last), last, np.nan) - np.where(np.isfinite(first), first, np.nan)

    with np.errstate(divide="ignore"):
        by_rate = np.log(best.rate) / np.log(_rate(mu, eta=eta, gamma=gamma))
    # So near to 1 the rate is rounding.
    return np.where(np.abs(by_rate) < 1e9, by_rate, np.inf), more(eta=eta, gamma=gamma) / more(**best.setting)


def compute_margins(mu: float, change: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """`compute_cost` beside Polyak's setting, one parameter moved at a time: by the rate, and counted.

    Returns
    -------
    dict, dict
        ``change`` as given (0.01 is one percent more), ``friction`` with 1 - gamma moved by it, ``eta`` with
        eta moved by it.

    Examples
    --------
    >>> by_rate, counted = compute_margins(0.01, np.array([0.005]))
    >>> by_rate["friction"].round(2), by_rate["eta"].round(2)
    (array([1.49]), array([3.42]))
    """
    eta, gamma = tune(_BALL, mu, 1.0).setting.values()
    friction = compute_cost(mu, eta, 1 - (1 + change) * (1 - gamma))
    moved = compute_cost(mu, (1 + change) * eta, gamma)
    both = [{"change": change, "friction": f, "eta": e} for f, e in zip(friction, moved, strict=True)]
    return both[0], both[1]


def compute_regret(gamma: Any, kappa: Any) -> Any:
    """Steps at a fixed gamma with its best eta over the fewest possible, by the rate; broadcasts.

    Examples
    --------
    >>> compute_regret(0.9, [10, 100, 1000]).round(2)
    array([12.43,  3.81,  1.2 ])
    """
    gamma, kappa = np.broadcast_arrays(np.asarray(gamma, float), np.asarray(kappa, float))
    rate = [best_eta(_BALL.at(gamma=g), 1 / k, 1.0).rate for g, k in zip(gamma.flat, kappa.flat, strict=True)]
    return np.log(lower_rate(kappa)) / np.log(np.reshape(rate, kappa.shape))


def compute_largest(passes: Callable[[Array], Any], count: int, top: float = 4.5) -> Array:
    """The largest learning rates, one for each of `count` momenta, that pass a test: by bisection.

    ``passes`` takes an array of `count` learning rates and answers for each; it is taken to be passed up to
    a limit below `top` and never beyond.

    Examples
    --------
    >>> compute_largest(lambda eta: eta < np.array([1.0, 2.0]), 2).round(4)
    array([1., 2.])
    """
    low, high = np.zeros(count), np.full(count, top)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = np.where(passes(middle), [middle, high], [low, middle])
    return low


def compute_valleys(
    rng: np.random.Generator, count: int
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Value and gradient of `count` random functions of one variable, not convex, with L = 1.

    Each is a sum of six cosines, moved and tilted so that its most curved point is a valley floor at 0.

    Examples
    --------
    >>> value, grad = compute_valleys(np.random.default_rng(0), 3)
    >>> curvature = (grad(np.full(3, 1e-4)) - grad(np.full(3, -1e-4))) / 2e-4
    >>> grad(np.zeros(3)).round(9) + 0, curvature.round(6)
    (array([0., 0., 0.]), array([1., 1., 1.]))
    """
    w, a = rng.integers(1, 7, (count, 6)), rng.standard_normal((count, 6))
    phase = rng.uniform(0, 2 * np.pi, (count, 6))
    x = np.linspace(0, 2 * np.pi, 4001)
    curvature = -((a * w**2)[:, None] * np.cos(w[:, None] * x[:, None] + phase[:, None])).sum(axis=-1)
    top = np.abs(curvature).argmax(axis=1)
    signed = curvature[np.arange(count), top]  # the mirror image turns a hilltop into a valley
    a, phase = a / signed[:, None], phase + w * x[top][:, None]
    tilt = (a * w * np.sin(phase)).sum(axis=-1)

    def value(theta: Array) -> Array:
        return np.asarray((a * np.cos(w * theta[..., None] + phase)).sum(axis=-1) + tilt * theta)

    def grad(theta: Array) -> Array:
        return np.asarray(tilt - (a * w * np.sin(w * theta[..., None] + phase)).sum(axis=-1))

    return value, grad


def compute_trapped(K: int, gamma: float, low: float, high: float) -> float:
    """The least eta at which heavy ball stays on Goujaud's K-gon (mu = 1e-7, L = 1), measured by bisection.

    A run of 30 rounds stays if no point leaves the unit circle by a millionth.

    Examples
    --------
    >>> round(compute_trapped(4, 0.5, 2.0, 3.0), 2)
    2.5
    """
    while high - low > 1e-3 * high:
        eta = (low + high) / 2
        trap = GoujaudCycle(K, eta=eta, gamma=gamma, mu=1e-7, L=1.0)
        velocity = trap.cycle[-1] - trap.cycle[0]
        done = run(_BALL.at(eta=eta, gamma=gamma), trap.grad, trap.cycle[0], 30 * K, start={"v": velocity})
        stays = np.abs(np.linalg.norm(done.theta, axis=-1) - 1).max() < 1e-6
        low, high = (low, eta) if stays else (eta, high)
    return high


def compute_race(
    oracle: Any,
    problem: Problem,
    starts: Array,
    arms: Mapping[str, Any],
    etas: Array,
    rng: np.random.Generator,
    steps: int = 400,
) -> Array:
    """Distance left to the minimizer over that at the start, for momenta or schedules of it.

    Every arm is run by heavy ball with every learning rate of `etas`, in units of 1/L, from every start.
    The distance is the median of the last three looks, 20 steps apart.

    Returns
    -------
    (arms, etas, starts) array
        inf where a run overflowed.

    Examples
    --------
    >>> from momentum_lib import Quadratic
    >>> bowl, rng = Quadratic([1.0]), np.random.default_rng(0)
    >>> compute_race(bowl.grad, bowl, np.ones((1, 1)), {"0": 0.0}, np.array([0.01, 0.5]), rng).round(3)
    array([[[0.022],
            [0.   ]]])
    """

    def gamma(t: int) -> Array:
        return np.array([arm(t) if callable(arm) else arm for arm in arms.values()])[:, None]

    ball = _BALL.at(eta=etas / problem.L, gamma=gamma)
    theta = run(ball, oracle, starts, steps, rng=rng, every=20, record=("theta",)).theta[[0, -3, -2, -1]]
    with np.errstate(all="ignore"):
        distance = np.linalg.norm(theta - problem.minimizer, axis=-1)
        ratio = np.median(distance[1:] / distance[0], axis=0)
    return np.where(np.isfinite(ratio), ratio, np.inf)


def draw_step_maps(maps: Mapping[float, Mapping[str, Array]], axes: Any) -> Any:
    """Draw measured steps (above) and predicted ones (below), a column for each condition number.

    Each map has ``eta``, ``gamma``, and ``measured`` and ``predicted`` (gamma by eta), inf where a setting
    does not converge. Returns the image, for its color bar.
    """
    for column, (kappa, data) in enumerate(maps.items()):
        friction = 1 - data["gamma"]
        for row, kind in enumerate(("measured", "predicted")):
            ax, steps = axes[row, column], data[kind]
            image = ax.pcolormesh(
                data["eta"],
                friction,
                np.where(np.isfinite(steps), steps, np.nan),
                norm=LogNorm(8, 3000),
                cmap="viridis_r",
                rasterized=True,
            )
            hatch_unstable(ax, data["eta"], friction, ~np.isfinite(data["predicted"]))
            best = ((np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)) ** 2
            ax.plot(4 / (1 + kappa**-0.5) ** 2, 1 - best, "*", color="white", mec="black", ms=11)
            ax.set(yscale="log", title=f"{kind}, kappa = {kappa:g}", ylim=(1, friction.min()))
            ax.grid(False)
            ax.tick_params(labelleft=column == 0, labelbottom=row == 1)
        axes[1, column].set_xlabel("eta·L")
    for ax in axes[:, 0]:
        ax.set_ylabel("1 − gamma (log scale)")
    return image


def draw_margins(
    data: Mapping[str, Array], measured: Mapping[str, Array], kappa: float, axes: Sequence[Axes]
) -> None:
    """Draw how many times more steps a setting costs beside the optimum: in 1 - gamma, and in eta."""
    margins = {"friction": 1 / (2 * np.sqrt(kappa)), "eta": 1 / kappa}
    names = {"friction": "1 − gamma", "eta": "eta"}
    for ax, (key, margin) in zip(axes, margins.items(), strict=True):
        ax.semilogy(data["change"] * 100, data[key], **THEORY)
        ax.semilogy(measured["change"] * 100, measured[key], "o", color="#0072B2")
        ax.axvline(100 * margin, color="#D55E00", linewidth=1.2)
        ax.axvspan(100 * margin, 6.5, hatch="////", facecolor="none", edgecolor="0.6", linewidth=0)
        ax.text(-11, 5.2, f"limit: +{100 * margin:g} %", color="#D55E00")
        ax.set(xlabel=f"change of {names[key]} (%)", ylim=(0.9, 8), xlim=(-12, 6.5), yticks=[1, 2, 4, 8])
        ax.set_yticklabels(["1", "2", "4", "8"])
        ax.minorticks_off()
    axes[0].set(ylabel="steps over fewest steps (log scale)", title="gamma moved, eta kept")
    axes[1].set(title="eta moved, gamma kept")


def draw_limits(
    curves: Mapping[str, tuple[Array, Array]],
    measured: Mapping[str, tuple[Array, Array]],
    band: tuple[Array, Array, Array],
    ends: Mapping[str, str],
    ax: Axes,
) -> None:
    """Draw the largest learning rate over the memory 1/(1 - gamma), one curve a regime.

    `curves` and `measured` map a regime to gamma and eta L; `band` is gamma and the two ends of the best
    learning rates; `ends` gives some curves a formula at their right end.
    """
    gamma, low, high = band
    ax.fill_between(1 / (1 - gamma), low, high, color="#56B4E9", alpha=0.25, linewidth=0)
    for (name, (gamma, limit)), marker, color in zip(curves.items(), _MARKERS, _COLORS, strict=False):
        line = ax.loglog(1 / (1 - gamma), limit, **THEORY)[0]
        if name in ends:
            label_end(ax, line, ends[name])
        where, seen = measured[name]
        ax.loglog(1 / (1 - where), seen, marker, color=color, mfc="none", ms=7, mew=1.5, label=name)
    ax.set(xlabel="memory 1/(1 − gamma), steps (log scale)", ylabel="largest eta·L (log scale)")
    ax.legend(loc="lower left", fontsize=9)
    ticks = np.array([0, 0.5, 0.9, 0.99])
    top = ax.secondary_xaxis("top")
    top.set_xticks(1 / (1 - ticks), [f"{tick:g}" for tick in ticks])
    top.minorticks_off()
    top.set_xlabel("gamma")


def draw_schedules(frame: pd.DataFrame, axes: Sequence[Axes]) -> None:
    """Draw the gap every arm is left with, median and range over the seeds, one panel a problem.

    `frame` has the columns problem, arm, low, median, high; constants come first.
    """
    for ax, (problem, part) in zip(axes, frame.groupby("problem", sort=False), strict=True):
        fixed = part["arm"].str.fullmatch(r"[\d.]+").to_numpy()
        place = np.arange(len(part))
        for mask, color, marker in ((fixed, "#0072B2", "o"), (~fixed, "#D55E00", "D")):
            chosen = part[mask]
            spread = np.stack([chosen["median"] - chosen["low"], chosen["high"] - chosen["median"]])
            ax.errorbar(
                place[mask], chosen["median"], spread, fmt=marker, color=color, capsize=3, linewidth=1.2
            )
        ax.axhline(part[fixed]["median"].min(), color="#0072B2", linewidth=0.8)
        wide = part["median"].max() > 10 * part["median"].min()
        ax.set_yscale("log" if wide else "linear")
        ax.set_ylabel("distance left (log scale)" if wide else "distance left")
        ax.set_xticks(place, part["arm"], rotation=60, ha="right", fontsize=9)
        ax.set(title=str(problem), xlim=(-0.6, len(part) - 0.4))
        ax.grid(axis="x", visible=False)


def draw_regret(kappas: Array, regret: Mapping[float, Array], descent: Array, ax: Axes) -> None:
    """Draw what one momentum for all condition numbers costs, beside tuned gradient descent."""
    for (gamma, cost), color in zip(regret.items(), ("#009E73", "#0072B2", "#D55E00"), strict=True):
        line = ax.loglog(kappas, cost, color=color, linestyle="-")[0]
        label_end(ax, line, f"{gamma:g}")
    shown = descent < 250
    line = ax.loglog(kappas[shown], descent[shown], color="#666666", linestyle=":")[0]
    label_end(ax, line, "descent")
    ax.set(xlabel="condition number kappa (log scale)", ylabel="steps over fewest steps (log scale)")
    ax.set(ylim=(0.9, 400), title="One momentum for every problem")


def draw_wrong(factor: Array, price: Mapping[str, Array], expected: Array, ax: Axes) -> None:
    """Draw what Polyak's setting costs when mu or L is assumed `factor` times its value."""
    for (name, cost), color, line in zip(price.items(), ("#0072B2", "#D55E00"), ("-", "-."), strict=True):
        finite = np.isfinite(cost)
        ax.loglog(factor[finite], cost[finite], color=color, linestyle=line, label=f"wrong {name}")
    ax.loglog(factor, expected, **THEORY)
    ax.axvspan(factor[0], 1, ymax=0.1, hatch="////", facecolor="none", edgecolor="#D55E00", linewidth=0)
    ax.text(0.15, 1.2, "L too small: diverges", color="#D55E00", ha="center")
    ax.set(xlabel="assumed over true (log scale)", ylabel="steps over fewest (log scale)", ylim=(0.9, 9))
    ax.set(title="A wrong guess, kappa = 1000", yticks=[1, 2, 4, 8], yticklabels=["1", "2", "4", "8"])
    ax.minorticks_off()
    ax.legend(loc="upper center")
