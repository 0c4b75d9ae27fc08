"""Which versions hold a pair or a vote; the files are asked, for they are the truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from django.db.models import Q

from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.registry.rows import Rows


@dataclass(frozen=True)
class Contained:
    """A version that holds some of what was asked for, and what was made of it."""

    version: DatasetVersion
    votes: int
    rows: int
    models: list[ModelVersion]
    """Trained on the version."""
    closed: bool = False
    """Whether the version has its home in a project that the reader has no part in."""


def versions_with_pair(*, project: Project, key: str) -> list[tuple[DatasetVersion, int]]:
    """The versions that hold the pair of this key, each with the place of its first row there."""
    found = []
    for version in _there(project):
        several = project.slug if version.recipe.get("projects") else ""
        place = Rows(version).place_of(key, several)
        if place is not None:
            found.append((version, place))
    return found


def versions_with_votes(
    *, project: Project, votes: Iterable[bytes], annotator: str = ""
) -> list[Contained]:
    """
    Args:
        votes: UUIDs of judgments, 16 bytes each.
        annotator: the name of whose votes they are, if they are one's: versions without that name
            need no closer look.
    """
    wanted: np.ndarray | None = None
    found = []
    for version in _there(project):
        rows = Rows(version)
        if annotator and not rows.has_votes_of(annotator):
            continue
        if wanted is None:
            wanted = np.unique(np.array(list(votes), dtype="V16"))
        n_votes, n_rows = rows.count_votes(wanted)
        if n_votes:
            models = list(version.models.select_related("project", "made_by__project"))
            found.append(Contained(version, n_votes, n_rows, models))
    return found


def _there(project: Project) -> list[DatasetVersion]:
    """The project's versions, and those of others that are drawn from it as well, whose files are
    on this disk; the newest first."""
    drawn = Q(project=project) | Q(recipe__projects__contains=[project.slug])
    rows = DatasetVersion.objects.filter(drawn).with_names()
    return [version for version in rows if not version.lost]
