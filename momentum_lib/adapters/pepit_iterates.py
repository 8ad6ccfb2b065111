"""Edge to PEPit: the worst case of a rule over a whole class of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from momentum_lib.adapters.edges import one_number
from momentum_lib.clock import Clock, count_of
from momentum_lib.definition import Rule, RuleError

__all__ = ["as_pepit"]


def as_pepit(rule: Rule) -> Callable[..., list[Any]]:
    """Turn a rule into ``iterates(function, start, steps)`` on PEPit's points.

    The rule's own lines run on PEPit's symbols, so the worst case is that of the rule and of nothing
    retyped. The list returned holds the reported iterates theta_0, ..., theta_steps as PEPit points.
    Declare the class of functions, the initial condition and the performance metric with PEPit, and solve
    with ``solver="CLARABEL"``: the solver taken by default misses the fourth digit of some values. Where
    CLARABEL warns that a solution may be inaccurate (triple momentum over four steps), ask it for 1e-7 and
    not for its 1e-8: ``solve(solver="CLARABEL", tol_gap_abs=1e-7, tol_gap_rel=1e-7, tol_feas=1e-7)``.

    Parameters
    ----------
    rule : Rule
        At its setting, each letter a number or a function of t (1 on the first step). Linear rules only:
        PEPit's points add up and scale.

    Returns
    -------
    callable
        ``iterates(function, start, steps)``: `function` from ``PEP.declare_function``, `start` from
        ``PEP.set_initial_point``.

    Raises
    ------
    RuleError
        What is no rule, an open letter, or a step that PEPit's points cannot carry.

    Examples
    --------
    Worst f(theta_2) - f* of heavy ball, of all functions with curvature between mu and L that start at
    most 1 above their minimum; the analytic upper bound is (1 - eta mu)^2 = 0.9025.

    >>> from PEPit import PEP
    >>> from PEPit.functions import SmoothStronglyConvexFunction
    >>> from momentum_lib import heavy_ball
    >>> problem = PEP()
    >>> f = problem.declare_function(SmoothStronglyConvexFunction, mu=0.1, L=1.0)
    >>> minimizer, start = f.stationary_point(), problem.set_initial_point()
    >>> problem.set_initial_condition(f(start) - f(minimizer) <= 1)
    >>> theta = as_pepit(heavy_ball.at(eta=0.5, gamma=(0.95 * 0.5) ** 0.5))(f, start, 2)
    >>> problem.set_performance_metric(f(theta[-1]) - f(minimizer))
    >>> round(problem.solve(solver="CLARABEL", verbose=0), 4)
    0.7535
    """
    clock = Clock(rule, one_number)  # PEPit's points refuse NumPy's numbers

    def iterates(function: Any, start: Any, steps: int) -> list[Any]:
        state = rule.init(start)
        theta = [state[0]]
        for t in range(1, count_of("steps", steps) + 1):
            try:
                state = clock.advance(state, function.gradient, t)
            except RuleError:
                raise
            except (TypeError, AssertionError) as error:
                raise RuleError(
                    f"{rule.name} does more than add and scale points, and PEPit's points can no more "
                    f"({error}); write it in arithmetic, or use run on examples."
                ) from error
            theta.append(state[0])
        return theta

    iterates.__name__ = iterates.__qualname__ = f"{rule.name}_iterates"
    return iterates
