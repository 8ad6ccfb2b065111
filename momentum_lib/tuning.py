"""Which letters, and what they promise: tunings with their theorems, and numeric ones for any rule.

A closed-form tuning is stated once, for the rule its theorem is about; a rule that takes the same steps
under other letters gets it through the exact map between them. It belongs to the rule *object*: a rule
of one's own that is called heavy_ball is not Polyak's, and is tuned by `minimax`, as any rule is. All
rates are factors per step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, cast

import numpy as np

from momentum_lib import rules
from momentum_lib.clock import a_rule, brief, count_of, numbers, real, reals
from momentum_lib.definition import Promise, Rule, RuleError, is_schedule
from momentum_lib.oscillation import trace_and_det
from momentum_lib.spectrum import probe, spectral_radius
from momentum_lib.spectrum.probing import radius_of_quadratic, read, stack_columns, trace_det
from momentum_lib.spectrum.stability import trusted

__all__ = [
    "BestEta",
    "best_eta",
    "finite_bound",
    "lower_bound",
    "lower_rate",
    "minimax",
    "tune",
    "worst_rate",
]

Array = np.ndarray[Any, Any]


# --- closed forms ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Theorem:
    which: str
    letters: Callable[..., tuple[dict[str, float], float]]  # (mu, L, left open) -> letters, rate
    kind: str
    bounds: str
    source: str
    leaves_open: str = ""


def _polyak(mu: float, L: float) -> tuple[dict[str, float], float]:
    rate = float(lower_rate(L / mu))
    return {"eta": (2 / (math.sqrt(L) + math.sqrt(mu))) ** 2, "gamma": rate**2}, rate


def _ghadimi(mu: float, L: float, eta: float | None) -> tuple[dict[str, float], float]:
    eta = 1 / (2 * L) if eta is None else eta
    if not 0 < eta <= 1 / L:
        raise ValueError(f"eta={eta:g}; the theorem needs 0 < eta <= 1/L = {1 / L:.6g}.")
    return {"eta": eta, "gamma": math.sqrt((1 - eta * mu) * (1 - eta * L))}, 1 - eta * mu


def _optimal_nesterov(mu: float, L: float) -> tuple[dict[str, float], float]:
    root = math.sqrt(3 * L / mu + 1)
    return {"eta": 4 / (3 * L + mu), "gamma": (root - 2) / (root + 2)}, 1 - 2 / root


def _triple_momentum(mu: float, L: float) -> tuple[dict[str, float], float]:
    rho = 1 - math.sqrt(mu / L)
    letters = {
        "alpha": (1 + rho) / L,
        "beta": rho**2 / (2 - rho),
        "gamma": rho**2 / ((1 + rho) * (2 - rho)),
        "delta": rho**2 / (1 - rho**2),
    }
    return letters, rho


def _robust_momentum(mu: float, L: float, rho: float | None) -> tuple[dict[str, float], float]:
    kappa = L / mu
    fastest, slowest = 1 - 1 / math.sqrt(kappa), 1 - 1 / kappa
    rho = fastest if rho is None else rho
    if not fastest <= rho <= slowest:
        raise ValueError(
            f"rho={rho:g}; it runs from 1 - 1/sqrt(kappa) = {fastest:.6g} to 1 - 1/kappa = {slowest:.6g}."
        )
    cubed = rho**3 / (kappa - 1) if kappa > 1 else 0.0
    alpha = kappa * (1 - rho) ** 2 * (1 + rho) / L
    return {"alpha": alpha, "beta": kappa * cubed, "gamma": cubed / ((1 - rho) ** 2 * (1 + rho))}, rho


_DISTANCE = "||theta_t - minimizer||"
_QUADRATICS = f"{_DISTANCE} on quadratics with eigenvalues in [mu, L]"
_CONVEX = "mu-strongly convex, L-smooth functions"
_LESSARD = "Lessard, Recht, Packard 2016, Prop. 1"

#: Cells looked at in one go: with the curvatures beside each they stay in cache.
_PART: Final = 2**14

#: By the rule each theorem is about; the default tuning first.
_THEOREMS: Final[dict[Rule, tuple[_Theorem, ...]]] = {
    rules.gradient_descent: (
        _Theorem(
            "optimal",
            lambda mu, L: ({"eta": 2 / (mu + L)}, (L - mu) / (L + mu)),
            "tight",
            f"{_DISTANCE} on {_CONVEX}",
            "Nesterov 2004, Thm 2.1.15",
        ),
        _Theorem("standard", lambda mu, L: ({"eta": 1 / L}, 1 - mu / L), "tight", _QUADRATICS, _LESSARD),
    ),
    rules.heavy_ball: (
        _Theorem("polyak", _polyak, "asymptotic", _QUADRATICS, f"Polyak 1964; {_LESSARD}"),
        _Theorem(
            "ghadimi",
            _ghadimi,
            "upper",
            f"f(theta_t) - f* on {_CONVEX}",
            "Ghadimi, Feyzmahdavian, Johansson 2015, Thm 4",
            leaves_open="eta",
        ),
    ),
    rules.nesterov: (
        _Theorem("optimal", _optimal_nesterov, "asymptotic", _QUADRATICS, _LESSARD),
        _Theorem(
            "standard",
            lambda mu, L: ({"eta": 1 / L, "gamma": float(lower_rate(L / mu))}, 1 - math.sqrt(mu / L)),
            "asymptotic",
            _QUADRATICS,
            f"Nesterov 2004; {_LESSARD}",
        ),
    ),
    rules.triple_momentum: (
        _Theorem(
            "fastest",
            _triple_momentum,
            "tight",
            f"{_DISTANCE}, times 1/sqrt(kappa), on {_CONVEX}",
            "Van Scoy, Freeman, Lynch 2018, Thm 1",
        ),
    ),
    rules.robust_momentum: (
        _Theorem(
            "robust",
            _robust_momentum,
            "upper",
            f"root of the paper's Lyapunov function on {_CONVEX}",
            "Cyrus, Hu, Van Scoy, Lessard 2018, Thm 1",
            leaves_open="rho",
        ),
    ),
    rules.chebyshev: (
        _Theorem(
            "chebyshev",
            lambda mu, L: ({"mu": mu, "L": L}, float(lower_rate(L / mu))),
            "asymptotic",
            _QUADRATICS,
            "Golub, Varga 1961",
        ),
    ),
}

_BALL: Final[dict[Rule, tuple[str, ...]]] = {rules.heavy_ball: ("polyak", "ghadimi")}
_LOOK_AHEAD: Final[dict[Rule, tuple[str, ...]]] = {rules.nesterov: ("optimal", "standard")}

#: Rules that take the steps of another under letters of their own, and which of its tunings carry over.
_CARRIED: Final[dict[Rule, dict[Rule, tuple[str, ...]]]] = {
    **dict.fromkeys(
        (rules.polyak_two_step, rules.torch_sgd, rules.keras_sgd, rules.ema, rules.primal_average), _BALL
    ),
    # The correction fades, so only what is said of the limit carries over.
    rules.bias_corrected: {rules.heavy_ball: ("polyak",)},
    # All but mass report the look-ahead: another iterate, the same rates.
    **dict.fromkeys((rules.torch_nesterov, rules.keras_nesterov, rules.mass), _LOOK_AHEAD),
    rules.qhm: _BALL | _LOOK_AHEAD,
}


def tune(rule: Rule, mu: float, L: float, which: str | None = None, *, rho: float | None = None) -> Rule:
    """The rule at its setting in closed form for curvatures in [mu, L], with the theorem behind it.

    Parameters
    ----------
    rule : Rule
        A shipped rule, its letters open. For the theorem ``"ghadimi"``, which leaves eta open up to 1/L,
        ``heavy_ball.at(eta=...)``; it is 1/(2L) otherwise.
    mu, L : float
        Least and largest curvature, 0 < mu <= L.
    which : str, optional
        Which tuning, where there are several; by default the one that is fastest on quadratics.
        ``"optimal"`` and ``"standard"`` (eta = 1/L) for gradient descent and Nesterov; ``"polyak"`` and
        ``"ghadimi"`` for heavy ball; all four for qhm.
    rho : float, optional
        What the theorem of robust_momentum leaves open, from 1 - 1/sqrt(kappa) (the default) to
        1 - 1/kappa.

    Returns
    -------
    Rule
        Ready to be run, its `Rule.promise` told by the theorem. Where ``kind`` is ``"asymptotic"`` the
        rate is exceeded on the way, and `finite_bound` has the exact factor.

    Raises
    ------
    RuleError
        Letters are set that the tuning sets itself.
    ValueError
        No closed form for the rule, no tuning of that name, mu and L out of order, or what a theorem
        leaves open is out of range.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> best = tune(heavy_ball, 0.01, 1)
    >>> best, round(best.rate, 6)
    (heavy_ball(eta=3.30579, gamma=0.669421), 0.818182)
    >>> best.kind, best.theorem
    ('asymptotic', 'Polyak 1964; Lessard, Recht, Packard 2016, Prop. 1')
    """
    (mu, L), base = curvatures(mu, L), a_rule(rule).base
    source, theorem = _find(base, which)
    held = {name: v for name, v in rule.setting.items() if base.at(**{name: v}) != base}
    given = rho
    if theorem.leaves_open == "eta" and base is source:
        given = held.pop("eta", None)
    if held:
        raise RuleError(
            f"{rule} holds {' and '.join(held)}, which the {theorem.which!r} tuning does not leave open; "
            f"take tune({base}, mu, L), or minimax({rule}, mu, L), which holds what is set."
        )
    if rho is not None and theorem.leaves_open != "rho":
        raise ValueError(f"rho={brief(rho)} is robust_momentum's; leave it out for the tuning of {base}.")
    given = None if given is None else real(theorem.leaves_open, given)
    letters, rate = theorem.letters(mu, L, *([given] if theorem.leaves_open else []))
    tuned = source.at(**letters)
    if base is rules.bias_corrected:  # the same in the limit only, where it has the letters of its source
        tuned = base.at(**letters)
    elif base is not source:
        from momentum_lib.conversions import convert  # not at the top: it loads SymPy

        tuned = convert(tuned, base)
    return tuned.promising(Promise(rate, theorem.source, theorem.kind, theorem.which, theorem.bounds))


def _find(base: Rule, which: str | None) -> tuple[Rule, _Theorem]:
    """A tuning of the rule, and the rule its theorem is about."""
    found = [(base, theorem) for theorem in _THEOREMS.get(base, ())]
    for source, names in _CARRIED.get(base, {}).items():
        found += [(source, theorem) for theorem in _THEOREMS[source] if theorem.which in names]
    if not found:
        raise ValueError(f"no theorem here is about this {base}; minimax({base}, mu, L) tunes any rule.")
    for source, theorem in found:
        if which is None or (isinstance(which, str) and which == theorem.which):
            return source, theorem
    raise ValueError(
        f"{base} has no {brief(which)} tuning; it has {', '.join(repr(t.which) for _, t in found)}."
    )


class BestEta(NamedTuple):
    """Every learning rate from `low` to `high` has the least worst radius, `rate`; mostly low = high."""

    low: Any
    high: Any
    rate: Any


def best_eta(rule: Rule, mu: float, L: float) -> BestEta:
    """The learning rates with the least worst spectral radius on [mu, L], all other letters as they are.

    Asymptotic rate on quadratics. Exact where a rule steps as heavy ball or gradient descent does, under
    whatever letters: if gamma is large enough for every root on [mu, L] to be complex, the rate is
    sqrt(gamma) on a whole interval of learning rates; otherwise there is one best point,
    2(1 + gamma)/(mu + L) in heavy ball's letters, and the larger real root at mu is the rate. For any
    other rule it is one of the best, searched from 1e-2/L to 1e5/L.

    Parameters
    ----------
    rule : Rule
        Any linear rule with its step size alone open; the letters it has may be arrays of one grid.
    mu, L : float
        0 < mu <= L.

    Returns
    -------
    BestEta
        `low`, `high` and `rate`, each of the letters' shape.

    Raises
    ------
    RuleError
        Another letter is open, or not one step size alone.
    ValueError
        No learning rate is stable; mu and L out of order.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> low, high, rate = best_eta(heavy_ball.at(gamma=[0.0, 0.9]), 0.01, 1)
    >>> low.round(4).tolist(), high.round(4).tolist(), rate.round(4).tolist()
    ([1.9802, 0.2633], [1.9802, 3.7974], [0.9802, 0.9487])
    """
    mu, L = curvatures(mu, L)
    if a_rule(rule).free != rule.step_letters or len(rule.free) != 1:
        raise RuleError(
            f"{rule} leaves {', '.join(rule.free) or 'nothing'} open; best_eta wants one step size open, "
            f"here {', '.join(rule.step_letters) or 'none'}, and all else set; minimax tunes any letters."
        )
    gamma, pull = _as_heavy_ball(rule.in_unit_steps())
    if pull is not None:
        with np.errstate(invalid="ignore"):
            root = np.sqrt(gamma)
            low, high = (1 - root) ** 2 / (pull * mu), (1 + root) ** 2 / (pull * L)
            point = 2 * (1 + gamma) / (pull * (mu + L))
            trace, wide = 1 + gamma - point * pull * mu, low <= high
            real = (trace + np.sqrt(np.maximum(trace * trace - 4 * gamma, 0.0))) / 2
        parts = (np.where(wide, low, point), np.where(wide, high, point), np.where(wide, root, real))
    else:
        (name,) = rule.free

        def searched(cells: Rule) -> Any:
            return _peak(
                lambda eta: -np.nan_to_num(worst_rate(cells.at(**{name: eta}), mu, L), nan=np.inf),
                np.geomspace(1e-2, 1e5, 129) / L,
                rounds=12,
            )

        at, best = _in_parts(rule, searched)
        parts = (at, at, -best)
    if not (parts[2] < 1).all():
        raise ValueError(f"{rule} has settings without any stable learning rate; take less momentum.")
    return BestEta(*(part[()] for part in parts))


def _as_heavy_ball(unit: Rule) -> tuple[Any, Any]:
    """The numbers of z^2 - (1 + gamma - pull lam) z + gamma, if that is the polynomial; None if not."""
    if len(unit.slots) > 2 or probe(unit).B.shape[-1] != 1:
        return None, None
    (trace, gamma), (pulled, det) = (trace_and_det(*read(unit, lam)) for lam in (0.0, 1.0))
    same = np.abs(det - gamma) + np.abs(trace - 1 - gamma) <= 1e-12
    pull = trace - pulled
    return (gamma, pull) if (same & (np.abs(gamma) < 1) & (pull > 0)).all() else (None, None)


# --- bounds ------------------------------------------------------------------------------------------


def lower_rate(kappa: Any) -> Any:
    """(sqrt(kappa) - 1)/(sqrt(kappa) + 1): no first-order method has a better rate on quadratics.

    Lower bound; attained by Chebyshev's iteration and, in the limit, by heavy ball, so tight.

    Parameters
    ----------
    kappa : float or array
        Condition number L/mu, at least 1.

    Raises
    ------
    ValueError
        kappa below 1 or not finite.

    Examples
    --------
    >>> float(lower_rate(9))
    0.5
    """
    kappa = reals("kappa", kappa)
    if not (kappa >= 1).all():
        raise ValueError(f"kappa={brief(kappa)}; a condition number L/mu is finite and at least 1.")
    # (sqrt(kappa) - 1)/(sqrt(kappa) + 1) without the cancellation near kappa = 1.
    return ((kappa - 1) / (np.sqrt(kappa) + 1) ** 2)[()]


def lower_bound(kappa: Any, t: Any) -> Any:
    """1/T_t((kappa + 1)/(kappa - 1)): what no first-order method can beat in t steps on every quadratic.

    T_t is the Chebyshev polynomial, and the bound is on ||theta_t - minimizer|| over ||theta_0 -
    minimizer||, for a method that steps within the span of the gradients it has read. Lower bound;
    tight, since Chebyshev's iteration attains it at every t (Golub, Varga 1961). It needs at least
    t + 1 dimensions.

    Parameters
    ----------
    kappa : float or array
        Condition number, at least 1.
    t : int or array
        Number of steps, at least 0; broadcasts with kappa.

    Raises
    ------
    ValueError
        kappa below 1 or not finite, t negative or not whole.

    Examples
    --------
    >>> lower_bound(100, [0, 1, 10]).round(6).tolist()
    [1.0, 0.980198, 0.264089]
    """
    power = lower_rate(kappa) ** _steps(t)
    return 2 * power / (1 + power * power)


def finite_bound(
    rule: Rule, mu: float, L: float, t: Any, which: str | None = None, start: str = "rest"
) -> Any:
    """The exact worst of ||theta_t - minimizer|| / ||theta_0 - minimizer|| at a tuning of `tune`.

    Tight: the supremum over all quadratics with eigenvalues in [mu, L], at every t, with r the rate.
    The powers r^t that textbooks print leave out the factor beside them:

    - gradient descent: r^t.
    - heavy ball, "polyak": r^t (1 + t (1 + r)), at lam = L. With ``start="polyak"``, the first step taken
      with eta/(1 + gamma) = 2/(mu + L), it is r^t (1 + t (1 - r^2)/(1 + r^2)), which never exceeds 1.
    - Nesterov, "optimal" and "standard": r^t (1 + t (1 - r)), at lam = mu.
    - triple momentum: sqrt(kappa) r^t from t = 1 on, at lam = L; also tight beyond quadratics.
    - Chebyshev: `lower_bound`.

    Parameters
    ----------
    rule : Rule
        One of these, or a shipped rule with the same reported iterates.
    mu, L : float
        0 < mu <= L.
    t : int or array
        Steps, at least 0.
    which : str, optional
        As in `tune`.
    start : str
        ``"rest"``, or for heavy ball and Polyak's two-step form ``"polyak"``.

    Raises
    ------
    ValueError
        As `tune`; no exact bound is known here for this rule, tuning and start; a t negative or not whole.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> finite_bound(heavy_ball, 0.01, 1, [0, 4, 50]).round(4).tolist()
    [1.0, 3.7072, 0.004]
    >>> float(finite_bound(heavy_ball, 0.01, 1, 4, start="polyak").round(4))
    0.8031
    """
    promise, steps = cast(Promise, tune(rule, mu, L, which).promise), _steps(t)
    base, r, which = rule.base, promise.rate, promise.which
    slopes: dict[str, float] = {}
    if base is rules.gradient_descent:
        slopes = {"rest": 0.0}
    elif base in (rules.nesterov, rules.mass):
        slopes = {"rest": 1 - r}
    elif which == "polyak" and base is not rules.bias_corrected:
        slopes = {"rest": 1 + r}
        # Where eta is inside the velocity a schedule can make the first step, and no other, smaller.
        if base in (rules.heavy_ball, rules.polyak_two_step, rules.keras_sgd):
            slopes["polyak"] = (1 - r * r) / (1 + r * r)
    elif base is rules.triple_momentum and isinstance(start, str) and start == "rest":
        return np.where(steps > 0, math.sqrt(L / mu) * r**steps, 1.0)[()]
    elif base is rules.chebyshev and isinstance(start, str) and start == "rest":
        return lower_bound(L / mu, t)
    if not isinstance(start, str) or start not in slopes:
        raise ValueError(
            f"no exact bound is known here for {base}, which={which!r}, start={brief(start)}; take "
            "the largest |closed_form(...)| over a grid of eigenvalues in [mu, L]."
        )
    return r**steps * (1 + steps * slopes[start])


# --- numeric -----------------------------------------------------------------------------------------


def worst_rate(rule: Rule, mu: float, L: float) -> Any:
    """The largest spectral radius over the curvatures in [mu, L].

    Exact for a rule with up to two slots that reads one gradient a step: its trace and determinant are
    affine in the curvature, so the radius is quasi-convex and largest at mu or L. For other rules the
    largest of 65 curvatures, refined around it until neighbors agree to about 1e-9 L.

    Parameters
    ----------
    rule : Rule
        Any linear rule, every letter set, to numbers or to arrays that broadcast. Chebyshev's iteration,
        whose letters are the spectrum, is given mu and L where it leaves them open.
    mu, L : float
        0 < mu <= L.

    Returns
    -------
    (...) array or float.

    Raises
    ------
    ValueError
        mu and L out of order.
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> float(worst_rate(heavy_ball.at(eta=1.0, gamma=0.81), 0.1, 1).round(6))
    0.9
    """
    mu, L = curvatures(mu, L)
    everywhere = np.unique(np.concatenate([np.geomspace(mu, L, 33), np.linspace(mu, L, 33)]))
    everywhere[0], everywhere[-1] = mu, L

    def worst(cells: Rule) -> Any:
        system = probe(cells)
        ends = len(cells.slots) <= 2 and system.B.shape[-1] == 1 and not any(map(np.iscomplexobj, system))
        lam, rounds = (np.array([mu, L]), 1) if ends else (everywhere, 8)
        return _peak(lambda lam: spectral_radius(cells, lam), lam, rounds)[1][()]

    return _in_parts(_told_the_spectrum(rule, mu, L).closed(), worst)


def _told_the_spectrum(rule: Rule, mu: float, L: float) -> Rule:
    """The rule, mu and L given to the one that is made of them; in any other they are letters like any."""
    if a_rule(rule).base is not rules.chebyshev:
        return rule
    return rule.at(**{name: value for name, value in (("mu", mu), ("L", L)) if name in rule.free})


def _in_parts(rule: Rule, answer: Callable[[Rule], Any]) -> Any:
    """What `answer` says, (..., cells), of the rule with (cells, 1) letters: part by part, put together.

    So the memory that a whole map takes is that of its letters and of the answer.
    """
    letters = {n: v for n, v in rule.setting.items() if n != "t" and not is_schedule(v)}
    shape = np.broadcast_shapes(*map(np.shape, letters.values()))
    if not shape:
        return answer(rule)
    spread = {name: np.broadcast_to(value, shape).flat for name, value in letters.items()}
    parts = [
        np.asarray(answer(rule.at(**{n: v[low : low + _PART][:, None] for n, v in spread.items()})))
        for low in range(0, max(math.prod(shape), 1), _PART)
    ]
    return np.concatenate(parts, axis=-1).reshape(*parts[0].shape[:-1], *shape)


def _peak(height: Callable[[Array], Array], grid: Array, rounds: int) -> tuple[Array, Array]:
    """Where a function of a last axis is largest, and how large: the top of a grid, refined around it."""
    at, best = np.array(np.nan), np.array(-np.inf)
    for _ in range(rounds):
        values = height(grid)
        grid = np.broadcast_to(grid, values.shape)
        top = values.argmax(axis=-1)[..., None]
        reach = [np.clip(top + k, 0, grid.shape[-1] - 1) for k in (-1, 0, 1)]
        left, middle, right = (np.take_along_axis(grid, k, axis=-1) for k in reach)
        value = np.take_along_axis(values, top, axis=-1)[..., 0]
        higher = ~(value <= best)
        at, best = np.where(higher, middle[..., 0], at), np.where(higher, value, best)
        grid = left + (right - left) * np.linspace(0, 1, 17)
    return at, best


def minimax(rule: Rule, mu: float, L: float) -> Rule:
    """The rule at the setting with the least worst spectral radius on [mu, L], found numerically.

    Every open letter is tuned, and what is set is held: ``minimax(nesterov.at(gamma=0.9), mu, L)``.

    The radius is not smooth: at the optimum roots collide, and on one side of it the radius rises like a
    square root. Differential evolution (fixed seed) finds the basin; then r is made as small as the
    smooth conditions allow that all roots lie within radius r (Hurwitz determinants after the map of
    the disc to the half-plane); a simplex takes the last digits. From kappa = 2 on the rates of heavy
    ball and Nesterov come back to about 1e-12, with three letters to about 1e-8, in about a second each.

    Limits: the optimum of a rule with many letters may be a local one, a seed is no proof. A single step
    size is searched from 1e-2/L to some sqrt(kappa)/L first, several of them to 10/L with either sign, any
    other letter from -0.8 to 1e6 and beyond, once most finely close to 1 and once as finely close to 0. Up to
    kappa = 1e12 rules of two letters come back to a hundredth of 1 - rate. Those of three and four may stay
    far from their best from 1e8 on, pid does; where a rate hangs on the last digits of the letters, 1 or
    more stands for it. An optimum may be shared: the values returned are one of many then, and one that makes
    no difference is returned as 0. It may also lie at infinity: accsgd comes to heavy ball as delta goes to 0
    and kappa to infinity.

    Parameters
    ----------
    rule : Rule
        Any linear rule, a student's too. Chebyshev's iteration is given mu and L, as in `worst_rate`.
    mu, L : float
        0 < mu <= L.

    Returns
    -------
    Rule
        Every letter set, its `Rule.rate` the worst spectral radius, as `worst_rate` gives it; 1 or more
        if no setting was found stable.

    Raises
    ------
    ValueError
        mu and L out of order.
    NotLinear, RuleError
        As `iteration_matrix`; a letter that is held at an array.

    Examples
    --------
    >>> from momentum_lib import nesterov
    >>> best = minimax(nesterov, 0.1, 1)
    >>> best, round(best.rate, 6), best.kind
    (nesterov(eta=1.29032, gamma=0.471442), 0.640789, 'asymptotic')
    """
    mu, L = curvatures(mu, L)
    rule = _told_the_spectrum(rule, mu, L)
    for name, value in rule.setting.items():
        if np.ndim(value):
            raise RuleError(
                f"{rule} holds {name} at an array; minimax finds one setting, so call it for each."
            )
    searched = [_search(rule, mu, L, scale) for scale in (_near_one, _near_both)] if rule.free else [rule]
    (found, rate), *others = ((at, _true_rate(at, rule.free, mu, L)) for at in searched)
    for at, reached in others:
        if 1 - reached > (1 + 1e-6) * (1 - rate):  # by more than rounding
            found, rate = at, reached
    for name in rule.free:  # a letter that makes no difference is no find: it comes back as 0
        without = found.at(**{name: 0.0})
        if (name,) != rule.step_letters and (lower := _true_rate(without, rule.free, mu, L)) <= rate + 1e-12:
            found, rate = without, lower
    how = "numerical minimax of the spectral radius over [mu, L]"
    return found.promising(Promise(rate, how, "asymptotic", "minimax", _QUADRATICS))


def _true_rate(rule: Rule, names: Sequence[str], mu: float, L: float) -> float:
    """`worst_rate`, where it can be trusted."""
    setting = {name: rule.setting[name] for name in names}
    return trusted(setting, lambda letters: worst_rate(rule.at(**letters), mu, L))


def _search(rule: Rule, mu: float, L: float, scale: Callable[[float], _Scale]) -> Rule:
    """The open letters of a rule at the least worst radius on a few curvatures."""
    from scipy.optimize import differential_evolution, minimize

    names = rule.free
    far = max(10.0, 3 + math.log(L / mu) / 2)  # the best comes to 4/sqrt(kappa) of 0 or 1, or to sqrt(kappa)
    ranges, starts, decoders = zip(*(_scale_of(rule, name, L, far, scale) for name in names), strict=True)
    lam = np.unique(np.concatenate([np.geomspace(mu, L, 9), np.linspace(mu, L, 9)]))
    lam[0], lam[-1] = mu, L

    def letters(x: Any) -> dict[str, Any]:
        with np.errstate(all="ignore"):
            values = [np.clip(decode(v), -1e200, 1e200) for decode, v in zip(decoders, x, strict=True)]
        return dict(zip(names, values, strict=True))

    lam, reading = read(rule.at(**letters(starts)), lam)

    def columns(x: Any) -> list[list[Any]]:
        now = reading._replace(letters={**reading.letters, **letters(x)})
        return [now.advance(unit, lam) for unit in np.eye(len(rule.slots))]

    def slowness(x: Any) -> Any:
        """-log(1 - radius), which tells rates near 1 apart; on beyond 1, where nothing is stable.

        Over the (names, cells) array that differential evolution hands over, or one setting.
        """
        x = np.asarray(x)[..., None]
        radius = np.broadcast_to(_radius(columns(x)), np.broadcast_shapes(x[0].shape, lam.shape)).max(axis=-1)
        return np.maximum(radius - 1, 0) - np.log(np.maximum(1 - radius, 1e-17))

    def inside(y: Any) -> Array:
        """Not negative where every root lies within the radius that y ends with, as its slowness."""
        return _margins(stack_columns(columns(y[:-1])) / -np.expm1(-y[-1]))

    coarse = differential_evolution(
        slowness,
        ranges,
        x0=starts,
        rng=0,
        popsize=20,
        maxiter=20 + 15 * len(names),
        tol=0,
        atol=1e-6,
        polish=False,
        vectorized=True,
        updating="deferred",
    )
    best, least = coarse.x, float(coarse.fun)
    aim = np.append(np.zeros(len(names)), 1.0)
    for _ in range(3):  # a restart forgets curvature met on the way, and gets on where the last one stopped
        with np.errstate(all="ignore"):
            smooth = minimize(
                lambda y: y[-1],
                np.append(best, least),
                jac=lambda y: aim,
                method="SLSQP",
                constraints={"type": "ineq", "fun": inside},
                options={"maxiter": 200, "ftol": 1e-15},
            )
        reached = float(slowness(smooth.x[:-1])) if np.isfinite(smooth.x).all() else math.inf
        if not reached < least:
            break
        best, least = smooth.x[:-1], reached
    corners = np.vstack([best, best + 1e-5 * np.eye(len(names))])
    last = minimize(
        lambda x: float(slowness(x)),
        best,
        method="Nelder-Mead",
        options={"initial_simplex": corners, "xatol": 1e-12, "fatol": 1e-15, "maxfev": 150 * len(names)},
    )
    return rule.at(**{name: float(value) + 0.0 for name, value in letters(last.x).items()})


class _Scale(NamedTuple):
    """How one letter is searched."""

    bounds: tuple[float, float]  # of x
    start: float  # an x in the first population: a step of 1/L and no momentum
    value: Callable[[Any], Any]  # of the letter, at x


def _scale_of(rule: Rule, name: str, L: float, far: float, scale: Callable[[float], _Scale]) -> _Scale:
    if (name,) == rule.step_letters:
        return _Scale((-4.6, far + 1.5), 0.0, lambda x: np.exp(x) / L)
    if name in rule.step_letters:  # one of several may have either sign
        return _Scale((-3.0, 3.0), 0.0, lambda x: np.sinh(x) / L)
    return scale(far)


def _near_one(far: float) -> _Scale:
    """As close to 1 as the best momentum gets; a letter of another kind may go on."""
    return _Scale(
        (-0.6, far + 14), 0.0, lambda x: np.where(x < far, -np.expm1(-np.minimum(x, far)), np.exp(x - far))
    )


def _near_both(far: float) -> _Scale:
    """As close to 0 as to 1, which is a wider search: with many letters it misses more."""

    def value(x: Any) -> Any:
        x = np.asarray(x, float)
        inner = np.exp(-np.minimum(np.abs(x), far)) / 2
        below, above = np.minimum(x + far, 0), np.maximum(x - far, 0)
        return np.where(x < 0, inner - np.expm1(-below), -inner + np.exp(above))

    return _Scale((-far - 0.6, far + 14), -far, value)


def _radius(columns: list[list[Any]]) -> Array:
    """The largest modulus of the eigenvalues of a matrix; 1e9 where it has none, or larger ones."""
    if len(columns) <= 2:
        with np.errstate(all="ignore"):
            rho = np.asarray(radius_of_quadratic(*trace_det(columns)))
    else:
        matrix = stack_columns(columns)
        finite = np.isfinite(matrix).all(axis=(-2, -1))
        rho = np.full(finite.shape, np.inf)
        rho[finite] = np.abs(np.linalg.eigvals(matrix[finite])).max(axis=-1)
    return np.where(rho < 1e9, rho, 1e9)


def _margins(matrix: Array) -> Array:
    """Smooth numbers that are all >= 0 where no eigenvalue of a matrix lies outside the unit disc.

    z = (1 + w)/(1 - w) takes the disc to the left half-plane, where the coefficients of the
    characteristic polynomial and its Hurwitz determinants are the conditions.
    """
    n = matrix.shape[-1]
    unit, half_plane = _disc_to_half_plane(n)
    values = np.linalg.det(unit[:, None, None] * np.eye(n) - matrix[..., None, :, :])
    coefficients = np.fft.fft(values, axis=-1).real / (n + 1) @ half_plane  # of w^n ... w^0
    hurwitz = np.zeros((*matrix.shape[:-2], n, n))
    for i in range(n):
        for j in range(n):
            if 0 <= (k := 2 * j + 1 - i) <= n:
                hurwitz[..., i, j] = coefficients[..., k]
    minors = [np.linalg.det(hurwitz[..., :m, :m])[..., None] for m in range(2, n)]
    return np.concatenate([coefficients, *minors], axis=-1).ravel()


@cache
def _disc_to_half_plane(n: int) -> tuple[Array, Array]:
    """The n + 1 roots of unity, and the rows (1 + w)^k (1 - w)^(n - k), highest power first."""
    unit = np.exp(2j * np.pi * np.arange(n + 1) / (n + 1))
    plus, minus = np.poly1d([1, 1]), np.poly1d([-1, 1])
    return unit, np.array([(plus**k * minus ** (n - k)).coeffs for k in range(n + 1)])


# --- checks ------------------------------------------------------------------------------------------


def curvatures(mu: Any, L: Any) -> tuple[float, float]:
    """The ends of a spectrum as numbers, 0 < mu <= L."""
    mu, L = real("mu", mu), real("L", L)
    if mu == 0 and L > 0:
        raise ValueError(
            "mu=0 leaves no linear rate; without strong convexity take gradient_descent at eta = 1/L, or "
            "nesterov at eta = 1/L with gamma=nesterov_sequence()."
        )
    if not 0 < mu <= L:
        raise ValueError(f"mu={mu:g} and L={L:g}; curvatures need 0 < mu <= L.")
    if L / mu > 1e30:
        raise ValueError(f"mu={mu:g} and L={L:g} are too far apart, the rate rounds to 1; take L/mu <= 1e30.")
    return mu, L


def _steps(t: Any) -> Array:
    steps = numbers("t", t)
    for step in steps.ravel().tolist():
        count_of("t", step)
    return steps.astype(float)
