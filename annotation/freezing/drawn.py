"""Several projects as one: whose votes a version has, and what is the same in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from annotation.freezing.select import Names, Pairs, Selection, Votes
from annotation.models import Annotator, Prompt
from annotation.recipe import Recipe
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

T = TypeVar("T", Pairs, Votes)


def drawn_from(project: Project, recipe: Recipe) -> list[Project]:
    """The projects that a recipe draws from, in the order of their names in URLs; of most recipes
    its home alone."""
    if not recipe.projects:
        return [project]
    found = Project.objects.filter(slug__in={project.slug, *recipe.projects})
    # the interpreter's order, for a database's depends on the language that it was made with
    return sorted(found, key=lambda one: one.slug)


def names_of(projects: Sequence[Project]) -> Names:
    of = {one.pk: one.slug for one in projects}
    annotators = list(Annotator.objects.filter(project__in=of).order_by("name", "pk"))
    if len(projects) > 1:
        annotators.sort(key=lambda one: (one.name, of[one.project_id]))
    models = ModelVersion.objects.filter(project__in=of)
    categories = Prompt.objects.filter(project__in=of).order_by()
    return Names(
        annotators={one.pk: one.name for one in annotators},
        kinds={one.pk: one.kind for one in annotators},
        models=dict(models.values_list("pk", "name")),
        categories=sorted(categories.values_list("category", flat=True).distinct()),
        projects=[one.slug for one in projects],
    )


def as_one(
    parts: Sequence[tuple[Pairs, Votes]], names: Names, held_out: np.ndarray
) -> tuple[Pairs, Votes]:
    """Those of several projects together: of one key in two of them the row of the first project
    comes first, a prompt that both have is one prompt, and so is a model of one name.

    Args:
        parts: of each project, in the order of the projects.
        held_out: the keys of the prompts that any of the projects holds out. None of them may be
            trained on, whichever project has forgotten to set it aside.
    """
    found = _together([pairs for pairs, _votes in parts]).sorted()
    _, first, place = np.unique(found.prompt_key, return_index=True, return_inverse=True)
    found.prompt = found.prompt[first][place.reshape(-1)]
    found.held_out |= np.isin(found.prompt_key, held_out)
    found.model_a, found.model_b = (_by_name(pks, names) for pks in (found.model_a, found.model_b))
    return found, _together([votes for _pairs, votes in parts])


def _together(parts: Sequence[T]) -> T:
    columns = [field.name for field in fields(parts[0])]
    return type(parts[0])(*(np.concatenate([getattr(p, name) for p in parts]) for name in columns))


def _by_name(models: np.ndarray, names: Names) -> np.ndarray:
    """For each model the first one of its name, by primary keys."""
    first: dict[str, int] = {}
    stands_for = {pk: first.setdefault(names.models[pk], pk) for pk in sorted(names.models)}
    there, place = np.unique(models, return_inverse=True)
    said = np.array([stands_for[pk] for pk in there.tolist()], dtype=np.int64)
    return said[place.reshape(-1)]


def rows_by_project(selection: Selection, names: Names) -> list[tuple[str, int, int, int]]:
    """Of each project its rows to train and to test on, and the votes behind them."""
    rows = selection.rows
    project = selection.pairs.project[rows.pair]
    n = len(names.projects)
    train, test = (
        np.bincount(project[is_test], minlength=n) for is_test in (~rows.test, rows.test)
    )
    # a tie that is there twice has the same votes behind both rows
    _, once = np.unique(rows.start, return_index=True)
    votes = np.bincount(project[once], weights=(rows.stop - rows.start)[once], minlength=n)
    return [
        (slug, int(train[at]), int(test[at]), int(votes[at]))
        for at, slug in enumerate(names.projects)
    ]


def facts_of(
    project: Project, recipe: Recipe, selection: Selection, names: Names
) -> dict[str, Any]:
    """What a manifest says beside what makes the version's identity."""
    facts: dict[str, Any] = {"position": selection.position}
    if not recipe.projects:
        return facts
    by_slug = {one.slug: one for one in drawn_from(project, recipe)}
    facts["projects"] = [
        {
            "project": slug,
            "name": by_slug[slug].name,
            "train": train,
            "test": test,
            "votes": votes,
            **scale_of(by_slug[slug]),
        }
        for slug, train, test, votes in rows_by_project(selection, names)
    ]
    return facts


def scale_of(project: Project) -> dict[str, Any]:
    """What of its label scheme decides what a vote of it can say."""
    return {name: project.scheme[name] for name in ("steps", "tie", "both_bad")}
