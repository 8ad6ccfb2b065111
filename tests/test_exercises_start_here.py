"""Checks of notebook 00."""

from momentum_lib import Rule, exercises, heavy_ball, tune


def test_hand_tuned() -> None:
    best = tune(heavy_ball, 0.01, 1.0).setting
    assert exercises.check_hand_tuned(best["eta"], best["gamma"])
    assert not exercises.check_hand_tuned(best["eta"], 0.78), "a near miss"
    assert not exercises.check_hand_tuned(1.0, 0.5)
    assert "2(1 + gamma)" in exercises.check_hand_tuned(3.1, 0.5).text
    assert not exercises.check_hand_tuned("fast", None)  # type: ignore[arg-type]


def test_half_ahead() -> None:
    ahead = Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta - eta / 2 * grad(theta)),), name="a")
    plain = Rule(lambda theta, grad, *, eta: (theta - eta * grad(theta),), name="b")
    far = Rule(lambda theta, grad, *, eta: (theta - grad(theta - eta / 2 * grad(theta)),), name="c")
    assert exercises.check_half_ahead(ahead)
    assert "inner gradient" in exercises.check_half_ahead(plain).text
    assert "step itself" in exercises.check_half_ahead(far).text
    assert not exercises.check_half_ahead(0)  # type: ignore[arg-type]
