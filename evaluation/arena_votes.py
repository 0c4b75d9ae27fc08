"""Which votes are an arena's. The rule for leaderboards: what was voted in an arena is in its own
column alone, and of it only what was blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.models_arena import Arena

if TYPE_CHECKING:
    from annotation.querysets import JudgmentQuerySet
    from steelyard.projects.models import Project


def within(votes: JudgmentQuerySet, project: Project, *, arena: bool) -> JudgmentQuerySet:
    """The project's votes of arenas, or all others. Where it has no arena nothing is joined."""
    if arena:
        return by_arena(votes)
    return outside_arenas(votes) if Arena.objects.filter(project=project).exists() else votes


def by_arena(votes: JudgmentQuerySet) -> JudgmentQuerySet:
    """Votes of battles in which no answer had given away who wrote it (the rule ``blind``)."""
    return votes.filter(arena_battle__is_blind=True)


def not_blind(votes: JudgmentQuerySet) -> JudgmentQuerySet:
    """What that rule leaves out."""
    return votes.filter(arena_battle__is_blind=False)


def outside_arenas(votes: JudgmentQuerySet) -> JudgmentQuerySet:
    """Votes that were given anywhere else."""
    return votes.filter(arena_battle=None)
