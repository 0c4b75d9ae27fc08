"""AlpacaEval's gamed rows and difficulties of prompts: what its estimator takes besides the votes.

Its authors publish them for their own benchmark, as a file that an admin gives to the prompt set
that it is of. For other sets difficulties are made of all models that were judged on them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from evaluation.engine.length_control import GamedRows, prompt_difficulty, read_gamed
from evaluation.engine.logistic import NoMaximum
from evaluation.kept import kept
from evaluation.models import Evaluation, GamedFile, PromptSet
from evaluation.verdicts import in_order
from evaluation.votes import votes_of
from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError

PUBLISHED = "https://huggingface.co/datasets/tatsu-lab/alpaca_eval/blob/main/df_gamed.csv"
"""Where AlpacaEval's authors publish their file."""
MAX_BYTES = 16 * 1024 * 1024
MODELS = 8
"""As many have to be judged on a set before its prompts have difficulties: of fewer, a prompt's
difficulty is little more than luck."""


@dataclass(frozen=True)
class Given:
    """What is known of a set's prompts besides the votes."""

    difficulty: dict[int, float]
    """By the prompt's pk."""
    rows: GamedRows | None
    versions: tuple[str, ...] = ()
    models: int = 0
    """Of which the difficulties are made; 0 where the authors' file has them."""


def give_gamed(*, prompt_set: PromptSet, data: bytes, filename: str, by: User | None) -> GamedFile:
    """Keep the authors' file for a set, in place of what was given before.

    Raises:
        UserError: it is no such file, or is not of as many prompts as the set has.
    """
    if len(data) > MAX_BYTES:
        raise _wrong(_("it is larger than %(most)s MiB") % {"most": MAX_BYTES // 2**20})
    try:
        text = data.decode("utf-8-sig")
        rows, difficulty = read_gamed(io.StringIO(text, newline=""))
        named = csv.DictReader(io.StringIO(text, newline=""))
        versions = sorted({row.get("model") or "" for row in named} - {""})
    except UnicodeDecodeError:
        raise _wrong(_("it is no text in UTF-8")) from None
    except (ValueError, csv.Error) as error:
        raise _wrong(str(error)) from None
    size = prompt_set.items.count()
    if len(difficulty) != size or set(difficulty) != set(range(size)):
        raise UserError(
            _(
                "The file is of %(theirs)s prompts, numbered %(low)s to %(high)s, and this set has "
                "%(ours)s. A row belongs to the prompt of its place, from 0, so both must be of "
                "the same benchmark in the same order."
            )
            % {
                "theirs": len(difficulty),
                "low": min(difficulty),
                "high": max(difficulty),
                "ours": size,
            },
            code="other_prompts",
            field="file",
        )
    assert rows.difficulty is not None
    kept_file, _new = GamedFile.objects.update_or_create(
        prompt_set=prompt_set,
        defaults={
            "name": filename[-200:],
            "versions": [one[:200] for one in versions[:10]],
            "rows": {
                "score": [None if np.isnan(one) else one for one in rows.score.tolist()],
                "length": rows.length.tolist(),
                "difficulty": rows.difficulty.tolist(),
            },
            "difficulty": [difficulty[place] for place in range(size)],
            "created_by": by,
        },
    )
    record(by=by, action="gamed-rows-given", target=prompt_set.name, prompt_set=prompt_set.pk)
    return kept_file


def take_gamed(*, prompt_set: PromptSet, by: User | None) -> None:
    """Win rates on the set are then reckoned without the authors' file."""
    if GamedFile.objects.filter(prompt_set=prompt_set).delete()[0]:
        record(by=by, action="gamed-rows-taken", target=prompt_set.name, prompt_set=prompt_set.pk)


def given_for(evaluation: Evaluation, source: int) -> Given | None:
    """The authors' file of the evaluation's set, else difficulties made of the models that the
    same source has judged on it against the same baseline, where they are enough."""
    if evaluation.prompt_set.get("source") != "set":
        return None
    pk = evaluation.prompt_set["set"]
    found = GamedFile.objects.filter(prompt_set=pk).first()
    if found is None:
        key = ("difficulty", pk, evaluation.baseline_id, source)
        return kept(evaluation.project, key, lambda: _own(evaluation, source))
    prompts = found.prompt_set.items.values_list("prompt", flat=True)
    score = [float("nan") if one is None else one for one in found.rows["score"]]
    rows = GamedRows(
        np.array(score), np.array(found.rows["length"]), np.array(found.rows["difficulty"])
    )
    return Given(dict(zip(prompts, found.difficulty, strict=True)), rows, tuple(found.versions))


def _own(evaluation: Evaluation, source: int) -> Given | None:
    told = list(_judged_alike(evaluation, source))
    if len(told) < MODELS:
        return None
    prompts, place = np.unique(np.concatenate([one[2] for one in told]), return_inverse=True)
    model = np.repeat(np.arange(len(told)), [one[0].size for one in told])
    score, difference = (np.concatenate([one[k] for one in told]) for k in (0, 1))
    try:
        made = prompt_difficulty(score, difference, model, place)
    except NoMaximum:
        return None
    return Given(dict(zip(prompts.tolist(), made.tolist(), strict=True)), None, models=len(told))


def _judged_alike(evaluation: Evaluation, source: int) -> Iterator[tuple[Any, Any, Any]]:
    """Score, length difference and prompt of each model, one row a prompt; a model that always wins
    or always loses says nothing of prompts and is left out."""
    seen: set[int] = set()
    others = Evaluation.objects.filter(
        project=evaluation.project_id,
        baseline=evaluation.baseline_id,
        prompt_set__source="set",
        prompt_set__set=evaluation.prompt_set["set"],
    )
    for other in others.order_by("pk"):
        votes = votes_of(other)
        for candidate in np.unique(votes.comparisons["candidate"]).tolist():
            cast = votes.cast(candidate, source)
            score = in_order(cast)
            if candidate in seen or not 0.0 < float(score.mean() if score.size else 0.0) < 1.0:
                continue
            seen.add(candidate)
            first = np.sort(np.unique(cast.prompt, return_index=True)[1])
            longer = votes.comparisons["longer"][cast.row[first]].astype(float)
            yield score, -longer, cast.prompt[first]


def _wrong(why: str) -> UserError:
    return UserError(
        _("This is not AlpacaEval's file of gamed rows: %(why)s.") % {"why": why},
        code="bad_gamed_rows",
        field="file",
    )
