"""From one convention to another: settings and buffers.

`CONVERSIONS` is the only place where a map between two conventions is typed; `equivalent` proves each.
How the buffers translate is not typed at all: it is computed from the two rules.
"""

from __future__ import annotations

import ast
import math
import operator
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from momentum_lib.clock import Clock, a_rule, brief, refuse_frozen
from momentum_lib.definition import Rule, RuleError, is_schedule
from momentum_lib.rules import (
    accsgd,
    ema,
    gradient_descent,
    heavy_ball,
    item,
    keras_nesterov,
    keras_sgd,
    mass,
    nesterov,
    ogm,
    pid,
    polyak_two_step,
    primal_average,
    qhm,
    robust_momentum,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from momentum_lib.spectrum.probing import is_symbolic, probe

__all__ = ["CONVERSIONS", "Conversion", "convert", "convert_state"]


class Conversion(NamedTuple):
    """Letters of the general rule in those of the special one (`there`), and the way back.

    What a map does not name keeps its name or its default. `there` holds for every setting; `back` for
    the members of the general rule that `there` reaches.
    """

    there: Mapping[str, str]
    back: Mapping[str, str]


_SAME: Final = Conversion({}, {})

#: (special, general): the general rule contains the special one and reads its gradients, from the first
#: step on. Where they report different points `equivalent` says so.
CONVERSIONS: Final[dict[tuple[Rule, Rule], Conversion]] = {
    (gradient_descent, heavy_ball): Conversion({"gamma": "0"}, {}),
    (heavy_ball, polyak_two_step): _SAME,
    (heavy_ball, torch_sgd): _SAME,
    (heavy_ball, keras_sgd): _SAME,
    (heavy_ball, ema): Conversion({"eta": "eta/(1 - gamma)"}, {"eta": "eta*(1 - gamma)"}),
    (heavy_ball, primal_average): Conversion(
        {"eta": "eta/(1 - gamma)", "c": "1 - gamma"}, {"eta": "c*eta", "gamma": "1 - c"}
    ),
    (heavy_ball, robust_momentum): Conversion(
        {"alpha": "eta", "beta": "gamma", "gamma": "0"}, {"eta": "alpha", "gamma": "beta"}
    ),
    (heavy_ball, qhm): Conversion(
        {"alpha": "eta/(1 - gamma)", "beta": "gamma", "nu": "1"}, {"eta": "alpha*(1 - beta)", "gamma": "beta"}
    ),
    (nesterov, torch_nesterov): _SAME,
    (nesterov, keras_nesterov): _SAME,
    (torch_nesterov, keras_nesterov): Conversion({"weight_decay": "0"}, {"weight_decay": "0"}),
    (nesterov, mass): Conversion({"eta1": "eta", "eta2": "0"}, {"eta": "eta1"}),
    (nesterov, robust_momentum): Conversion({"alpha": "eta", "beta": "gamma"}, {"eta": "alpha"}),
    (torch_nesterov, ogm): Conversion(
        {"alpha": "eta", "beta": "gamma", "gamma": "0"}, {"eta": "alpha", "gamma": "beta"}
    ),
    (torch_nesterov, qhm): Conversion(
        {"alpha": "eta/(1 - gamma)", "beta": "gamma", "nu": "gamma"},
        {"eta": "alpha*(1 - beta)", "gamma": "beta"},
    ),
    (accsgd, qhm): Conversion(
        {
            "alpha": "7*delta*(1 + xi)/17",
            "beta": "(100*kappa - 49*xi)/(100*kappa + 70*xi)",
            "nu": "(7*xi - 10)/(7*(1 + xi))",
        },
        {
            "delta": "alpha*(1 - nu)",
            "kappa": "(10 + 7*nu)*(7 + 10*beta)/(100*(1 - nu)*(1 - beta))",
            "xi": "(10 + 7*nu)/(7*(1 - nu))",
        },
    ),
    (ogm, qhm): Conversion(
        {"alpha": "alpha*(1 + gamma)/(1 - beta)", "nu": "(beta + gamma)/(1 + gamma)"},
        {"alpha": "alpha*(1 - nu)", "gamma": "(nu - beta)/(1 - nu)"},
    ),
    (robust_momentum, qhm): Conversion(
        {"alpha": "alpha/(1 - beta)", "nu": "1 - gamma*(1 - beta)/beta"},
        {"alpha": "alpha*(1 - beta)", "gamma": "beta*(1 - nu)/(1 - beta)"},
    ),
    (mass, qhm): Conversion(
        {
            "alpha": "(eta1 - eta2)/(1 - gamma)",
            "beta": "gamma",
            "nu": "1 - eta1*(1 - gamma)/(eta1 - eta2)",
        },
        {"eta1": "alpha*(1 - nu)", "eta2": "alpha*(beta - nu)", "gamma": "beta"},
    ),
    (qhm, item): Conversion(
        {"eta": "alpha*(1 - nu)", "q": "0", "delta": "1/(1 - nu)"},
        {"alpha": "eta*delta", "nu": "1 - 1/delta"},
    ),
    (qhm, pid): Conversion(
        {
            "k_p": "-alpha*beta*nu/(1 - beta)",
            "k_i": "alpha",
            "k_d": "alpha*nu*beta**2/(1 - beta)**2",
        },
        {"alpha": "k_i", "nu": "-k_p*(1 - beta)/(beta*k_i)"},
    ),
    (robust_momentum, triple_momentum): Conversion({"delta": "0"}, {}),
}


def convert(rule: Rule, to: Rule) -> Rule:
    """The setting of `to` that reads the gradients which `rule` reads, from the first step on.

    Follows `CONVERSIONS`, over several of them if need be; both rules start at rest. Which point the
    rule found reports is on its card, ``.card["Reports"]``. What was promised of `rule` holds for it too
    where that is the same point; elsewhere only an asymptotic rate does, and another promise is dropped.

    Parameters
    ----------
    rule : Rule
        A shipped rule, every letter set. A schedule goes over where the two take the same steps while it
        changes.
    to : Rule
        A shipped rule, its letters open.

    Returns
    -------
    Rule
        `to` at its setting, ready to be run.

    Raises
    ------
    ValueError
        `to` has no such member; says what differs.
    RuleError
        What is no rule, an open letter, a frozen step count.

    Examples
    --------
    >>> from momentum_lib.rules import ema, heavy_ball, qhm, torch_sgd
    >>> convert(heavy_ball.at(eta=0.5, gamma=0.75), ema)
    ema(eta=2, gamma=0.75)
    >>> convert(ema.at(eta=2.0, gamma=0.75), torch_sgd)
    torch_sgd(eta=0.5, gamma=0.75)
    >>> convert(qhm.at(alpha=1.0, beta=0.5, nu=0.25), heavy_ball)
    Traceback (most recent call last):
        ...
    ValueError: qhm(alpha=1, beta=0.5, nu=0.25) is no heavy_ball: heavy_ball is qhm(nu=1).
    """
    rule, to = refuse_frozen(rule), a_rule(to)
    if to != to.base:
        raise RuleError(f"convert finds the setting of {to.name}; give {to.name} instead of {to}.")
    if rule.base is to:
        return rule
    for end in (rule.base, to):
        if not any(end in pair for pair in CONVERSIONS):
            raise ValueError(f"CONVERSIONS has no map for {end.name}; identify({end.name}) says what it is.")
    given = rule.at(**{n: np.asarray(v) for n, v in rule.setting.items() if isinstance(v, tuple)})
    ways, refusals = members(given)
    if to not in ways:
        reason = refusals.get(to, "no map of CONVERSIONS leads there")
        raise ValueError(f"{rule} is no {to.name}: {reason.removesuffix(f', and this is {rule}')}.")
    made = ways[to][-1]
    if is_symbolic(*rule.setting.values()):
        return made
    queries, iterates = agree(given, made)
    if not queries:
        raise ValueError(
            f"{rule} is no {to.name}: the two part as soon as {' or '.join(rule.schedules)} changes; "
            "keep it constant."
        )
    kept = rule.promise is not None and (iterates or rule.promise.kind == "asymptotic")
    return made.promising(rule.promise) if kept else made


def convert_state(rule: Rule, to: Rule, state: Mapping[str, Any]) -> dict[str, Any]:
    """The slots with which `to` carries on where `rule` stands, as from a checkpoint.

    Computed from the two rules: the linear map that takes whatever gradients make of the one state to
    what they make of the other. Exact (tight) for letters that stay as they are.

    Parameters
    ----------
    rule, to : Rule
        As in `convert`; every letter one number.
    state : mapping of slot to number or array
        All slots of `rule`: `Run.state`.

    Returns
    -------
    dict of slot to number or array
        All slots of `to`, ready for ``run(..., start=...)``.

    Raises
    ------
    ValueError
        No conversion, other slots, letters that change, or a slot that `rule` has forgotten.

    Examples
    --------
    >>> from momentum_lib.rules import heavy_ball, torch_sgd
    >>> state = convert_state(heavy_ball.at(eta=0.5, gamma=0.75), torch_sgd, {"theta": 1.0, "v": 0.25})
    >>> {slot: round(value, 12) for slot, value in state.items()}
    {'theta': 1.0, 'b': 0.5}
    """
    made = convert(rule, to)
    if not isinstance(state, Mapping) or set(state) != set(rule.slots):
        slots = ", ".join(state) if isinstance(state, Mapping) else brief(state)
        raise ValueError(f"a state of {rule.name} maps {', '.join(rule.slots)}; got {slots}. Give Run.state.")
    if any(is_schedule(value) or np.ndim(value) for value in rule.setting.values()):
        raise ValueError(
            f"{rule} has letters that are not one number each; convert_state translates one setting."
        )
    count = max(len(rule.slots), len(made.slots))
    reach_a, reach_b = reached(rule, count), reached(made, count)
    # Each slot in units of what the gradients make of it: one step size may be 1e15 times another.
    unit_a, unit_b = (np.abs(reach).max(axis=1, keepdims=True) for reach in (reach_a, reach_b))
    unit_a, unit_b = (np.where(unit > 0, unit, 1.0) for unit in (unit_a, unit_b))
    reach_a, reach_b = reach_a / unit_a, reach_b / unit_b
    matrix = np.linalg.lstsq(reach_a.T, reach_b.T, rcond=None)[0].T
    missed = np.abs(matrix @ reach_a - reach_b).max(axis=1)
    for slot, gap in zip(made.slots, missed, strict=True):
        if gap > 1e-9:
            raise ValueError(
                f"{slot} of {made.name} does not follow from {', '.join(rule.slots)} of {rule.name}."
            )
    matrix[np.abs(matrix) < 1e-12 * np.abs(matrix).max()] = 0.0
    matrix *= unit_b / unit_a.T
    try:
        return {
            slot: sum(float(m) * state[n] for m, n in zip(row, rule.slots, strict=True))
            for slot, row in zip(made.slots, matrix, strict=True)
        }
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the state is {brief(state)}; give each slot a number or an array.") from None


def members(rule: Rule) -> tuple[dict[Rule, list[Rule]], dict[Rule, str]]:
    """Every shipped rule that reads the gradients of `rule`, by the way there, and why others do not.

    Returns
    -------
    ways, refusals
        For each rule found the settings that lead to it, `rule` first and its own last; for others the
        reason why a step of the way is closed.
    """
    ways: dict[Rule, list[Rule]] = {rule.base: [rule]}
    refusals: dict[Rule, str] = {}
    waiting = deque([rule])
    while waiting:
        here = waiting.popleft()
        for pair in CONVERSIONS:
            there = pair[pair[0] is here.base]
            if here.base in pair and there not in ways:
                made = _step(here, there)
                if isinstance(made, str):
                    refusals.setdefault(there, made)
                else:
                    ways[there] = [*ways[here.base], made]
                    waiting.append(made)
    return ways, refusals


def _step(rule: Rule, to: Rule) -> Rule | str:
    """One conversion, or the reason why there is none for this setting."""
    made = image(rule, to)
    # What the way back does not restore, the other rule cannot say.
    again = image(made, rule.base) if isinstance(made, Rule) else made
    if isinstance(again, str):
        return again
    off = {n: v for n, v in again.setting.items() if not _near(v, rule.setting[n])}
    return f"{to.name} is {rule.base.at(**off)}, and this is {rule}" if off else made


def image(rule: Rule, to: Rule, tidy: Callable[[Any], Any] = lambda value: value) -> Rule | str:
    """What the map between two rules makes of a setting, or the reason why it makes nothing.

    Parameters
    ----------
    rule, to : Rule
        A pair of `CONVERSIONS`, `rule` at a setting; its letters may be SymPy expressions.
    tidy : callable
        How such an expression is simplified.
    """
    there = (
        CONVERSIONS[rule.base, to].there
        if (rule.base, to) in CONVERSIONS
        else CONVERSIONS[to, rule.base].back
    )
    letters = {}
    for name in to.hyper:
        text = there.get(name, name)
        if text == name and name not in rule.setting:
            continue  # it keeps its default
        try:
            with np.errstate(all="ignore"):
                value = formula(text, rule.setting.__getitem__)
                letters[name] = value = value if is_schedule(value) else tidy(value)
                if not (is_schedule(value) or _near(value - value, 0)):
                    raise ZeroDivisionError
        except ZeroDivisionError:
            return f"{name} = {text} has no value at {rule}"
        except TypeError:  # arithmetic on a function
            return f"{name} is {text} there, and a schedule goes over as it is or not at all"
    return to.at(**{n: v for n, v in letters.items() if n not in to.defaults or not _near(v, to.defaults[n])})


def _near(a: Any, b: Any) -> bool:
    """Equal up to rounding; symbols exactly."""
    if a is b or is_schedule(a) or is_schedule(b):
        return a is b
    gap = a - b
    if is_symbolic(gap):
        import sympy

        return bool(gap == 0 or sympy.cancel(gap) == 0)
    return bool(np.all(np.abs(gap) <= 1e-9 * np.abs(b) + 1e-12))


def agree(a: Rule, b: Rule) -> tuple[bool, bool]:
    """Whether two runs on the same gradients read the same points, and report the same.

    For schedules stand values with nothing special about them, the same in both where it is one schedule.
    """
    tables = {
        id(v): (lambda t, k=k: 0.2 + math.sin(t + k) ** 2 / 2) for k, v in enumerate(a.schedules.values())
    }

    def follow(rule: Rule) -> tuple[list[Any], list[Any]]:
        clock = Clock(rule.at(**{n: tables[id(v)] for n, v in rule.schedules.items()}))
        queries: list[Any] = []
        thetas: list[Any] = []
        state: tuple[Any, ...] = rule.init(0.0)
        for t in range(1, len(a.slots) + len(b.slots) + 3):

            def grad(x: Any, push: float = math.sin(t * t)) -> float:
                queries.append(x)
                return push

            state = clock.advance(state, grad, t)
            thetas.append(state[0])
        return queries, thetas

    def close(seen: list[Any], other: list[Any]) -> bool:
        size = max(np.max(np.abs(x), initial=0) for x in seen)
        pairs = zip(seen, other, strict=False)
        return len(seen) == len(other) and all(np.all(np.abs(x - y) <= 1e-9 * size) for x, y in pairs)

    (queries_a, thetas_a), (queries_b, thetas_b) = follow(a), follow(b)
    return close(queries_a, queries_b), close(thetas_a, thetas_b)


def reached(rule: Rule, count: int) -> Any:
    """The states that one gradient of 1 leads to after 1, 2, ..., `count` steps, as columns."""
    drift, kick = (np.asarray(part, float) for part in probe(rule)[:2])
    columns = [kick[:, 0]]
    for _ in range(count - 1):
        columns.append(drift @ columns[-1])
    return np.stack(columns, axis=1)


# --- formulas in text ---------------------------------------------------------------------------------

_OPERATORS: Final[dict[type, Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def formula(text: str, letter: Callable[[str], Any], number: Callable[[Any], Any] = lambda n: n) -> Any:
    """The value of a formula in names, numbers, + - * / ** and parentheses.

    The text is walked, never evaluated: nothing in it can run.

    Parameters
    ----------
    text : str
    letter, number : callable
        What stands for a name, and for a number.

    Raises
    ------
    RuleError
        Anything else in the text: a call, an attribute, a comparison, a power beyond 99.

    Examples
    --------
    >>> formula("eta/(1 - gamma)", {"eta": 1.0, "gamma": 0.5}.__getitem__)
    2.0
    """
    refusal = RuleError(f"{text!r} is no formula; write names, numbers, + - * / ** and parentheses.")

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Name():
                return letter(node.id)
            case ast.Constant() if type(node.value) in (int, float):
                return number(node.value)
            case ast.UnaryOp() if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](value(node.operand))
            case ast.BinOp() if type(node.op) in _OPERATORS:
                left, right = value(node.left), value(node.right)
                if isinstance(node.op, ast.Pow) and (_beyond(right, 99) or _beyond(left, 10**6)):
                    raise refusal  # 9**9**9 would fill the memory
                return _OPERATORS[type(node.op)](left, right)
        raise refusal

    try:
        return value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise refusal from None


def _beyond(value: Any, most: int) -> bool:
    return bool(getattr(value, "is_number", isinstance(value, int | float)) and abs(value) > most)
