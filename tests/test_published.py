"""Published numbers: read right, compared right, recorded."""

import json
import math
import re

import pytest

from momentum_lib import published
from momentum_lib.cli import _print_table


@pytest.fixture
def records(tmp_path, monkeypatch):
    file = tmp_path / "records"
    monkeypatch.setenv("MOMENTUM_RECORDS", str(file))
    monkeypatch.setenv("MOMENTUM_NOTEBOOK", "11_leave_the_quadratic")
    return lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("entry", published.entries().values(), ids=lambda entry: entry.id)
def test_every_entry_says_what_where_and_how_it_is_known(entry):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*", entry.id)
    assert entry.what and "; " in entry.source
    assert entry.read in ("source", "abstract", "recalled")
    if entry.tolerance is None:
        assert entry.evidence in ("setting", "measured")
    else:
        assert 0 < entry.tolerance <= 0.01 and entry.evidence in ("proved", "computed")


def test_fractions_are_exact_and_tables_are_named():
    assert published.value("lessard-2016/cycle-q") == -2208 / 1225
    assert published.value("goh-2017/eigenvalues") == (0.01, 0.1, 1.0)
    assert published.value("sutskever-2013/table-5-add")["0.995N"] == 0.00025


def test_agreement_is_recorded(records):
    published.check("pepit/heavy-ball", 0.7534931)
    (record,) = records()
    assert record == {
        "id": "pepit/heavy-ball",
        "published": 0.753493,
        "here": 0.7534931,
        "tolerance": 2e-6,
        "verdict": "agrees",
        "notebook": "11_leave_the_quadratic",
    }


@pytest.mark.parametrize("here", [0.7535, math.nan, math.inf])
def test_a_difference_raises_and_is_recorded(records, here):
    message = r"pepit/heavy-ball .* published 0\.753493, here .* tolerance 2e-06"
    with pytest.raises(AssertionError, match=message):
        published.check("pepit/heavy-ball", here)
    assert [record["verdict"] for record in records()] == ["differs"]


def test_sequences_are_compared_number_by_number(records):
    published.check("zhang-2023/momentum-0-5", (0.007188, 0.002553))
    with pytest.raises(AssertionError, match=r"\(0\.007188, 0\.002553\)"):
        published.check("zhang-2023/momentum-0-5", (0.007188, math.nan))
    with pytest.raises(ValueError, match="has 2 numbers, got 1"):
        published.check("zhang-2023/momentum-0-5", 0.007188)


def test_unknown_ids_get_near_names():
    with pytest.raises(ValueError, match="did you mean .*lessard-2016/cycle-p"):
        published.check("lessard/cycle-p", 0.6)
    with pytest.raises(ValueError, match="the ids stand in"):
        published.value("zzz")


def test_a_measured_result_is_shown_not_checked(records):
    with pytest.raises(ValueError, match="without tolerance"):
        published.check("sutskever-2013/table-1-mnist", [1.0] * 11)
    assert records() == []


def test_a_number_that_is_recalled_says_so_where_it_is_shown(capsys):
    ids = "su-2016/damping", "lessard-2016/cycle-p"
    record = {"published": 1.0, "here": 1.0, "tolerance": 0.1, "verdict": "agrees"}
    _print_table([record | {"id": id} for id in ids])
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith(ids)]
    assert [line.partition("agrees")[2] for line in shown] == [" with what is recalled, not read", ""]
