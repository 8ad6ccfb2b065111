"""Numbers of a student's own: what each check may be given, where the task says it, what is then right.

An exercise that is not listed asks for a function or a rule that holds for all numbers: it is the same for
everybody, and `grading` names equal answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

__all__ = ["OWN", "Draw", "Own"]


class Draw:
    """Choices that hang on a text alone: the same on every machine and Python.

    Examples
    --------
    >>> draw = Draw("2026 ada 02.1")
    >>> draw((1, 2, 3)), draw((1, 2, 3)), Draw("2026 ada 02.1")((1, 2, 3))
    (2, 1, 2)
    """

    def __init__(self, text: str) -> None:
        self.text, self.count = text, 0

    def __call__(self, options: Any) -> Any:
        """One of the options."""
        self.count += 1
        digest = hashlib.sha256(f"{self.text} {self.count}".encode()).digest()
        return options[int.from_bytes(digest) % len(options)]


@dataclass(frozen=True)
class Own:
    """What is a student's own in one exercise.

    Attributes
    ----------
    draw : callable
        Takes a `Draw`; gives the check's keywords.
    says : mapping of str to str
        What the task says in the notebook, and what it says then: ``{name}`` is a keyword or made of them.
    solve : callable
        Takes the keywords; gives the right answer, as the check takes it.
    told : callable, optional
        Takes the keywords; gives what else `says` names.
    """

    draw: Callable[[Draw], dict[str, Any]]
    says: Mapping[str, str]
    solve: Callable[..., tuple[Any, ...]]
    told: Callable[..., dict[str, Any]] = lambda **_: {}
    code: Mapping[str, str] = field(default_factory=dict)  #: the same for the cell that is answered in

    def task(self, text: str, given: Mapping[str, Any]) -> str:
        """The task with a student's numbers.

        Raises
        ------
        ValueError
            The notebook no longer says what is to be replaced.
        """
        return self._put(self.says, text, given)

    def answer(self, text: str, given: Mapping[str, Any]) -> str:
        """The cell that is answered in, with a student's numbers; raises as `task` does."""
        return self._put(self.code, text, given)

    def _put(self, says: Mapping[str, str], text: str, given: Mapping[str, Any]) -> str:
        shown = {name: _shown(value) for name, value in (dict(given) | self.told(**given)).items()}
        for old, new in says.items():
            if text.count(old) != 1:
                raise ValueError(f"The task says {old!r} {text.count(old)} times: {text[:60]!r}.")
            text = text.replace(old, new.format(**shown))
        return text


def _shown(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _grid(first: float, last: float, count: int, digits: int = 6) -> tuple[float, ...]:
    return tuple(round(first + (last - first) * k / (count - 1), digits) for k in range(count))


def _words(values: tuple[float, ...]) -> str:
    *most, last = (f"{value:g}" for value in values)
    return f"{', '.join(most)} and {last}"


def _polyak(mu: float, L: float) -> tuple[float, float]:
    low, high = math.sqrt(mu), math.sqrt(L)
    return 4 / (low + high) ** 2, ((high - low) / (high + low)) ** 2


def _hand_tuned(draw: Draw) -> dict[str, Any]:
    from momentum_lib.rules import heavy_ball
    from momentum_lib.spectrum import settling_time

    mu, L = draw(_grid(0.01, 0.03, 21, 4)), draw(_grid(0.5, 4.0, 36, 4))
    eta, gamma = _polyak(mu, L)
    needed = float(settling_time(heavy_ball.at(eta=eta, gamma=gamma), [mu, L], 1.0, 1e-6, 5000))
    return {"lam": (mu, L), "most": math.ceil(1.06 * needed)}


def _half_ahead(*, share: Fraction) -> tuple[Any, ...]:
    from momentum_lib.definition import Rule

    def solved(theta: Any, grad: Any, *, eta: Any) -> Any:
        return (theta - eta * grad(theta - float(share) * eta * grad(theta)),)

    return (Rule(solved),)


def _twice(*, mu: float, L: float) -> tuple[Any, ...]:
    from momentum_lib.definition import Rule

    def step(theta: Any, grad: Any, *, first: Any, second: Any) -> Any:
        theta = theta - first * grad(theta)
        return (theta - second * grad(theta),)

    middle, reach = (L + mu) / 2, (L - mu) / math.sqrt(8)
    return (Rule(step).at(first=1 / (middle + reach), second=1 / (middle - reach)),)


def _third(*, eta: Fraction, gamma: Fraction, start: Fraction) -> tuple[Any, ...]:
    theta, v = start, Fraction(0)
    for _ in range(3):
        v = gamma * v + eta * theta
        theta -= v
    return (theta,)


def _guarantee(*, kappa: float, tol: float) -> tuple[Any, ...]:
    import numpy as np

    from momentum_lib.rules import heavy_ball
    from momentum_lib.tuning import finite_bound

    bound = finite_bound(heavy_ball, 1 / kappa, 1.0, np.arange(int(20 * math.sqrt(kappa))))
    return (int(np.flatnonzero(bound > tol)[-1]) + 1,)


def _fewest(*, kappa: float, tol: float) -> tuple[Any, ...]:
    # 1/T_t <= tol, T_t = cosh(t arccosh((kappa + 1)/(kappa - 1))): Chebyshev's polynomial outside [-1, 1].
    return (math.ceil(math.acosh(1 / tol) / math.acosh((kappa + 1) / (kappa - 1))),)


def _root(condition: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(condition, low, high, xtol=1e-12))


def _one_gamma(*, low: float, high: float) -> tuple[Any, ...]:
    from momentum_lib.rules import heavy_ball
    from momentum_lib.tuning import best_eta, lower_rate

    def cost(gamma: float, kappa: float) -> float:
        return math.log(lower_rate(kappa)) / math.log(best_eta(heavy_ball.at(gamma=gamma), 1 / kappa, 1).rate)

    ends = (_polyak(1 / kappa, 1)[1] for kappa in (low, high))
    return (_root(lambda gamma: cost(gamma, low) - cost(gamma, high), *ends),)


def _overshoot(*, lam: float) -> tuple[Any, ...]:
    from momentum_lib.oscillation import damping
    from momentum_lib.rules import heavy_ball

    critical = (1 - math.sqrt(lam)) ** 2

    def past(gamma: float) -> float:
        return float(damping(heavy_ball.at(gamma=gamma), lam).overshoot) - 0.05

    return (_root(past, critical + 1e-9, 0.999),)


def _way_home(*, start: float) -> tuple[Any, ...]:
    import numpy as np

    from momentum_lib.problems import LessardCycle
    from momentum_lib.rules import heavy_ball
    from momentum_lib.runner import run

    etas = np.linspace(0.1, 1 / 9, 1001)
    ends = run(heavy_ball.at(eta=etas, gamma=4 / 9), LessardCycle().grad, start, 2000, every=2000).theta[-1]
    return (float(etas[abs(ends) < 1e-3][-1]),)


def _follow(*, momentum: float, etas: tuple[float, float], after: int) -> tuple[Any, ...]:
    return (lambda t: momentum * (etas[1] / etas[0] if t == after + 1 else 1),)


def _batch_limit(*, gamma: float, p: float) -> tuple[Any, ...]:
    # The inverse limits add: 2(1 + gamma) without noise, 2(1 - gamma)/ratio from the noise alone.
    return (1 / (1 / (2 * (1 + gamma)) + (1 - p) / p / (2 * (1 - gamma))),)


def _quiet_eta(*, gamma: float, rms: float) -> tuple[Any, ...]:
    # Variance eta (1 + gamma)/((1 - gamma)(2(1 + gamma) - eta)) at curvature 1 and noise 1.
    square = rms**2 * (1 - gamma)
    return (2 * (1 + gamma) * square / (1 + gamma + square),)


def _same_floor(*, gamma: float, like: tuple[float, float]) -> tuple[Any, ...]:
    eta, before = like
    variance = eta * (1 + before) / ((1 - before) * (2 * (1 + before) - eta))
    return _quiet_eta(gamma=gamma, rms=math.sqrt(variance))


def _critical(*, speed: float) -> tuple[Any, ...]:
    from momentum_lib.rules import heavy_ball

    return (heavy_ball.at(eta=(1 - speed) ** 2, gamma=speed**2),)


def _departure(*, eta_momentum: float, gamma: float) -> tuple[Any, ...]:
    trace = 1 + gamma + eta_momentum
    return ((trace + math.sqrt(trace**2 - 4 * gamma)) / 2 - 1,)


def _pace(*, updates: int) -> tuple[Any, ...]:
    from momentum_lib.published import value

    rises, length = value("sutskever-2013/schedule-period"), value("sutskever-2013/updates")
    return (round(updates * rises / length),)  # type: ignore[operator]  # single numbers


def _guess(*, off: float) -> tuple[Any, ...]:
    def below(p: float) -> float:
        return p * (1 - math.log(p))  # P(xy < p)

    return (1 - below(0.25 + off) + below(0.25 - off),)


def _repair(*, mu: float, L: float) -> tuple[Any, ...]:
    from momentum_lib.definition import RULES

    eta, gamma = _polyak(mu, L)
    return (RULES["heavy_ball"].at(eta=eta, gamma=gamma),)


_GAMMAS: Final = _grid(0.8, 0.96, 17, 3)
_SHARES: Final = [
    Fraction(p, q) for q in range(3, 10) for p in (1, 2, 3) if p * 4 < q * 3 and math.gcd(p, q) == 1
]

#: By the name of the check.
OWN: Final[Mapping[str, Own]] = {
    "hand_tuned": Own(
        _hand_tuned,
        {"0.01 and 1, from": "{curvatures}, from", "at most 130": "at most {most}"},
        lambda lam, most: _polyak(*lam),
        lambda lam, most: {"curvatures": _words(lam)},
    ),
    "half_ahead": Own(
        lambda draw: {"share": draw(_SHARES)},
        {
            "half a step ahead": "{share} of a step ahead",
            r"\tfrac{\eta}{2}": r"\tfrac{{{over}\eta}}{{{under}}}",
        },
        _half_ahead,
        lambda share: {"over": share.numerator if share.numerator > 1 else "", "under": share.denominator},
    ),
    "slide": Own(
        lambda draw: {
            "eigenvalues": (draw(_grid(0.1, 0.4, 7)), draw(_grid(0.8, 1.6, 9)), draw(_grid(2.5, 9.5, 71)))
        },
        {"0.2, 1 and 4": "{curvatures}"},
        lambda eigenvalues: (1 / eigenvalues[-1],),
        lambda eigenvalues: {"curvatures": _words(eigenvalues)},
    ),
    "balance": Own(
        lambda draw: {
            "eigenvalues": (
                draw(_grid(0.3, 0.9, 7)),
                draw((1.5, 2.0)),
                draw((2.5, 3.0)),
                draw(_grid(6.0, 12.0, 61)),
            )
        },
        {"0.5, 2, 3 and 8": "{curvatures}"},
        lambda eigenvalues: (2 / (eigenvalues[0] + eigenvalues[-1]),),
        lambda eigenvalues: {"curvatures": _words(eigenvalues)},
    ),
    "in_turn": Own(
        lambda draw: {"mu": draw(_grid(0.01, 0.06, 51)), "L": draw(_grid(0.5, 4.0, 36))},
        {"from 0.01 to 1": "from {mu} to {L}"},
        _twice,
    ),
    "by_hand": Own(
        lambda draw: {
            "eta": draw([Fraction(1, q) for q in (3, 4, 5, 6)] + [Fraction(2, q) for q in (3, 5, 7)]),
            "gamma": draw([Fraction(p, q) for q in (3, 4, 5, 7) for p in (1, 2) if p * 2 != q]),
            "start": draw([Fraction(n) for n in (1, 2, 3, 4, 6)]),
        },
        {
            r"\theta_0 = 1": r"\theta_0 = {start}",
            r"\eta = 1/4": r"\eta = {eta}",
            r"\gamma = 1/3": r"\gamma = {gamma}",
        },
        _third,
    ),
    "same_speed": Own(
        lambda draw: {
            "gamma": draw(_grid(0.97, 0.995, 26)),
            "like": (draw(_grid(0.05, 0.3, 26)), draw((0.85, 0.9, 0.95))),
        },
        {r"from 0.9 to 0.99": "from {before} to {gamma}", r"\eta = 0.1": r"\eta = {eta}"},
        lambda gamma, like: (like[0] * (1 - gamma) / (1 - like[1]),),
        lambda gamma, like: {"eta": like[0], "before": like[1]},
    ),
    "period": Own(
        lambda draw: {"gamma": draw(_grid(0.4, 0.9, 51)), "lam": draw((0.5, 0.8, 1.0, 1.25, 2.0))},
        {r"\gamma = 0.81": r"\gamma = {gamma}", r"\lambda = 1$": r"\lambda = {lam}$"},
        lambda gamma, lam: ((1 + gamma) / lam,),
    ),
    "guarantee": Own(
        lambda draw: {"kappa": draw(_grid(62.0, 402.0, 69)), "tol": 1e-6},
        {r"\kappa = 100": r"\kappa = {kappa}", "promises 69 steps": "promises {naive} steps"},
        _guarantee,
        lambda kappa, tol: {
            "naive": math.ceil(math.log(tol) / math.log((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)))
        },
    ),
    "fewest_steps": Own(
        lambda draw: {"kappa": draw(_grid(2000.0, 20000.0, 181)), "tol": 1e-6},
        {r"\kappa = 10^4": r"\kappa = {kappa}", "in 600 steps": "in {claimed} steps"},
        _fewest,
        lambda kappa, tol: {"claimed": 10 * (_fewest(kappa=kappa, tol=tol)[0] * 8 // 100)},
    ),
    "break_even": Own(
        lambda draw: {"gamma": draw(_grid(0.7, 0.97, 55))},
        {r"\gamma = 0.9": r"\gamma = {gamma}", r"\kappa = 10$": r"\kappa = {low}$", "at 1000": "at {high}"},
        lambda gamma: ((1 + math.sqrt(gamma)) / (1 - math.sqrt(gamma)),),
        lambda gamma: {"low": math.floor(1 / (1 - gamma)), "high": 100 * math.ceil(1 / (1 - gamma))},
    ),
    "one_gamma": Own(
        lambda draw: {"low": draw(_grid(10.0, 60.0, 11)), "high": draw(_grid(500.0, 9000.0, 18))},
        {"between 30 and 3000": "between {low} and {high}"},
        _one_gamma,
    ),
    "overshoot": Own(
        lambda draw: {"lam": draw(_grid(0.004, 0.09, 44))},
        {r"\eta\lambda = 0.01": r"\eta\lambda = {lam}"},
        _overshoot,
    ),
    "critical_nesterov": Own(
        lambda draw: {"h": draw(_grid(0.05, 0.6, 56))},
        {"19/100": "{h}"},
        lambda h: ((1 - math.sqrt(h)) / (1 + math.sqrt(h)),),
    ),
    "halfway_letters": Own(
        lambda draw: {"eta": draw(_grid(0.05, 0.3, 26)), "gamma": draw(_grid(0.5, 0.9, 41))},
        {r"\eta = 0.1": r"\eta = {eta}", r"\gamma = 0.8": r"\gamma = {gamma}"},
        lambda eta, gamma: (eta / (1 - gamma), gamma, (1 + gamma) / 2),
    ),
    "safe_eta": Own(
        lambda draw: {"gamma": draw(_GAMMAS), "lam": draw(_grid(1.0, 9.0, 33))},
        {r"\gamma = 0.95": r"\gamma = {gamma}", "curvature 4": "curvature {lam}"},
        lambda gamma, lam: (2 * (1 - gamma) / lam,),
    ),
    "follow": Own(
        lambda draw: {
            "momentum": draw(_GAMMAS),
            "etas": (0.1, draw((0.01, 0.02, 0.03, 0.05))),
            "after": draw(range(6, 20)),
        },
        {
            "from 0.1 to 0.01 after step 10": "from {high} to {low} after step {after}",
            r"\gamma = 0.9": r"\gamma = {momentum}",
        },
        _follow,
        lambda momentum, etas, after: {"high": etas[0], "low": etas[1]},
        {"[0.1, 0.01], [10]": "[{high}, {low}], [{after}]"},
    ),
    "quiet_eta": Own(
        lambda draw: {"gamma": draw(_GAMMAS), "rms": draw(_grid(0.05, 0.3, 26))},
        {r"\gamma = 0.9": r"\gamma = {gamma}", "distance of 0.1": "distance of {rms}"},
        _quiet_eta,
    ),
    "batch_limit": Own(
        lambda draw: {"gamma": draw(_GAMMAS), "p": draw((0.05, 0.1, 0.125, 0.2, 0.25))},
        {
            "One batch in ten": "One batch in {times}",
            "with ten times": "with {times} times",
            r"\gamma = 0.9": r"\gamma = {gamma}",
        },
        _batch_limit,
        lambda gamma, p: {"times": round(1 / p)},
    ),
    "quieter_rule": Own(
        lambda draw: {"speed": draw(_grid(0.8, 0.97, 35))}, {"by 0.9 a step": "by {speed} a step"}, _critical
    ),
    "same_departure": Own(
        lambda draw: {"eta_momentum": draw(_grid(0.05, 0.25, 21)), "gamma": draw(_GAMMAS)},
        {r"\eta = 0.1": r"\eta = {eta_momentum}", r"\gamma = 0.9": r"\gamma = {gamma}"},
        _departure,
    ),
    "way_home": Own(
        lambda draw: {"start": draw(_grid(3.16, 3.44, 29))},
        {"at rest at 3.3": "at rest at {start}"},
        _way_home,
    ),
    "pace": Own(
        lambda draw: {"updates": draw(range(12_000, 99_000, 3_000))},
        {"30,000 updates": "{updates} updates"},
        _pace,
    ),
    "first_try": Own(
        lambda draw: {
            "gamma": draw((0.8, 0.9, 0.95, 0.98, 0.99)),
            "plain": draw((0.02, 0.05, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0)),
        },
        {"momentum is 0.5": "momentum is {plain}", r"\gamma = 0.95": r"\gamma = {gamma}"},
        lambda gamma, plain: (plain * (1 - gamma),),
    ),
    "guess": Own(
        lambda draw: {"off": draw(_grid(0.01, 0.1, 46))}, {"more than 0.04": "more than {off}"}, _guess
    ),
    "same_floor": Own(
        lambda draw: {
            "gamma": draw(_grid(0.96, 0.995, 36)),
            "like": (draw(_grid(0.05, 0.3, 26)), draw((0.85, 0.9))),
        },
        {r"\eta = 0.1": r"\eta = {eta}", r"\gamma = 0.9$": r"\gamma = {before}$", "to 0.99": "to {gamma}"},
        _same_floor,
        lambda gamma, like: {"eta": like[0], "before": like[1]},
    ),
    "disguise": Own(
        lambda draw: {"lr": draw(_grid(0.5, 4.0, 36)), "mu": draw(_grid(0.3, 0.9, 13))},
        {"`lr = 2`": "`lr = {lr}`", "`mu = 3/4`": "`mu = {mu}`"},
        lambda lr, mu: (lr * (1 - mu), mu),
    ),
    "repair": Own(
        lambda draw: {"mu": draw(_grid(0.01, 0.05, 9)), "L": draw(_grid(2.0, 20.0, 37))},
        {"from 1/100 to 1": "from {mu} to {L}"},
        _repair,
    ),
}
