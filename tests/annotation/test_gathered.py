"""A version of many pairs reads what they say in the order of the disk: the same rows as when each
is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotation.freezing import contents
from annotation.freezing.content import tables_of
from annotation.freezing.keep import kept_selection
from annotation.freezing.load import load, texts_of
from annotation.freezing.select import select
from annotation.recipe import Recipe
from steelyard.lib import records
from steelyard.lib.errors import UserError
from tests import factories
from tests.annotation_pure.test_golden_versions import fill

pytestmark = pytest.mark.django_db(transaction=True)


def test_gathered_rows_are_those_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = factories.make_project(modality="video")
    fill(project)
    project.prompts.filter(category="c0").update(reference_answer="It is “so”.")
    factories.make_judgment(factories.make_pair(factories.make_project()))
    monkeypatch.setattr(contents, "MANY", 1)
    for group, most in ((4096, 128), (7, 128), (7, 2)):
        monkeypatch.setattr(records, "GROUP_ROWS", group)
        monkeypatch.setattr(contents, "_MOST_BINS", most)
        for recipe in (Recipe(ties="half"), Recipe(aggregation="per_vote", annotators="both")):
            whole = rows(project, recipe)
            assert {row["reference_answer"] for row in whole} == {"", "It is “so”."}
            assert rows(project, recipe, folder=tmp_path) == whole
            assert rows(project, recipe, folder=tmp_path, start=14) == whole[14:]
    assert not list(tmp_path.iterdir())


def test_what_is_gathered_while_votes_are_decided_makes_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = factories.make_project()
    fill(project)
    monkeypatch.setattr(records, "GROUP_ROWS", 7)
    for number, recipe in enumerate((Recipe(ties="keep"), Recipe(ties="drop", min_votes=2))):
        whole = rows(project, recipe)
        monkeypatch.setattr(contents, "MANY", 1)
        folder = tmp_path / str(number)
        folder.mkdir()
        selection, names, source = kept_selection(folder, project, recipe)
        said = {"project": project, "recipe": recipe, "selection": selection, "names": names}
        assert source
        tables = tables_of(**said, source=source)
        assert [row for table in tables for row in table.to_pylist()] == whole
        assert kept_selection(folder, project, recipe)[2] is None
        monkeypatch.undo()
        monkeypatch.setattr(records, "GROUP_ROWS", 7)


def test_nothing_is_left_where_a_recipe_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = factories.make_project()
    fill(project)
    monkeypatch.setattr(contents, "MANY", 1)
    with pytest.raises(UserError):
        kept_selection(tmp_path, project, Recipe(min_votes=99))
    assert not list(tmp_path.iterdir())


def rows(project: Any, recipe: Recipe, **how: Any) -> list[dict[str, Any]]:
    material = load(project, recipe)
    selection = select(**vars(material), recipe=recipe, texts=texts_of)
    said = {"project": project, "recipe": recipe, "selection": selection, "names": material.names}
    return [row for table in tables_of(**said, **how) for row in table.to_pylist()]
