"""Versions of several projects: who may make them, which projects go together, and what their home
is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation.freezing.drawn import drawn_from, scale_of
from annotation.recipe import Recipe
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.assets.services import share_assets
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import ADMINS
from steelyard.registry.models import DatasetVersion

MOST = 50
"""Projects that one version may be made of."""


def offered(*, project: Project, by: User) -> QuerySet[Project]:
    """What may be drawn beside this project: the person owns both, and both compare the same."""
    mine = Project.objects.with_role(by, ADMINS)
    if not mine.filter(pk=project.pk).exists():
        return Project.objects.none()
    return mine.filter(modality=project.modality).exclude(pk=project.pk).order_by("name", "slug")


def joined(*, project: Project, recipe: Recipe, by: User | None) -> Recipe:
    """The recipe with all the projects that it draws from, its home among them, so that the same
    votes make the same version wherever it has its home; none are named where that is the only one.

    Raises:
        UserError: the person is no owner of one of them, whether it exists or not; or they do not
            go together.
    """
    further = sorted(set(recipe.projects) - {project.slug})
    if not further:
        return replace(recipe, projects=())
    if len(further) >= MOST:
        raise _refused(_("A version is made of at most %(n)s projects.") % {"n": MOST})
    mine = Project.objects.with_role(by, ADMINS) if by else Project.objects.none()
    found = {one.slug: one for one in mine.filter(slug__in=[project.slug, *further])}
    for slug in (project.slug, *further):
        if slug not in found:
            raise _refused(
                _(
                    "You are no owner of a project “%(name)s”. Who freezes the votes of several "
                    "projects must be an owner of each."
                )
                % {"name": slug},
                code="not_owner",
                status=403,
            )
    _check_alike(project, [found[slug] for slug in further], recipe)
    return replace(recipe, projects=(project.slug, *further))


def _check_alike(home: Project, further: Sequence[Project], recipe: Recipe) -> None:
    for one in further:
        if one.modality != home.modality:
            raise _refused(
                _("%(name)s compares %(other)s and %(home)s %(modality)s; one version holds one.")
                % {
                    "name": one.name,
                    "other": one.get_modality_display(),
                    "home": home.name,
                    "modality": home.get_modality_display(),
                }
            )
        if recipe.min_strength and one.scheme["steps"] != home.scheme["steps"]:
            raise _refused(
                _(
                    "%(home)s has a scale of %(steps)s steps and %(name)s one of %(other)s, so "
                    "that the same strength means different things. Set no least strength."
                )
                % {
                    "home": home.name,
                    "steps": home.scheme["steps"],
                    "name": one.name,
                    "other": one.scheme["steps"],
                },
                field="min_strength",
            )


def _refused(words: str, **said: Any) -> UserError:
    return UserError(words, **{"code": "bad_recipe", "field": "projects", **said})


def scales_of(project: Project, recipe: Recipe) -> list[dict[str, Any]]:
    """What the votes of each project can say, where several are drawn."""
    if not recipe.projects:
        return []
    return [{"name": one.name, **scale_of(one)} for one in drawn_from(project, recipe)]


def tell_the_others(version: DatasetVersion, by: User | None) -> None:
    """Give the version's home the files that its rows show, and write down in each other project
    that its votes have been drawn. Call it in the version's transaction."""
    others = _others(version)
    if not others:
        return
    share_assets(files=version.manifest["media"], of=others, to=version.project)
    for one in others:
        record(
            by=by,
            action="votes.draw",
            target=one.slug,
            project=version.project.slug,
            version=version.pk,
            digest=version.digest,
        )


def _others(version: DatasetVersion) -> list[Project]:
    slugs: Iterable[str] = version.recipe.get("projects", ())
    rows = Project.objects.filter(slug__in=list(slugs)).exclude(pk=version.project_id)
    return sorted(rows, key=lambda one: one.slug)
