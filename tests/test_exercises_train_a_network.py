"""The checks of notebook 13: right is right, the working default is not, junk gets a hint."""

import pytest

from momentum_lib import exercises


@pytest.mark.parametrize(
    "check, right, default",
    [
        (exercises.check_pace, 10, 250),
        (exercises.check_edge, 0.095, 0.05),
        (exercises.check_first_try, 0.025, 0.5),
    ],
    ids=["pace", "edge", "first_try"],
)
def test_check(check, right, default):
    assert check(right)
    assert not check(default)
    for junk in (None, "x", [], {}, lambda: 0, float("nan")):
        assert not check(junk)


def test_hints_name_what_is_wrong():
    assert "40.8%" in exercises.check_pace(250).text and "1.6%" in exercises.check_pace(250).text
    assert "gradient descent's" in exercises.check_edge(0.05).text
    assert "a sharpness of 38." in exercises.check_edge(0.1).text
    assert "20 times as far" in exercises.check_first_try(0.5).text
