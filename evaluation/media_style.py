"""What resolution, file size and duration have to do with a win rate; of pictures and clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.engine.style import StyleControlled, style_controlled
from evaluation.engine.winrate import WinRate, win_rate
from evaluation.features import CONTROLS, amounts
from evaluation.models import Evaluation
from evaluation.votes import votes_of
from steelyard.projects.models import Modality


@dataclass(frozen=True)
class MediaStyle:
    """One candidate by one source, as it would be, were both outputs alike in these."""

    voted: WinRate
    """Whatever the files are."""
    controlled: StyleControlled
    more: list[tuple[str, float]]
    """By covariate, the share of prompts on which the candidate has more of it."""


def media_style(evaluation: Evaluation, candidate: int, source: int) -> MediaStyle | None:
    """By maximum likelihood without a penalty, prompts being the sample; None where outputs are
    texts, or there is no vote."""
    if evaluation.project.modality == Modality.TEXT:
        return None
    votes = votes_of(evaluation)
    cast = votes.cast(candidate, source)
    if not cast.size:
        return None
    is_a = votes.comparisons["candidate_is_a"][cast.row] == 1
    names = CONTROLS[evaluation.project.modality]
    sides = amounts(evaluation.project, votes.comparisons["pair"][cast.row])
    own = {name: np.where(is_a, *sides[name]) for name in names}
    other = {name: np.where(is_a, *reversed(sides[name])) for name in names}
    prompts, first = np.unique(cast.prompt, return_index=True)
    more = [(name, float((own[name] > other[name])[first].sum() / prompts.size)) for name in names]
    return MediaStyle(
        win_rate(cast.score, cast.prompt),
        style_controlled(cast.score, own, other, cast.prompt),
        more,
    )
