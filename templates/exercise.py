"""An exercise: its check, right answers in several forms, wrong ones with a word of their hint.

The check moves to ``momentum_lib/exercises/NAME.py`` under the notebook's name, its line to ``__init__.pyi``
there, the answers to ``NAME.toml`` beside it; the task, a cell that runs, a check cell and a folded solution
go into the notebook. A number that each student may have alone is a keyword of the check.
"""

from momentum_lib import heavy_ball, stability_limit
from momentum_lib.exercises import checked


@checked("twice 1 + gamma: momentum makes room.")
def check_my_limit(limit: float, *, gamma: float = 0.5) -> str | None:
    """Whether `limit` is the largest stable eta lam of heavy ball at `gamma`."""
    exact = float(stability_limit(heavy_ball.at(gamma=gamma)))
    if abs(limit / exact - 1) < 1e-3:
        return None
    if abs(limit - 2) < 1e-3:
        return "that is gradient descent's; the velocity moves the limit."
    side = "diverges" if limit > exact else "converges, and so does more"
    return f"at eta lam = {limit:g} it {side}."


RIGHT = [3, 3.0, 2 * (1 + 0.5)]
WRONG = [(2, "gradient descent's"), (3.5, "diverges"), (2.5, "so does more"), ("x", "could not be used")]

if __name__ == "__main__":
    assert all(check_my_limit(answer) for answer in RIGHT)
    assert check_my_limit(3.8, gamma=0.9)
    for answer, hint in WRONG:
        verdict = check_my_limit(answer)
        assert not verdict and hint in verdict.text, verdict
        print(f"{answer!r}: {verdict}")
