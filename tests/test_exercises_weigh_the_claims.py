"""The checks of notebook 15 take what the solutions print and name the confusions; links find sections."""

import re
from pathlib import Path

import pytest

from momentum_lib import Rule, adam, exercises, gradient_descent, heavy_ball, nesterov, qhm
from momentum_lib.collection import Notebook, output_texts

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def eager(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta / (1 - gamma) * grad(theta)
    return theta - v, v


def eager_outside(theta, v, grad, *, eta, gamma):
    v = gamma * v + grad(theta)
    return theta - eta / (1 - gamma) * v, v


def memoryless(theta, grad, *, eta, gamma):
    return theta - eta * (1 + gamma) * grad(theta)


def half(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta / (1 - gamma) * grad(theta)
    return theta - v / 2, v


def wavering(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * (1 + 20 * gamma * gamma * (gamma - 1 / 2)) * grad(theta)
    return theta - v, v


@pytest.mark.parametrize(
    "check, right",
    [
        (exercises.check_same_floor, 0.010244),
        (exercises.check_same_floor, 0.0102),
        (exercises.check_true_sentence, Rule(eager)),
        (exercises.check_true_sentence, Rule(eager_outside)),
    ],
)
def test_right_answer(check, right):
    assert check(right)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_same_floor, 0.1, "times the wanted one"),
        (exercises.check_same_floor, 0.01, "2.4 %"),
        (exercises.check_same_floor, 0.001, "counted twice"),
        (exercises.check_same_floor, 0.0105, "times the wanted one"),
        (exercises.check_same_floor, 5.0, "unstable"),
        (exercises.check_true_sentence, heavy_ball, "grows: 2, 3, 3.8"),
        (exercises.check_true_sentence, nesterov, "not by half"),
        (exercises.check_true_sentence, Rule(memoryless), "stands still"),
        (exercises.check_true_sentence, Rule(half), "with the limit 2"),
        (exercises.check_true_sentence, Rule(wavering), "all the way"),
        (exercises.check_true_sentence, gradient_descent, "must be open"),
        (exercises.check_true_sentence, qhm, "must be open"),
        (exercises.check_true_sentence, heavy_ball.at(eta=1.0, gamma=0.9), "must be open"),
        (exercises.check_true_sentence, adam, "must be open"),
        (exercises.check_true_sentence, eager, "@rule"),
    ],
)
def test_wrong_answer_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("junk", [None, "x", float("nan"), [], {}, True, -1, 0, 1e300, lambda: 1])
@pytest.mark.parametrize("name", ["check_same_floor", "check_true_sentence"])
def test_junk_never_raises(name, junk):
    assert not getattr(exercises, name)(junk)


def test_every_claim_links_to_a_section_that_exists():
    (file,) = NOTEBOOKS.glob("15_*.ipynb")
    shown = "\n".join(text for cell in Notebook(file).content["cells"] for text in output_texts(cell))
    rows = re.findall(r"^\| \d+ \|.*\[.*\]\((.+?)(?:#(.+))?\) \|$", shown, flags=re.MULTILINE)
    assert len(rows) >= 30
    lost = []
    for name, anchor in rows:
        headings = {heading.replace(" ", "-") for heading in Notebook(NOTEBOOKS / name).headings}
        if anchor not in headings:
            lost.append(f"{name}#{anchor}")
    assert lost == []
