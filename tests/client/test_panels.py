"""Judges brought together by script: juries, draws for people, and what reasons are about."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard_client import Invalid, Project
from tests import factories


def test_judges_are_brought_together(mine: Project, project: Any) -> None:
    judges = [factories.make_annotator(project, name, kind="judge") for name in ("x", "y")]
    factories.make_annotator(project, "rater")
    for number in range(12):
        pair = factories.make_pair(project)
        reason = "It is shorter." if number % 2 else "It names its source."
        for judge, outcome in zip(judges, ("a", "ab"[number % 2]), strict=True):
            factories.make_judgment(pair, outcome, annotator=judge, rationale=reason)
    jury = mine.add_jury("both", ["x", "y"], note="Of two")
    assert (jury.pairs, [one.name for one in jury.members]) == (12, ["x", "y"])
    assert all(one.weight is not None and one.votes == 12 for one in jury.members)
    assert [one.note for one in mine.juries()] == ["Of two"]
    assert "both" in [judge.name for judge in mine.judges()]

    draw = mine.route(["x", "y"], base=0.02, slope=0.9, seed=3)
    assert [one.id for one in mine.routings()] == [draw.id]
    rows = list(mine.routed(draw))
    assert (
        (len(rows), sum(row.drawn for row in rows)) == (draw.pairs, draw.drawn) == (12, draw.drawn)
    )
    assert {row.probability for row in rows} == {0.02, 0.92}
    assert draw.covered == {"x": 12, "y": 12}

    told = mine.reasons(by="judges")
    assert (told.read, sum(theme.count for theme in told.themes) > 0) == (24, True)
    assert all(theme.side_unknown == 0 for theme in told.themes)
    assert mine.reasons(outcome="tie").themes == []
    with pytest.raises(Invalid, match="no judge called “rater”"):
        mine.route(["rater"])


def test_a_judge_is_shown_to_people_and_explains_their_verdicts(
    mine: Project, project: Any
) -> None:
    model = factories.make_model(
        project, "far", family="endpoint", source="http://127.0.0.1:9/v1", options={"model": "m"}
    )
    factories.make_annotator(project, "x", kind="judge", model=model, criteria="Be right.")
    assert mine.show_prelabels("x", share=60)["share"] == 60
    assert mine.show_prelabels(None)["judge"] is None
    with pytest.raises(Invalid, match="no verdict of people left"):
        mine.explain_verdicts("x")
    factories.make_judgment(factories.make_pair(project), "a")
    assert mine.explain_verdicts("x", "specific").info.kind == "explain"
