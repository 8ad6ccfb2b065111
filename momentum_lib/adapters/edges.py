"""What all edges share: one number a letter, and one sentence where a gradient is missing."""

from __future__ import annotations

import functools

from momentum_lib.clock import real
from momentum_lib.definition import Rule, RuleError

__all__ = ["look_ahead_refused", "names_elsewhere", "one_number"]


#: A letter as one number, where a library knows no grids; what is not finite shows in the run.
one_number = functools.partial(real, finite=False)


def names_elsewhere(rule: Rule, step: str, momentum: str) -> dict[str, str]:
    """What a framework calls the step size and the momentum of a rule, by letter.

    A letter that bears such a name itself keeps it; where several share a part, none is renamed.
    """
    pairs = ((step, rule.step_letters), (momentum, rule.momentum_letters))
    return {some[0]: name for name, some in pairs if len(some) == 1 and name not in rule.hyper}


def look_ahead_refused(rule: Rule, remedy: str) -> RuleError:
    """Say that a rule wants the gradient where it is not at hand, and what to do."""
    where = rule.card.get("Gradient read at", "a point of its own")
    return RuleError(
        f"{rule.name} reads the gradient at {where}, and only the one at theta is at hand; {remedy}, or take "
        "a rule that reads it at theta (torch_nesterov is nesterov seen from its look-ahead point)."
    )
