"""Freezing: from the votes of a project to the rows of a dataset version."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, F, Q

from annotation import aggregation
from annotation.models import Judgment, Outcome, Pair
from annotation.recipe import Recipe
from annotation.services.version_rows import Verdict, Vote, records_of
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion
from steelyard.registry.services import commit_version

DROPPED = {
    "few_votes": "fewer votes than asked for",
    "identical": "both outputs are the same",
    "both_bad": "both bad",
    "low_agreement": "too little agreement",
    "tie": "tie",
}
"""Why a pair with votes is left out, in the order in which it is asked."""


@dataclass(frozen=True)
class Preview:
    """What a recipe would freeze."""

    counts: dict[str, int]
    """What depends on the counted votes and the recipe alone: rows, train, test, ties, votes,
    annotators and ``dropped_<reason>``; part of the version's identity."""
    categories: list[tuple[str, int, int]]
    """Category, train rows, test rows."""
    passed_over: dict[str, int]
    """Pairs that no counted vote speaks of: unlabelled, held_out, other_category; and
    ``closed``, taken out by the owner."""
    problem: UserError | None
    """Why this cannot be published, None where it can."""


@dataclass
class _Selection:
    verdicts: list[Verdict] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)


def preview(*, project: Project, recipe: Recipe) -> Preview:
    """The counts that :func:`publish_version` would freeze at this moment."""
    selection = _select(project, recipe)
    by_category: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in selection.verdicts:
        by_category[verdict.category][verdict.split] += 1
    return Preview(
        counts=_counts(selection),
        categories=[(name, n["train"], n["test"]) for name, n in sorted(by_category.items())],
        passed_over=dict(selection.passed_over),
        problem=_problem(selection, recipe),
    )


def publish_version(
    *, project: Project, dataset_name: str, recipe: Recipe, note: str = "", by: User | None
) -> DatasetVersion:
    """Freeze the project's votes under a recipe as the next version of a dataset.

    Rows are ordered by pair key and votes by UUID, so that the same votes and recipe have the same
    digest whatever the order in which they came.

    Raises:
        UserError: there is nothing to freeze, nothing to train on, no winner in any row, or the
            dataset has the same version already.
    """
    # one look at the votes, while they may go on coming
    with transaction.atomic():
        selection = _select(project, recipe)
        if problem := _problem(selection, recipe):
            raise problem
        return commit_version(
            project=project,
            dataset_name=dataset_name,
            records=records_of(project=project, recipe=recipe, verdicts=selection.verdicts),
            recipe=recipe.as_dict(),
            counts=_counts(selection),
            note=note,
            by=by,
        )


def _select(project: Project, recipe: Recipe) -> _Selection:
    """The verdicts in the order of their pair keys; outputs' texts are not read here."""
    selection = _Selection()
    votes = _votes(project, recipe)
    pairs = []
    for row in _pairs(project):
        if row["prompt__held_out"]:
            selection.passed_over["held_out"] += 1
        elif row["closed"]:
            selection.passed_over["closed"] += 1
        elif recipe.categories and row["prompt__category"] not in recipe.categories:
            selection.passed_over["other_category"] += 1
        elif row["pk"] not in votes:
            selection.passed_over["unlabelled"] += 1
        elif len(votes[row["pk"]]) < recipe.min_votes:
            selection.dropped["few_votes"] += 1
        elif row["identical"]:
            selection.dropped["identical"] += 1
        else:
            pairs.append(row)
    outcomes = _aggregated({row["key"]: votes[row["pk"]] for row in pairs}, recipe)
    for row in pairs:
        verdict = _verdict(row, outcomes[row["key"]], votes[row["pk"]], recipe)
        if reason := _reason(verdict, recipe):
            selection.dropped[reason] += 1
        else:
            selection.verdicts.append(verdict)
    return selection


def _pairs(project: Project) -> Iterator[Any]:
    """Every pair's identity, ordered by key, but those that only train people."""
    same_file = Q(output_a__asset=F("output_b__asset")) | Q(
        output_a__asset=None, output_b__asset=None
    )
    identical = Q(output_a__text=F("output_b__text")) & same_file
    return (
        Pair.objects.filter(project=project, is_training=False)
        .annotate(identical=ExpressionWrapper(identical, BooleanField()))
        .order_by("key")
        .values(
            "pk",
            "key",
            "prompt__key",
            "prompt__category",
            "prompt__held_out",
            "closed",
            "identical",
        )
        .iterator()
    )


def _votes(project: Project, recipe: Recipe) -> dict[int, list[Vote]]:
    """Counted votes by pair, each list ordered by UUID."""
    rows = Judgment.objects.decisive().filter(project=project, pair__prompt__held_out=False)
    if recipe.annotators != "both":
        rows = rows.by_people() if recipe.annotators == "people" else rows.by_judges()
    if recipe.exclude:
        rows = rows.exclude(annotator__name__in=recipe.exclude)
    votes: dict[int, list[Vote]] = defaultdict(list)
    columns = ("pair_id", "uuid", "annotator__name", "annotator__kind", "outcome", "strength")
    for pair, uuid, *said in rows.order_by("uuid").values_list(*columns).iterator():
        votes[pair].append(Vote(str(uuid), *said))
    return votes


def _aggregated(votes: dict[str, list[Vote]], recipe: Recipe) -> dict[str, str]:
    """One outcome a pair, by pair key."""
    if recipe.aggregation == "dawid_skene":
        return aggregation.dawid_skene(
            {key: [(vote.annotator, vote.outcome) for vote in cast] for key, cast in votes.items()}
        )
    return {key: aggregation.majority(vote.outcome for vote in cast) for key, cast in votes.items()}


def _verdict(row: dict[str, Any], outcome: str, votes: list[Vote], recipe: Recipe) -> Verdict:
    test = stable_uniform("split", recipe.seed, row["prompt__key"]) < recipe.test_fraction
    return Verdict(
        pair=row["pk"],
        key=row["key"],
        prompt_key=row["prompt__key"],
        category=row["prompt__category"],
        outcome=outcome,
        agreement=round(sum(vote.outcome == outcome for vote in votes) / len(votes), 6),
        votes=votes,
        split="test" if test else "train",
    )


def _reason(verdict: Verdict, recipe: Recipe) -> str | None:
    """Why a verdict is left out, None where it is not."""
    if verdict.outcome == Outcome.BOTH_BAD:
        return "both_bad"
    if verdict.agreement < recipe.min_agreement:
        return "low_agreement"
    if verdict.outcome == Outcome.TIE and recipe.ties == "drop":
        return "tie"
    return None


def _counts(selection: _Selection) -> dict[str, int]:
    verdicts = selection.verdicts
    splits = Counter(verdict.split for verdict in verdicts)
    return {
        "rows": len(verdicts),
        "train": splits["train"],
        "test": splits["test"],
        "ties": sum(verdict.outcome == Outcome.TIE for verdict in verdicts),
        "prompts": len({verdict.prompt_key for verdict in verdicts}),
        "votes": sum(len(verdict.votes) for verdict in verdicts),
        "annotators": len({vote.annotator for verdict in verdicts for vote in verdict.votes}),
        **{f"dropped_{reason}": selection.dropped[reason] for reason in DROPPED},
    }


def _problem(selection: _Selection, recipe: Recipe) -> UserError | None:
    """Why nothing could be learnt from these rows, and what to do about it."""
    verdicts = selection.verdicts
    if not verdicts:
        return UserError(_empty_message(selection, recipe), code="empty_version")
    if all(verdict.outcome == Outcome.TIE for verdict in verdicts):
        return UserError(
            f"All {len(verdicts)} rows are ties, so no answer is better than another and there is "
            "nothing to learn. Label pairs in which one side wins, or count other annotators.",
            code="one_class",
        )
    train = [verdict for verdict in verdicts if verdict.split == "train"]
    if not train:
        return UserError(
            f"All {len(verdicts)} rows fall into the test split, and none is left to train on. "
            "Lower the test share, change the seed, or label more prompts.",
            code="no_train_rows",
            field="test_fraction",
        )
    if all(verdict.outcome == Outcome.TIE for verdict in train):
        return UserError(
            f"All {len(train)} rows to train on are ties, so there is nothing to learn from them. "
            "Change the seed, or label pairs in which one side wins.",
            code="one_class",
        )
    return None


def _empty_message(selection: _Selection, recipe: Recipe) -> str:
    dropped = [f"{n} {DROPPED[reason]}" for reason, n in selection.dropped.items()]
    if dropped:
        return (
            f"This recipe keeps no rows (left out: {', '.join(dropped)}). Loosen it, or collect "
            "more votes."
        )
    who = {"people": "people", "judges": "AI judges", "both": "anybody"}[recipe.annotators]
    return f"No pair has a vote by {who} that this recipe counts. Label some pairs first."
