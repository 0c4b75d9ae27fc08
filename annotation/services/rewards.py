"""Scorers that read: how probable the known answer is to a language model after an output."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.judges import new_judge
from annotation.models import Annotator, Pair
from annotation.querysets import PairQuerySet
from steelyard.inference.scorers.base import KINDS
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion

KIND = "answer_probability"
READS = {
    "passages": gettext_lazy("the passages found for it"),
    "output": gettext_lazy("the output itself"),
}
CHOOSE = {
    "farthest": gettext_lazy("of each prompt the two that are farthest apart"),
    "all": gettext_lazy("every pair"),
}
DIMENSIONS = ("reward", "log_probability")
TOP_K, MOST_TOP_K = 5, 20


@transaction.atomic
def create_reward(
    *,
    project: Project,
    name: str,
    model: ModelVersion,
    reads: str = "passages",
    choose: str = "farthest",
    margin: float = 0.0,
    top_k: int = TOP_K,
    dimension: str = "",
    tie_band: float = 0.0,
) -> Annotator:
    """Make an annotator that prefers the output after which the prompt's reference answer is more
    probable. What it is stays.

    Args:
        model: a language model of the project, of which the weights are here.
        reads: before the answer; a key of :data:`READS`.
        choose: which pairs get a verdict; a key of :data:`CHOOSE`.
        margin: a difference of less makes no verdict.
        top_k: how many passages count, the best.
        dimension: one of :data:`DIMENSIONS`; empty is the first.
        tie_band: how many spreads a difference may have and be a tie.

    Raises:
        UserError: naming the field and what would be right.
    """
    name = " ".join(name.split())
    if not name or len(name) > 150:
        raise UserError(_("A scorer needs a name of at most 150 characters."), field="name")
    if project.modality != Modality.TEXT:
        raise UserError(
            _("Answers are read after texts; this project compares pictures or clips."),
            code="wrong_modality",
            field="kind",
        )
    if model.project_id != project.pk or model.family != ModelFamily.CAUSAL_LM:
        raise UserError(
            _("%(model)s is no language model of this project whose weights are here.")
            % {"model": model.name},
            code="not_a_model",
            field="source",
        )
    dimension = dimension.strip() or DIMENSIONS[0]
    for field, said, known in (
        ("reads", reads, READS),
        ("choose", choose, CHOOSE),
        ("dimension", dimension, DIMENSIONS),
    ):
        if said not in known:
            raise UserError(
                _("%(field)s is %(said)s; it must be one of %(names)s.")
                % {"field": field, "said": f"{said!r}", "names": ", ".join(known)},
                field=field,
            )
    _check_numbers(margin, top_k)
    return new_judge(
        project,
        name,
        {
            "model": model,
            "scorer": {
                "kind": KIND,
                "reads": reads,
                "choose": choose,
                "margin": float(margin),
                "top_k": top_k,
                "dimension": dimension,
                "tie_band": float(tie_band),
                "licence": KINDS[KIND].licence,
            },
        },
    )


def _check_numbers(margin: float, top_k: int) -> None:
    if type(margin) not in {int, float} or not 0 <= margin <= 1000:
        raise UserError(_("The margin must be a number, 0 to 1000."), field="margin")
    if type(top_k) is not int or not 1 <= top_k <= MOST_TOP_K:
        raise UserError(
            _("top_k must be a whole number, 1 to %(most)s.") % {"most": MOST_TOP_K}, field="top_k"
        )


def rewardable(judge: Annotator) -> PairQuerySet:
    """Pairs whose prompt has a known answer and, where passages are read, both of whose outputs
    have some."""
    rows = Pair.objects.filter(project=judge.project_id, closed=False, is_training=False)
    rows = rows.filter(prompt__media=[]).exclude(prompt__reference_answer="")
    if judge.scorer["reads"] == "passages":
        rows = rows.filter(output_a__retrieved__isnull=False, output_b__retrieved__isnull=False)
    return rows.not_seen_by(judge)


def check_rewardable(judge: Annotator) -> None:
    """
    Raises:
        UserError: no prompt has an answer, or no output has passages, so that nothing could be
            measured.
    """
    pairs = Pair.objects.filter(project=judge.project_id)
    answered = pairs.exclude(prompt__reference_answer="")
    if not answered.exists():
        raise UserError(
            _("No prompt of these pairs has a reference answer; it is what is measured."),
            code="no_answers",
        )
    wanted = answered.filter(output_a__retrieved__isnull=False)
    if judge.scorer["reads"] == "passages" and not wanted.exists():
        raise UserError(
            _(
                "No output has passages. Bring them in with the rewrites, or import a file of "
                "passages to search."
            ),
            code="no_passages",
        )
