"""The checks know a right answer in its forms and roundings, name each confusion, and take anything."""

import re
from pathlib import Path

import numpy as np
import pytest

from momentum_lib import RULES, Rule, exercises, gradient_descent
from momentum_lib.collection import Notebook, output_texts
from momentum_lib.course.bank import bank
from momentum_lib.exercises.verdict import Verdict

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
BANK = bank()
CHECKS = [name for name in dir(exercises) if name.startswith("check_")]


def fails(*_, **__):
    raise ArithmeticError("no")


def junk_rule(value):
    @Rule
    def made(theta, v, grad, *, eta, gamma):
        grad(theta)
        return value, v

    return made


JUNK = [
    None, "x", float("nan"), float("inf"), -1, -1.0, 0, 1j, True, 1e300, 10**400, [], {}, [0.1], [1, 2],
    np.zeros((2, 3)), np.ones((2, 3)), len, fails, lambda: 0, lambda t: 1 / 0, lambda gamma: None,
    *(lambda *_, value=value: value for value in (None, "x", np.nan, np.inf, np.zeros((2, 3)), 0, -1)),
    gradient_descent, junk_rule(np.inf), junk_rule(None),
]  # fmt: skip


def test_every_check_has_its_answers():
    assert sorted(BANK) == sorted(name.removeprefix("check_") for name in CHECKS)
    assert all(answers.right and len(answers.wrong) > 2 for answers in BANK.values())


@pytest.mark.parametrize("check, answer", [(a.check, text) for a in BANK.values() for text in a.right])
def test_a_right_answer_is_right_in_each_of_its_forms(check, answer):
    verdict = BANK[check].verdict(answer)
    assert verdict, verdict


@pytest.mark.parametrize(
    "check, answer, hint", [(a.check, *wrong) for a in BANK.values() for wrong in a.wrong]
)
def test_a_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = BANK[check].verdict(answer)
    assert not verdict and any(part in repr(verdict) for part in hint.split("|")), verdict


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("junk", JUNK, ids=map(str, range(len(JUNK))))
def test_no_check_raises_or_calls_junk_right(check, junk):
    asked = {"check_hand_tuned": [(junk, 0.5), (1.0, junk)], "check_disguise": [(junk, 0.5), (1.0, junk)]}
    for answer in asked.get(check, [(junk,) * (3 if check == "check_halfway_letters" else 1)]):
        verdict = getattr(exercises, check)(*answer)
        assert isinstance(verdict, Verdict) and not verdict and repr(verdict).startswith("Not yet")


@pytest.mark.parametrize("far", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("eta", [None, 0.02])
def test_any_rule_between_the_two_is_right(far, eta):
    @Rule
    def looking(theta, v, grad, *, eta, gamma):
        v = gamma * v + eta * grad(theta - far * gamma * v)
        return theta - v, v

    assert exercises.check_between(looking if eta is None else looking.at(eta=eta, gamma=0.9))


def test_guess_agrees_with_drawn_products():
    x, y = np.random.default_rng(0).uniform(0, 1, (2, 1_000_000))
    assert exercises.check_guess(float(np.mean(abs(x * y - 0.25) > 0.04)))


def test_the_rules_of_the_bank_stay_out_of_the_registry():
    before = set(RULES)
    for answers in BANK.values():
        answers.verdict(answers.right[0])
    assert set(RULES) == before


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
