"""Figures of notebook 08: where conventions part, and every variant under four lenses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from momentum_lib.conversions import CONVERSIONS, convert, qhm_letters
from momentum_lib.definition import RULES, Rule
from momentum_lib.noise import stationary_covariance
from momentum_lib.plots import THEORY, label_end, rule_style
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix, spectral_radius, stability_limit, step_size
from momentum_lib.tuning import lower_rate, minimax, tune, worst_rate

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "compute_agreement",
    "compute_floors",
    "compute_map",
    "compute_page",
    "compute_parting",
    "compute_rates",
    "draw_lenses",
    "draw_map",
    "draw_parting",
]

Array = np.ndarray[Any, Any]
Setting = Mapping[str, Any]

_PLAIN = {"eta": 0.15, "gamma": 0.8}  # eta is not 1 - gamma: an average and a velocity differ
#: A stable setting of each rule that a conversion starts from.
_SETTINGS: Final[dict[str, Setting]] = {
    "gradient_descent": {"eta": 0.2},
    **dict.fromkeys(("heavy_ball", "ema", "nesterov", "torch_nesterov"), _PLAIN),
    "qhm": {"alpha": 1.0, "beta": 0.8, "nu": 0.7},
    "accsgd": {"delta": 0.1, "kappa": 20.0, "xi": 5.0},
    "ogm": {"alpha": 0.2, "beta": 0.8, "gamma": 0.3},
    "robust_momentum": {"alpha": 0.2, "beta": 0.8, "gamma": 0.5},
    "mass": {"eta1": 0.2, "eta2": 0.05, "gamma": 0.8},
}
_EVENTS = (
    "nothing changes",
    "eta falls tenfold",
    "gamma rises",
    "buffer copied",
    "decay built in",
    "theta reported",
)


def compute_agreement(oracle: Callable[..., Any], steps: int) -> pd.DataFrame:
    """The largest difference between the two rules of every conversion over a run on random slopes.

    Parameters
    ----------
    oracle : callable
        ``oracle()`` is a stochastic gradient in five dimensions, the same for every run.
    steps : int

    Returns
    -------
    DataFrame
        A row a conversion; columns ``queries`` and ``report``.
    """
    import pandas as pd

    rows = {}
    for pair in CONVERSIONS:
        setting = _SETTINGS[pair[0]]
        hypers = (setting, convert(*pair, **setting))
        a, b = (run(RULES[n].at(**h), oracle(), np.ones(5), steps) for n, h in zip(pair, hypers, strict=True))
        rows[" → ".join(pair)] = (_apart(a, b), float(np.abs(a.theta - b.theta).max()))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["queries", "report"])


def compute_parting(oracle: Callable[..., Any], steps: int, *, decay: float = 0.05) -> pd.DataFrame:
    """How far two conventions get apart in each of six events, as the largest difference over a run.

    All columns but the last compare where the gradients are read. Half way eta falls to a tenth, or gamma
    to one that forgets four times as slowly, or the second rule takes over with the first one's slots
    copied as they are. With weight decay each rule uses its own, or has it added to the gradient if it has
    none. Beside the conversions stands the bias-corrected rule, which is heavy ball in the end.

    Parameters
    ----------
    oracle : callable
        ``oracle(start=0, decay=0.0)`` is a stochastic gradient in five dimensions from step `start` on.
    steps : int

    Returns
    -------
    DataFrame
        A row a pair; nan where an event does not apply.
    """
    import pandas as pd

    pairs: dict[tuple[str, str], Callable[..., Setting]] = {("heavy_ball", "bias_corrected"): dict}
    pairs |= {pair: partial(convert, *pair) for pair in CONVERSIONS if pair[0] != "gradient_descent"}
    del pairs["robust_momentum", "triple_momentum"]  # the same lines, and an output that nothing reads
    half, rows = steps // 2, {}
    theta0 = np.ones(5)
    for (first, second), translate in pairs.items():
        a, b, before = RULES[first], RULES[second], dict(_SETTINGS[first])
        memory = next(n for n in ("beta", "gamma", "kappa") if n in before)

        def both(
            after: Setting, a: Rule = a, b: Rule = b, before: Setting = before, to: Any = translate
        ) -> Any:
            """Both runs, the settings changing half way."""
            made = []
            for rule, early, late in ((a, before, after), (b, to(**before), to(**after))):
                hyper: dict[str, Any] = {
                    n: (lambda t, e=early[n], f=late[n]: e if t <= half else f)
                    if early[n] != late[n]
                    else early[n]
                    for n in early
                }
                made.append(run(rule.at(**hyper), oracle(), theta0, steps))
            return made

        same = both(before)
        steps_down = {n: x / 10 for n, x in before.items() if n in ("eta", "alpha", "delta", "eta1", "eta2")}
        slower = 1 - (1 - before[memory]) / 4 if memory != "kappa" else 4 * before[memory]
        row = [
            _apart(*same),
            _apart(*both({**before, **steps_down})),
            _apart(*both({**before, memory: slower})),
            np.nan,
            np.nan,
            float(np.abs(same[0].theta - same[1].theta).max()),
        ]
        if (
            len(a.slots) == len(b.slots)
            and "t" not in b.hyper
            and not b.has_first_step
            or second == "torch_sgd"
        ):
            stop = run(a.at(**before), oracle(), theta0, half).state
            start = dict(zip(b.slots[1:], stop[1:], strict=True))
            rest = run(b.at(**translate(**before)), oracle(half), stop[0], steps - half, start=start)
            row[3] = float(np.abs(rest.queries - same[0].queries[half:]).max())
        if "weight_decay" in (*a.hyper, *b.hyper):
            decayed = []
            for rule, hyper in ((a, before), (b, translate(**before))):
                own = "weight_decay" in rule.hyper
                hyper = {**hyper, "weight_decay": decay} if own else hyper
                decayed.append(run(rule.at(**hyper), oracle(decay=0.0 if own else decay), theta0, steps))
            row[4] = _apart(*decayed)
        rows[f"{first} → {second}"] = row
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(_EVENTS))


def _apart(a: Any, b: Any) -> float:
    return float(np.abs(a.queries - b.queries).max())


def draw_parting(table: pd.DataFrame, ax: Axes) -> None:
    """Draw the table of `compute_parting`: color and number where a pair parts, a dot where it does not."""
    values = table.to_numpy()
    parted = np.where(values > 1e-9, values, np.nan)
    ax.imshow(parted, cmap="viridis_r", norm=LogNorm(1e-2, 100), origin="upper", alpha=0.85)
    for (i, j), value in np.ndenumerate(values):
        text = "" if np.isnan(value) else "·" if value < 1e-9 else f"{value:.2g}"
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if value > 2 else "black")
    ax.set_xticks(range(len(table.columns)), [c.replace(" ", "\n", 1) for c in table.columns], fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(table)), table.index.str.replace("_", " "), fontsize=9)
    ax.tick_params(length=0)
    ax.grid(False)


def compute_floors(
    rates: Array, mu: float, L: float, rules: Iterable[str], *, cells: int = 1500
) -> dict[str, Array]:
    """The least noise floor each rule can have at a given rate on curvatures mu and L.

    The floor is the stationary mean of f on the two curvatures, half the sum of lam Var(theta), under
    gradient noise of variance 1. Momentum (and nu) run over a grid of `cells`, the step size is the one
    with a root of exactly that rate at mu; settings that are slower anywhere are left out. A rule with
    several memories, and so without a single root to set, has its step size on a grid instead. An upper
    bound on the least floor, to the width of the grid.

    Returns
    -------
    dict
        ``rate``, and for each rule an array of the shape of `rates`; inf where no setting is that fast.
    """
    target, ends = np.asarray(rates, float)[:, None], np.array([mu, L])
    out: dict[str, Array] = {"rate": target[:, 0]}
    for name in rules:
        rule, lams = RULES[name], ends
        size = str(step_size(rule))
        hyper: dict[str, Any] = {}
        for n in {"gamma", "beta"} & set(rule.hyper):
            hyper[n] = 1 - np.geomspace(1e-3, 1, cells)
        if "nu" in rule.hyper:
            beta, nu = np.meshgrid(hyper["beta"][:: cells // 150], np.linspace(0, 1.1, 45))
            hyper |= {"beta": beta.ravel(), "nu": nu.ravel()}
        if len(rule.slots) > 2:
            step = np.geomspace(1e-4, 4, cells) / L
            lams = np.geomspace(mu, L, 33)
        else:
            # det(rate - M) is affine in the step size: two values give its root.
            here = target[..., None, None] * np.eye(len(rule.slots))
            zero, one = (
                np.linalg.det(here - iteration_matrix(rule.at(**{size: value} | hyper), mu))
                for value in (0.0, 1.0)
            )
            with np.errstate(all="ignore"):
                step = zero / (zero - one)
            step = np.where((step > 0) & np.isfinite(step), step, 1e3 / L)
        settings = {size: step, **hyper}
        rho = np.max([spectral_radius(rule.at(**settings), lam) for lam in lams], axis=0)
        floor = sum(lam / 2 * stationary_covariance(rule.at(**settings), lam, 1.0)[..., 0, 0] for lam in ends)
        out[name] = np.where(rho <= target * (1 + 1e-9), floor, np.inf).min(axis=-1)
    return out


def compute_rates(kappas: Array) -> dict[str, Array]:
    """The best rate on quadratics, from its theorem where there is one; triple momentum as published."""
    out: dict[str, Array] = {"kappa": np.asarray(kappas, float)}
    for name in ("gradient_descent", "nesterov", "triple_momentum", "heavy_ball"):
        out[name] = np.array([tune(name, 1 / kappa, 1.0).rate for kappa in kappas])
    out["aggregated"] = np.array([minimax(RULES["aggregated"], 1 / kappa, 1.0)[1] for kappa in kappas])
    return out


def compute_page(kappa: float, gamma: float) -> pd.DataFrame:
    """Every rule of the registry under the lenses, one row each, as text and numbers.

    The limit is that of heavy ball's eta lam at momentum `gamma`, for the member named beside it: the rule
    as heavy ball if it can be, else as Nesterov, else as a qhm of nu = 7/10. The rate is the best on
    quadratics of condition number `kappa`; "limit" where settings only come near it.
    """
    import pandas as pd

    tuned = tune("heavy_ball", 1 / kappa, 1.0).hyper
    plain = {"eta": 1.0, "gamma": gamma}
    members = {
        "heavy_ball": plain,
        "nesterov": plain,
        "qhm": {"alpha": 1 / (1 - gamma), "beta": gamma, "nu": 0.7},
    }
    rows = {}
    for name, rule in RULES.items():
        limit, member, rate, note = np.nan, "", float(lower_rate(kappa)), "limit"
        for source, setting in members.items():
            try:
                limit, member = float(stability_limit(rule.at(**convert(source, name, **setting)))), source
            except ValueError:
                continue
            break
        if member == "heavy_ball":
            rate, note = (
                float(worst_rate(rule.at(**convert("heavy_ball", name, **tuned)), 1 / kappa, 1.0)),
                "attained",
            )
        elif {*rule.hyper} - {"weight_decay"} <= {"eta", "gamma"} and name != "aggregated":
            rate, note = tune(name, 1 / kappa, 1.0).rate, "attained"
        elif name == "aggregated":
            rate, note = minimax(rule, 1 / kappa, 1.0)[1], "attained"
        if name in ("gradient_descent", "aggregated"):
            limit, member = float(stability_limit(rule)), "itself"
        try:
            letters = qhm_letters(rule.at(**{n: 0 for n in rule.hyper if n == "weight_decay"}))
            place = {n: "of mu, L" if name == "chebyshev" else str(letters[n]) for n in ("beta", "nu")}
        except ValueError:
            place = {"beta": "two memories", "nu": ""}
        where = rule.card["Gradient read at"]
        rows[name] = {**place, "gradient at": where, "limit": limit, "as": member, "rate": rate, "kind": note}
    return pd.DataFrame.from_dict(rows, orient="index")


def _curves(data: Mapping[str, Array], x: str, ax: Axes, labels: Mapping[str, str]) -> None:
    """Every column of `labels` against column `x`, in the look of its rule, named at its end."""
    for name, label in labels.items():
        y = np.where(np.isfinite(data[name]), data[name], np.nan)
        (line,) = ax.plot(data[x], y, **rule_style(name) | {"markersize": 4})
        label_end(ax, line, label)


def draw_lenses(
    limits: Mapping[str, Array], rates: Mapping[str, Array], floors: Mapping[str, Array], axes: Iterable[Axes]
) -> None:
    """Draw the lenses two to four: limit over memory, steps over kappa, noise floor over steps."""
    step, rate, noise = axes
    _curves(
        limits, "memory", step, {"heavy_ball": "heavy ball", "nesterov": "Nesterov", "qhm": "QHM, nu 0.7"}
    )
    step.set(xscale="log", ylim=(-0.2, 4.3), xlabel="memory, steps (log scale)", ylabel="eta·lam")
    step.set_title("2  The step: largest stable eta·lam")
    steps = {name: values if name == "kappa" else -1 / np.log(values) for name, values in rates.items()}
    named = {
        "gradient_descent": "gradient\ndescent",
        "aggregated": "aggregated\n",
        "nesterov": "Nesterov",
    }
    named |= {"triple_momentum": "triple momentum\n", "heavy_ball": "heavy ball"}
    _curves(steps, "kappa", rate, named)
    rate.plot(steps["kappa"], steps["heavy_ball"], **THEORY)
    rate.set(xscale="log", yscale="log", xlabel="kappa (log scale)", ylabel="steps (log scale)")
    rate.set_title("3  The rate: steps to gain a factor e")
    quick = {"steps": -1 / np.log(floors["rate"]), **floors}
    for name in ("gradient_descent", "heavy_ball", "nesterov", "qhm"):
        floor = np.where(np.isfinite(quick[name]), quick[name], np.nan)
        label = "QHM" if name == "qhm" else name.replace("_", " ").replace("nest", "Nest")
        noise.plot(quick["steps"], floor, **rule_style(name) | {"markersize": 4}, label=label)
    noise.legend(loc="upper right")
    noise.set(xscale="log", yscale="log", xlabel="steps to gain a factor e (log scale)")
    noise.set(ylabel="mean of f, units of sigma²/L (log)", ylim=(0.03, 60))
    noise.set_title("4  The noise: least floor at that rate")


def compute_map() -> dict[str, tuple[Array, Array]]:
    """The rules that are lines in the plane of qhm's beta and nu, each as (beta, nu) up to a memory of 1000.

    Heavy ball, Nesterov and gradient descent at every momentum; triple momentum for each condition
    number; the optimized gradient method for each step of its sequence.
    """
    memory = 1 - np.geomspace(1, 1e-3, 200)
    lines = {
        "heavy_ball": (memory, np.ones_like(memory)),
        "nesterov": (memory, memory),
        "gradient_descent": (memory, np.zeros_like(memory)),
    }
    hypers = [tune("triple_momentum", 1 / kappa, 1.0).hyper for kappa in np.geomspace(1.5, 2e6, 60)]
    letters = [
        convert("robust_momentum", "qhm", **{n: h[n] for n in ("alpha", "beta", "gamma")}) for h in hypers
    ]
    s = [1.0]
    while s[-1] < 700:
        s.append((1 + float(np.sqrt(1 + 4 * s[-1] ** 2))) / 2)
    some = np.unique(np.geomspace(1, len(s) - 2, 60).astype(int))
    now, after = np.array(s)[some], np.array(s)[some + 1]
    optimized = [
        convert("ogm", "qhm", alpha=1.0, beta=(p - 1) / q, gamma=p / q)
        for p, q in zip(now, after, strict=True)
    ]
    for name, path in (("triple_momentum", letters), ("ogm", optimized)):
        beta, nu = (np.array([found[letter] for found in path]) for letter in ("beta", "nu"))
        lines[name] = beta[beta < 0.999], nu[beta < 0.999]
    return lines


#: Where names stand on the map: beside which point of what they name, and how far right and up.
_PLACES: Mapping[str, tuple[int, float, float]] = {
    "heavy_ball": (0, 0, 9),
    "gradient_descent": (60, 0, 9),
    "nesterov": (50, 8, -4),
    "triple_momentum": (4, 34, -22),
    "ogm": (8, 38, -42),
}


def draw_map(
    lines: Mapping[str, tuple[Array, Array]],
    points: Mapping[str, tuple[float, float]],
    ax: Axes,
) -> None:
    """Draw the plane of qhm's beta and nu: rules with a free letter as lines, settings as points.

    `lines` and `points` hold beta and nu. What stands before a comma in a point's name is its rule.
    """
    for name, (beta, nu) in lines.items():
        style = rule_style(name) | {"marker": ""}
        (line,) = ax.plot(1 / (1 - beta), nu, **style)
        at = _PLACES[name][0]
        _name(ax, name, (1 / (1 - beta[at]), nu[at]), line.get_color())
    for name, (b, n) in points.items():
        rule = name.split(",")[0]
        style = rule_style(rule) | {"linestyle": "", "markersize": 9, "markevery": 1}
        (dot,) = ax.plot(1 / (1 - b), n, **style)
        _name(ax, name, (1 / (1 - b), n), dot.get_color())
    ax.set(xscale="log", xlabel="memory 1/(1 - beta), steps (log scale)", ylabel="nu", ylim=(-0.12, 1.16))


def _name(ax: Axes, name: str, end: tuple[float, float], color: Any) -> None:
    _, dx, dy = _PLACES.get(name, (0, 8, 0))
    ax.annotate(
        name.replace("_", " "),
        end,
        xytext=(dx, dy),
        textcoords="offset points",
        ha="left" if dx >= 0 else "right",
        va="center",
        color=color,
        fontsize=9,
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": color, "lw": 0.7} if abs(dx) > 20 else None,
    )
