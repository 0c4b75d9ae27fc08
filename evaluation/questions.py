"""Questions besides the overall verdict: aspects, each with a win rate of its own.

Aspects are asked by the project's label scheme (people) and by a judge's rubric; their verdicts are
signed strengths, 0 for a tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from annotation.models import Annotator
from evaluation import insight
from evaluation.contestants import by_name
from evaluation.models import Evaluation
from evaluation.votes import Votes, votes_of
from steelyard.inference.judging.turns import NAMES
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion
from steelyard.web.plotting import Row


@dataclass(frozen=True)
class AspectRow:
    """One candidate against the baseline by one question and one source of votes."""

    candidate: ModelVersion
    judge: Annotator | None
    """None for people, all of them together."""
    row: Row
    """The question, its rate and how many prompts that is of."""

    @property
    def source(self) -> str:
        return "judges" if self.judge else "people"


def checked_questions(
    project: Project,
    names: Sequence[str],
    *,
    people: bool,
    judges: Sequence[Annotator],
    by_turns: bool = False,
) -> list[dict[str, str]]:
    """As they are stored.

    Args:
        by_turns: whether judges are asked about each turn, whatever their rubric says.

    Raises:
        UserError: one is no aspect of the project's label scheme, or nobody is asked about it.
    """
    known = project.scheme["aspects"]
    texts = {one["name"]: one.get("text", "") for judge in judges for one in judge.rubric}
    for name in names:
        if name not in known:
            raise UserError(
                _(
                    "“%(name)s” is no aspect of this project's label scheme. Add it under "
                    "Settings → Aspects, so that it is asked."
                )
                % {"name": name},
                code="unknown_aspect",
                field="questions",
            )
        if not people and name not in texts and not (by_turns and name in NAMES):
            raise UserError(
                _("None of the judges is asked about “%(name)s”: it is in no rubric of theirs.")
                % {"name": name},
                code="nobody_is_asked",
                field="questions",
            )
    return [{"name": name, "text": texts.get(name, "")} for name in dict.fromkeys(names)]


def aspect_rates(evaluation: Evaluation, votes: Votes | None = None) -> list[AspectRow]:
    """Win rates by aspect, of those that the evaluation asks about and all others that votes have;
    two identical outputs, which nobody was asked about, are not in them."""
    votes = votes or votes_of(evaluation)
    return [
        AspectRow(candidate, votes.judges.get(source), row)
        for candidate in by_name(evaluation.candidates.all())
        for source in votes.sources_of(candidate.pk)
        for row in insight.questions(evaluation, votes, candidate.pk, source)
    ]
