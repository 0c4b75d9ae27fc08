"""Freezing: from the votes of a project to the rows of a dataset version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from annotation.freezing.content import tables_of
from annotation.freezing.drawn import drawn_from, facts_of, rows_by_project
from annotation.freezing.load import load, one_look, texts_of
from annotation.freezing.problems import problem_of
from annotation.freezing.select import DROPPED, DROPPED_IF_ASKED, Names, Selection, select
from annotation.leaks import leaks_of
from annotation.models import Annotator, Judgment, Prompt, Withdrawal
from annotation.recipe import Recipe
from annotation.services.joining import joined, scales_of, tell_the_others
from annotation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.registry.services import check_dataset_name, commit_version
from steelyard.registry.words import scales_in_words, warning_of
from steelyard.runs.models import ACTIVE, Run
from steelyard.runs.services import start_run

__all__ = ["DROPPED", "DROPPED_IF_ASKED", "Preview", "preview", "publish_version", "start_freeze"]

AT_ONCE = 20_000
"""A project with more judgments is frozen in the background."""
SAMPLED = 100_000
"""A preview of more judgments looks at a sample, of about so many:"""
SAMPLE = 10_000
SIMILAR_AT_ONCE = 5_000
"""Similar prompts are looked for in a preview up to so many prompts; it takes a second."""


@dataclass(frozen=True)
class Preview:
    """What a recipe would freeze."""

    counts: dict[str, int]
    """What depends on the counted votes and the recipe alone: rows, train, test, ties, votes,
    annotators and ``dropped_<reason>``; part of the version's identity."""
    categories: list[tuple[str, int, int]]
    """Category, train rows, test rows."""
    passed_over: dict[str, int]
    """Pairs that no counted vote speaks of: unlabelled, held_out, other_category, other_model; and
    ``closed``, taken out by the owner."""
    problem: UserError | None
    """Why this cannot be published, None where it can."""
    recipe: Recipe
    """With the withdrawals that it applies."""
    leaks: int | None = 0
    """Prompts to test on that say the same as one to train on; None where it is not known here."""
    similar_unknown: bool = False
    """Whether there are too many prompts to look for similar ones here: the split and what is left
    out for it are known when the version is frozen."""
    warning: str = ""
    """What is odd about it, though it can be published."""
    about: bool = False
    """Whether the counts are reckoned from a sample of the prompts; those of annotators are what
    the sample has."""
    projects: list[tuple[str, int, int, int]] = field(default_factory=list)
    """Where several are drawn: name in URLs, rows to train on, to test on, and votes of each."""


def preview(*, project: Project, recipe: Recipe) -> Preview:
    """The counts that :func:`publish_version` would freeze at this moment; of a large project what
    a sample says of them, unless there is nothing in the sample."""
    recipe = with_withdrawals(project, recipe)
    asked = recipe
    projects = drawn_from(project, recipe)
    if recipe.group_similar and _many_prompts(projects):
        asked = replace(recipe, group_similar=False)
    share = _share(projects)
    selection, names = _selected(project, asked, share)
    if share < 1 and problem_of(selection, recipe):
        share = 1.0
        selection, names = _selected(project, asked, share)
    # a sample may lack what the whole has
    odd = warning_of(recipe.as_dict(), selection.counts, selection.categories if share == 1 else ())
    return Preview(
        counts=_reckoned(selection.counts, share),
        categories=[
            (name, round(train / share), round(test / share))
            for name, train, test in selection.categories
        ],
        passed_over=_reckoned(selection.passed_over, share),
        problem=problem_of(selection, recipe),
        recipe=recipe,
        leaks=leaks_of(selection) if share == 1 else None,
        similar_unknown=asked != recipe,
        warning=" ".join(filter(None, [odd, *scales_in_words(scales_of(project, recipe))])),
        about=share < 1,
        projects=_reckoned_rows(rows_by_project(selection, names), share)
        if recipe.projects
        else [],
    )


def _selected(project: Project, recipe: Recipe, share: float) -> tuple[Selection, Names]:
    if recipe.cap and share < 1 and recipe.cap_by != "prompt":
        recipe = replace(recipe, cap=max(round(recipe.cap * share), 1))
    with one_look():
        material = load(project, recipe, share)
        return select(**vars(material), recipe=recipe, texts=texts_of), material.names


def _share(projects: Sequence[Project]) -> float:
    """Of the prompts that a preview looks at; the database's own guess at how many votes there are
    is good enough for it."""
    if not is_large(*projects):
        return 1.0
    with connection.cursor() as cursor:
        cursor.execute("select reltuples from pg_class where oid = 'annotation_judgment'::regclass")
        (guess,) = cursor.fetchone()
    # other projects' votes stand in the table too, so that a small one may be looked at whole
    if guess > SAMPLED:
        guess = Judgment.objects.filter(project__in=projects).count()
    return min(SAMPLE / guess, 1.0) if guess > SAMPLED else 1.0


def _reckoned(counts: dict[str, int], share: float) -> dict[str, int]:
    return {name: n if name == "annotators" else round(n / share) for name, n in counts.items()}


def _reckoned_rows(
    rows: list[tuple[str, int, int, int]], share: float
) -> list[tuple[str, int, int, int]]:
    return [
        (slug, round(train / share), round(test / share), round(votes / share))
        for slug, train, test, votes in rows
    ]


def publish_version(
    *, project: Project, dataset_name: str, recipe: Recipe, note: str = "", by: User | None
) -> DatasetVersion:
    """Freeze the project's votes under a recipe as the next version of a dataset.

    Rows are ordered by pair key and votes by UUID, so that the same votes and recipe have the same
    digest whatever the order in which they came.

    Raises:
        UserError: there is nothing to freeze, nothing to train on, no winner in any row, a name in
            the recipe is none of the project's, another project is not the person's to draw from,
            or the dataset has the same version already.
    """
    recipe = checked(project, joined(project=project, recipe=recipe, by=by))
    with one_look():
        material = load(project, recipe)
        selection = select(**vars(material), recipe=recipe, texts=texts_of)
    if problem := problem_of(selection, recipe):
        raise problem
    # what pairs and judgments say never changes, so it may be read later
    said: dict[str, Any] = {
        "project": project,
        "recipe": recipe,
        "selection": selection,
        "names": material.names,
    }
    with transaction.atomic():
        version = commit_version(
            project=project,
            dataset_name=dataset_name,
            rows=tables_of(**said),
            recipe=recipe.as_dict(),
            counts=selection.counts,
            facts=facts_of(**said),
            note=note,
            by=by,
        )
        tell_the_others(version, by)
    return version


def start_freeze(
    *, project: Project, dataset_name: str, recipe: Recipe, note: str = "", by: User | None
) -> Run:
    """The same in the background: the run ends with the version.

    Raises:
        UserError: a name in the recipe is none of the project's, another project is not the
            person's to draw from, or the dataset is being frozen by another run.
    """
    recipe = checked(project, joined(project=project, recipe=recipe, by=by))
    name = check_dataset_name(dataset_name)
    busy = Run.objects.filter(project=project, kind="freeze", state__in=ACTIVE)
    if busy.filter(spec__dataset_name=name).exists():
        raise UserError(
            _("“%(name)s” is being frozen already. Wait for that run, or cancel it.")
            % {"name": name},
            code="freezing",
            status=409,
        )
    spec: dict[str, Any] = {"dataset_name": name, "recipe": recipe.as_dict(), "note": note[:300]}
    title = Said(TITLES, "title_freeze", name=name)
    return start_run(project=project, kind="freeze", title=title, spec=spec, by=by)


def is_large(*projects: Project) -> bool:
    """Whether freezing takes longer than a request may."""
    rows = Judgment.objects.filter(project__in=projects).order_by()
    return rows[AT_ONCE : AT_ONCE + 1].exists()


def checked(project: Project, recipe: Recipe) -> Recipe:
    """The recipe with its withdrawals.

    Raises:
        UserError: it names an annotator, a category, a model or a withdrawal that none of its
            projects has: a name that is misspelt must not change a version in silence.
    """
    projects = drawn_from(project, recipe)
    for name, (rows, column) in {
        "only": (Annotator.objects, "name"),
        "exclude": (Annotator.objects, "name"),
        "categories": (Prompt.objects, "category"),
        "models": (ModelVersion.objects, "name"),
        "without_models": (ModelVersion.objects, "name"),
    }.items():
        wanted = getattr(recipe, name)
        there = rows.filter(project__in=projects, **{f"{column}__in": wanted})
        known = set(there.values_list(column, flat=True)) if wanted else set()
        _check_known(name, wanted, known)
    if recipe.withdrawals:
        _check_known("withdrawals", recipe.withdrawals, set(_withdrawals(projects)))
    return with_withdrawals(project, recipe)


def _check_known(field: str, wanted: Sequence[str], known: set[str]) -> None:
    if unknown := [name for name in wanted if name not in known]:
        raise UserError(
            _("This project has no “%(name)s” that %(field)s could mean.")
            % {"name": unknown[0], "field": field},
            code="bad_recipe",
            field=field,
        )


def _withdrawals(projects: Sequence[Project], **asked: Any) -> list[str]:
    """As a recipe names them."""
    rows = Withdrawal.objects.filter(project__in=projects, **asked)
    named = rows.values_list("project__slug", "key")
    return [key if len(projects) == 1 else f"{slug}/{key}" for slug, key in named]


def with_withdrawals(project: Project, recipe: Recipe) -> Recipe:
    """A recipe that does not say which withdrawals it applies gets all that are in force."""
    if recipe.count_withdrawn or recipe.withdrawals:
        return recipe
    projects = drawn_from(project, recipe)
    return replace(recipe, withdrawals=tuple(_withdrawals(projects, lifted_at=None)))


def _many_prompts(projects: Sequence[Project]) -> bool:
    rows = Prompt.objects.filter(project__in=projects).order_by()
    return rows[SIMILAR_AT_ONCE : SIMILAR_AT_ONCE + 1].exists()
