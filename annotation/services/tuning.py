"""Tuning a judge by what people said and why: which pairs, in which parts, and starting it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from annotation.aggregation import majority
from annotation.models import Annotator, Judgment
from annotation.services.judge_checks import can_see
from annotation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.said import Said
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.runs.models import ACTIVE, Run
from steelyard.runs.services import start_run

KIND = "tune_judge"
FEWEST = 30
"""Pairs with a majority below which nothing is tuned."""
FEWEST_OF_A_PART = 4
PARTS = {"train": 0.5, "validation": 0.75, "test": 1.0}
"""Where each ends among the prompts, in the order of their draw."""
MOST = {"train": 300, "validation": 100, "test": 300}
"""Pairs of a part; more cost much and tell little more."""
REFLECT_ON = 4
TEXTS = 10
"""How many texts the budget that is proposed lets come to validation, about."""
MOST_BUDGET = 20_000
MOST_SEED = 2**31 - 1
_WRITING = {ModelFamily.CAUSAL_LM, ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT}


@dataclass(frozen=True)
class Decided:
    """A pair of which most people prefer one side."""

    pair: int
    prompt: str
    """Its key."""
    side: str
    reasons: int


@dataclass(frozen=True)
class Split:
    """What a judge would be tuned and tested on."""

    seed: int
    parts: dict[str, list[Decided]]
    found: int
    """Pairs with a majority, before any are left out for there being many."""

    @cached_property
    def reasons(self) -> int:
        return sum(one.reasons for one in self.parts["train"])

    @cached_property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Pairs and prompts of each part."""
        return {
            name: (len(some), len({one.prompt for one in some}))
            for name, some in self.parts.items()
        }

    @property
    def least(self) -> int:
        """The smallest budget with which a text can come to validation at all."""
        return 2 * len(self.parts["validation"]) + 2 * REFLECT_ON

    @property
    def budget(self) -> int:
        """What is proposed."""
        validation = len(self.parts["validation"])
        return min(MOST_BUDGET, (TEXTS + 1) * validation + 4 * TEXTS * REFLECT_ON)

    def calls(self, judge: Annotator, budget: int) -> int:
        """The most that the judge is asked."""
        verdicts = budget + 2 * len(self.parts["test"])
        return 2 * verdicts * judge.asking.get("samples", 1)


def seed_of(judge: Annotator) -> int | None:
    """By which the prompts of its line are divided already, by any version or by a tuning that is
    under way: a prompt that one version was tuned on must not come to test another."""
    line = list(judge.line.order_by("version"))
    known = [one.checks["tuning"]["seed"] for one in line if one.checks.get("tuning")]
    if not known:
        under_way = Run.objects.filter(
            project=judge.project_id,
            kind=KIND,
            state__in=ACTIVE,
            spec__judge__in=[one.pk for one in line],
        )
        known = [run.spec["seed"] for run in under_way.order_by("pk")[:1]]
    return int(known[0]) if known else None


def split(judge: Annotator, seed: int | None = None) -> Split:
    """Which pairs a judge can be tuned by, by prompt in three parts.

    A prompt's part depends on its content and the seed alone: votes that come later move none.

    Raises:
        UserError: another seed than that by which its line was tuned before.
    """
    known = seed_of(judge)
    if known is not None and seed not in (None, known):
        raise UserError(
            _(
                "Its line is tuned with the seed %(seed)s; with another, prompts that one of its "
                "versions was tuned on would come to test another."
            )
            % {"seed": known},
            code="other_seed",
            field="seed",
        )
    drawn_by = known if known is not None else seed or 0
    found = _decided(judge)
    drawn = {
        prompt: stable_uniform("tune", drawn_by, prompt) for prompt in {one.prompt for one in found}
    }
    parts: dict[str, list[Decided]] = {name: [] for name in PARTS}
    for one in sorted(found, key=lambda one: (drawn[one.prompt], one.pair)):
        part = next(name for name, end in PARTS.items() if drawn[one.prompt] < end)
        if len(parts[part]) < MOST[part]:
            parts[part].append(one)
    return Split(drawn_by, parts, len(found))


def check_tunable(judge: Annotator) -> None:
    """
    Raises:
        UserError: it is told nothing that could be worded better.
    """
    if judge.scorer:
        raise UserError(
            _("%(judge)s is a scorer: it is told nothing that could be worded better.")
            % {"judge": judge.name},
            code="not_tunable",
        )
    if judge.kind != Annotator.Kind.JUDGE or judge.model is None:
        raise UserError(
            _("%(judge)s has no model to ask; its votes came from a file.") % {"judge": judge.name},
            code="not_a_judge",
        )
    if judge.template and "{criteria}" not in judge.template:
        raise UserError(
            _(
                "%(judge)s has a wording of its own without the place {criteria}, and the criteria "
                "are what is tuned. Make a version with that place."
            )
            % {"judge": judge.name},
            code="not_tunable",
        )


def check_split(found: Split) -> None:
    """
    Raises:
        UserError: people have judged too few pairs.
    """
    if found.found < FEWEST:
        raise UserError(
            _(
                "People have decided %(n)s pairs that this judge can be tuned by; it takes "
                "%(least)s at least. Pairs count where most of their votes prefer the same side, "
                "and whose prompt is not held out."
            )
            % {"n": found.found, "least": FEWEST},
            code="too_few_pairs",
        )
    short = min(found.parts, key=lambda name: len(found.parts[name]))
    if len(found.parts[short]) < FEWEST_OF_A_PART:
        raise UserError(
            _(
                "Of the %(n)s pairs only %(few)s came to the part for %(part)s, for few prompts "
                "have many of the pairs. Have people judge pairs of more prompts, or draw with "
                "another seed."
            )
            % {"n": found.found, "few": len(found.parts[short]), "part": short},
            code="too_few_prompts",
        )


def problem_of(judge: Annotator, found: Split) -> str:
    """Why a judge cannot be tuned by these pairs, in words; empty where it can."""
    try:
        check_tunable(judge)
        check_split(found)
    except UserError as error:
        return error.message
    return ""


@transaction.atomic
def start_tuning(
    *,
    judge: Annotator,
    reflection: ModelVersion,
    by: User,
    budget: int | None = None,
    seed: int | None = None,
) -> Run:
    """Start a run that looks for criteria by which the judge agrees more with people; what it finds
    becomes the next version of the judge, which is put to use by nobody but people.

    Args:
        reflection: the model that reads people's reasons and writes criteria.
        budget: verdicts of the judge in the search, each asked in both orders.
        seed: of the draw of the parts and of the search.

    Raises:
        UserError: the judge or the model cannot be used so, people have judged too few pairs, or
            the budget is out of bounds.
    """
    check_tunable(judge)
    # whoever tunes another version of the line at the same time waits here
    list(judge.line.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    if reflection.project_id != judge.project_id:
        raise UserError(
            _("%(model)s belongs to another project.") % {"model": reflection.name},
            field="reflection",
        )
    if reflection.family not in _WRITING:
        raise UserError(
            _("%(model)s does not write. Choose a language model or an endpoint.")
            % {"model": reflection.name},
            code="cannot_generate",
            field="reflection",
        )
    found = split(judge, seed)
    check_split(found)
    budget = found.budget if budget is None else budget
    if not found.least <= budget <= MOST_BUDGET:
        raise UserError(
            _(
                "The budget is %(budget)s verdicts; with these pairs it must be %(least)s to "
                "%(most)s."
            )
            % {"budget": budget, "least": found.least, "most": MOST_BUDGET},
            code="bad_budget",
            field="budget",
        )
    parts = {name: [[one.pair, one.side] for one in some] for name, some in found.parts.items()}
    return start_run(
        project=judge.project,
        kind=KIND,
        title=Said(TITLES, "title_tune", judge=judge.name),
        spec={
            "judge": judge.pk,
            "reflection": reflection.pk,
            "budget": budget,
            "seed": found.seed,
            "parts": parts,
        },
        by=by,
    )


def _decided(judge: Annotator) -> list[Decided]:
    rows = Judgment.objects.decisive().by_people().unaided().standing(judge.project)
    rows = rows.filter(
        project=judge.project_id,
        pair__closed=False,
        pair__is_training=False,
        pair__prompt__held_out=False,
    )
    if judge.model is None or not can_see(judge.model):
        rows = rows.filter(pair__prompt__media=[])
    counted = rows.values_list("pair", "pair__prompt__key", "outcome").annotate(
        votes=Count("pk"), reasons=Count("pk", filter=~Q(rationale=""))
    )
    votes: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    reasons: Counter[int] = Counter()
    for pair, prompt, outcome, n, why in counted.order_by():
        votes[pair, prompt][outcome] += n
        reasons[pair] += why
    sides = {place: majority(cast.elements()) for place, cast in votes.items()}
    return [
        Decided(pair, prompt, side, reasons[pair])
        for (pair, prompt), side in sides.items()
        if side in {"a", "b"}
    ]
