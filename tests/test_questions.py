"""The page of questions: every answer runs on its own, and every link and work cited leads somewhere."""

import doctest
import functools
import re
from pathlib import Path

import pytest

from momentum_lib.collection import Notebook

PAGE = Path(__file__).resolve().parent.parent / "notebooks" / "questions_people_ask.md"
HEAD, *SECTIONS = re.split(r"^(?=### )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
QUESTIONS = {text.splitlines()[0].removeprefix("### "): text for text in SECTIONS}


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def prose(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def slug(heading):
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@functools.cache
def headings(path):
    """The title of a notebook and its second-level headings."""
    return [Notebook(path).title, *Notebook(path).headings]


every_question = pytest.mark.parametrize("question", QUESTIONS)


@every_question
def test_an_answer_runs_on_its_own_and_prints_a_number(question):
    (block,) = blocks(QUESTIONS[question])
    example = doctest.DocTestParser().get_doctest(block, {}, question, PAGE.name, None)
    assert not doctest.DocTestRunner(verbose=False).run(example).failed
    assert any(re.search(r"\d", shown.want) for shown in example.examples)
    assert all(len(line) <= 88 for line in block.splitlines() if line.startswith((">>>", "...")))


@every_question
def test_an_answer_is_short_and_names_a_section_that_shows_more(question):
    text = prose(QUESTIONS[question])
    answer, _, more = text.partition("\nMore: ")
    assert 15 <= len(answer.split()) - len(question.split()) <= 75
    links = re.findall(r"\[((?:[^][]|`[^`]*`)+)\]\(([^)]+)\)", more)
    assert links
    for shown, target in links:
        number, section = shown.split(" · ", 1)
        assert target.startswith(f"{number}_")
        assert section in headings(PAGE.parent / target), f"{target} has no section {section!r}"


@every_question
def test_every_decimal_of_an_answer_is_computed_or_set_in_its_block(question):
    (block,) = blocks(QUESTIONS[question])
    told = re.findall(r"\d*\.\d+", prose(QUESTIONS[question]).partition("\nMore: ")[0])
    assert {float(n) for n in told} <= {float(n) for n in re.findall(r"\d*\.\d+", block)}


def test_the_index_lists_every_question_in_order_under_its_group():
    body = "".join((HEAD, *SECTIONS))
    groups = re.findall(r"^##(#?) (.+)$", prose(body), flags=re.MULTILINE)
    shown = re.findall(r"^(?:\*\*(.+)\*\*|- \[(.+)\]\(#(.+)\))$", HEAD, flags=re.MULTILINE)
    assert len(QUESTIONS) >= 20
    assert [(bool(question), group or question) for group, question, _ in shown] == [
        (bool(deep), heading) for deep, heading in groups
    ]
    assert all(anchor == slug(question) for _, question, anchor in shown if question)
    assert len({*map(slug, QUESTIONS)}) == len(QUESTIONS)
