"""The labelled reports and the measure: what counts as right, a split that never changes, a floor under the figures."""

import pytest

from repro.truth.__main__ import main
from repro.truth.cases import Case, load
from repro.truth.measure import ask_package, judge, score


def _case(label="low-free-vram", acceptable=("undetermined",)):
    return Case("a", "https://example.org/1", label, frozenset([label, *acceptable]), "high", "log")


def _answer(*names, confidence="medium"):
    return {"causes": [{"id": name, "confidence": confidence} for name in names], "program": {"framework": "cupy"}}


@pytest.mark.parametrize(
    ("names", "accepted", "named", "exact", "within_three"),
    [
        (("low-free-vram",), True, True, True, True),
        (("undetermined", "low-free-vram"), True, False, False, True),
        (("zluda", "a", "low-free-vram"), False, False, False, True),
        (("zluda", "a", "b", "low-free-vram"), False, False, False, False),
    ],
)
def test_what_counts_as_right(names, accepted, named, exact, within_three):
    """First, named, exact, within three: "undetermined" is accepted where it fits, and is no name."""
    judged = judge(_case(), _answer(*names))
    assert (judged.accepted, judged.named, judged.exact, judged.within_three) == (accepted, named, exact, within_three)


def test_wrong_at_high_confidence_is_counted():
    """A wrong answer weighs only if it was sure."""
    sure, unsure = (judge(_case(), _answer("zluda", confidence=confidence)) for confidence in ("high", "medium"))
    assert score([sure, unsure]).overconfident == 1
    assert score([sure, unsure]).accepted == 0


def test_the_split_is_fixed_and_about_a_third_is_kept():
    """A thread is always on the same side, whatever other cases there are."""
    cases = list(load())
    kept = [case for case in cases if case.part == "kept"]
    assert len(cases) == 112
    assert 0.25 < len(kept) / len(cases) < 0.42
    assert _case().part == "seen"
    assert all(case.url.startswith("https://") for case in cases)


def test_the_figures_do_not_fall():
    """Established cases of both parts: accepted first 92 %, named 85 %, within three 97 %, none sure and wrong."""
    judged = [judge(case, ask_package(case.log)) for case in load()]
    for part in ("seen", "kept"):
        found = score(one for one in judged if one.established and one.part == part)
        assert found.accepted >= 0.92, part
        assert found.named >= 0.85, part
        assert found.within_three >= 0.97, part
        assert found.overconfident == 0, part


def test_the_tool_prints_both_parts_and_writes_a_result(tmp_path, monkeypatch, capsys):
    """A line for each part, and a results file of kind "truth" for the report."""
    monkeypatch.setattr("sys.argv", ["truth", "--results", str(tmp_path)])
    assert main() == 0
    out = capsys.readouterr().out
    assert "established, seen:" in out
    assert "established, kept:" in out
    assert (tmp_path / "truth.json").exists()
