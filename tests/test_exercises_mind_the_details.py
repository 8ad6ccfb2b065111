"""Checks of notebook 09: right answers and their roundings, confusions by name, junk never raises."""

import numpy as np
import pytest

from momentum_lib import exercises, run, step_schedule
from momentum_lib.exercises.verdict import Verdict

ETA = step_schedule([0.1, 0.01], [10])


def carry_on(forget=(), shift=0, extra=0):
    """Go on from a state, having forgotten slots, counted wrongly, or gone on for too long."""

    def go_on(rule, grad, state, done, steps):
        kept = {n: x for n, x in state.items() if n not in forget}
        return run(rule, grad, None, steps + extra, start=kept, t0=done + shift).theta[-1]

    return go_on


@pytest.mark.parametrize(
    ("check", "answer", "hint"),
    [
        ("safe_eta", 0.025, None),
        ("safe_eta", 0.0249, None),
        ("safe_eta", 0.0251, "first step"),
        ("safe_eta", 0.9, "first step"),
        ("safe_eta", 0.975, "heavy ball diverges"),
        ("safe_eta", 0.0125, "room"),
        ("safe_eta", 0.013125, "proved for every function"),
        ("safe_eta", 0, "positive"),
        ("carry_on", carry_on(), None),
        ("carry_on", carry_on(forget=("v", "b")), "lost its velocity: start"),
        ("carry_on", carry_on(forget=("v", "b"), shift=-7), "lost its velocity: start"),
        ("carry_on", carry_on(shift=-7), "count anew"),
        ("carry_on", carry_on(shift=1), "one step late"),
        ("carry_on", carry_on(extra=7), "too many steps"),
        ("carry_on", carry_on(extra=-1), "should end at"),
        ("carry_on", lambda rule, grad, state, done, steps: None, "return"),
        ("follow", lambda t: 0.9 * ETA(t) / ETA(max(t - 1, 1)), None),
        ("follow", lambda t: 0.9, "step 11"),
        ("follow", lambda t: 0.9 * ETA(max(t - 1, 1)) / ETA(t), "turn the quotient"),
        ("follow", lambda t: 0.9 * ETA(t) / 0.1, "only the step at the drop"),
        ("follow", lambda t: 0.9 * ETA(t + 1) / ETA(t), "step 10"),
        ("follow", lambda t: float("inf"), "finite"),
    ],
)
def test_answers(check, answer, hint):
    verdict = getattr(exercises, f"check_{check}")(answer)
    assert bool(verdict) == (hint is None)
    assert (hint or "") in verdict.text


@pytest.mark.parametrize("check", ["safe_eta", "carry_on", "follow"])
@pytest.mark.parametrize(
    "junk",
    [
        None,
        "much",
        float("nan"),
        float("inf"),
        -1,
        [1, 2],
        np.zeros((2, 3)),
        10**400,
        lambda: 0,
        lambda t: 1 / 0,
    ],
)
def test_junk_gets_a_hint(check, junk):
    verdict = getattr(exercises, f"check_{check}")(junk)
    assert isinstance(verdict, Verdict) and not verdict
