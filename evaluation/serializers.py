from __future__ import annotations

from typing import Any

from rest_framework import serializers

from evaluation.models import Evaluation
from evaluation.presets import PRESETS
from evaluation.prompts import SOURCES
from evaluation.sampling import sampling_used
from evaluation.services_round import LONGEST, MOST_SAMPLES, MOST_TYPED, PAIRINGS
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion
from steelyard.runs.serializers import RunSerializer
from steelyard.web.api import StrictSerializer


class EvaluationRequest(StrictSerializer):
    """What ``POST evaluations`` takes."""

    name = serializers.CharField(max_length=200)
    baseline = serializers.CharField(help_text="Name of a model version of the project.")
    candidates = serializers.ListField(
        child=serializers.CharField(), min_length=1, help_text="Names of model versions."
    )
    people = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Whether people compare, in the labelling queue; where nothing is said, they do "
        "unless judges are named. Nobody need be asked where models' outputs have votes already.",
    )
    judges = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        default=list,
        help_text="Names of annotators of kind judge, each of which compares for itself.",
    )
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=list(SOURCES),
        required=False,
        default="held_out",
        help_text="Where its prompts are from: held-out ones, the test split of a version, a set.",
    )
    version = serializers.IntegerField(required=False, help_text="Id of a dataset version.")
    set = serializers.IntegerField(required=False, help_text="Id of a prompt set.")
    category = serializers.CharField(required=False, allow_blank=True, default="")
    limit = serializers.IntegerField(required=False, min_value=0, default=0)
    preset = serializers.ChoiceField(
        choices=list(PRESETS),
        required=False,
        allow_blank=True,
        default="",
        help_text="The protocol whose figures are reckoned besides; settings are as said here.",
    )
    questions = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        default=list,
        help_text="Aspects of the label scheme that have a win rate each.",
    )
    plan = serializers.DictField(
        required=False,
        default=dict,
        help_text="How people are asked: pairs (all, active), budget (votes), random_share, stop "
        "(fixed, always_valid), alpha, delta; all pairs at once where nothing is said.",
    )
    sampling = serializers.DictField(
        required=False,
        default=dict,
        help_text="Text: max_new_tokens, temperature, top_p; images: steps, guidance, size; "
        "videos: steps, guidance, frames, fps, width, height. It goes before a model's own.",
    )
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1, default=0)
    same_seeds = serializers.BooleanField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Whether all models draw from the same seeds: true for text, false for images "
        "and videos where nothing is said, since equal seeds mislead there.",
    )


class JudgeRequest(StrictSerializer):
    """What ``POST evaluations/{id}/judges`` takes."""

    judge = serializers.CharField(help_text="Name of an annotator of kind judge.")


class RoundRequest(StrictSerializer):
    """What ``POST rounds`` takes."""

    model = serializers.CharField(help_text="Name of the model version whose answers are judged.")
    opponent = serializers.CharField(
        required=False,
        help_text="Name of another, whose answers stand beside them; a second answer of the model "
        "itself where none is named.",
    )
    category = serializers.CharField(required=False, allow_blank=True, default="")
    limit = serializers.IntegerField(
        required=False, min_value=0, default=0, help_text="At most so many prompts; 0 for all."
    )
    sampling = serializers.DictField(required=False, default=dict, help_text="As of evaluations.")
    seed = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Another one each round."
    )


class PromptSetSerializer(StrictSerializer):
    """Which prompts are answered."""

    held_out = serializers.BooleanField(
        default=False, help_text="Those that are held out; those that are not where false."
    )
    category = serializers.CharField(required=False, allow_blank=True, default="")
    limit = serializers.IntegerField(
        required=False, min_value=0, default=0, help_text="At most so many; 0 for all."
    )
    version = serializers.IntegerField(
        required=False,
        help_text="Id of a dataset version: those that it tests with, held out or not.",
    )


class GenerationRequest(StrictSerializer):
    """What ``POST generations`` takes."""

    models = serializers.ListField(
        child=serializers.CharField(), min_length=1, help_text="Names of model versions."
    )
    prompt_set = PromptSetSerializer(required=False)
    prompts = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST),
        required=False,
        default=list,
        max_length=MOST_TYPED,
        help_text="Words of prompts instead; what is not in the project yet is added.",
    )
    samples = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_SAMPLES,
        default=1,
        help_text="Outputs of each model to each prompt.",
    )
    pairing = serializers.ChoiceField(
        choices=PAIRINGS,
        default="models",
        help_text="models: each two models' outputs come as a pair into the labelling queue; "
        "seeds: each output beside the model's next one; none: they are only made.",
    )
    same_seeds = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="As of evaluations."
    )
    sampling = serializers.DictField(required=False, default=dict, help_text="As of evaluations.")
    seed = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Another one each time."
    )


class MadeSerializer(serializers.Serializer):
    """One output that a generation has made."""

    prompt = serializers.CharField(help_text="Key of the prompt.")
    model = serializers.CharField()
    sample = serializers.IntegerField()
    seed = serializers.IntegerField()
    text = serializers.CharField(trim_whitespace=False, help_text="Empty for pictures and clips.")
    file = serializers.CharField(help_text="Address of the picture or clip; empty for texts.")


class GenerationSerializer(serializers.Serializer):
    """A generation, which is a run of its own, and what it has made so far."""

    run = RunSerializer()
    outputs = MadeSerializer(many=True)


class EffectSerializer(serializers.Serializer):
    """A difference in standard deviations, positive where the candidate is better."""

    size = serializers.FloatField()
    lo = serializers.FloatField(allow_null=True, help_text="95 % interval clustered by prompt")
    hi = serializers.FloatField(allow_null=True)
    pairs = serializers.IntegerField()
    prompts = serializers.IntegerField()


class WinRateSerializer(serializers.Serializer):
    """One candidate against the baseline by people or by judges."""

    candidate = serializers.CharField(source="candidate.name")
    source = serializers.CharField(help_text="people or judges")  # type: ignore[assignment]
    judge = serializers.CharField(source="judge.name", default=None, allow_null=True)
    win_rate = serializers.FloatField(
        source="rate.rate", help_text="0 to 1, ties as half, every prompt alike"
    )
    lo = serializers.FloatField(
        source="rate.lo", allow_null=True, help_text="95 % interval clustered by prompt"
    )
    hi = serializers.FloatField(source="rate.hi", allow_null=True)
    reason = serializers.CharField(
        source="rate.reason", allow_blank=True, help_text="Why there is no interval."
    )
    asked = serializers.BooleanField(
        help_text="Whether the evaluation asks this source; else its votes were there already."
    )
    votes = serializers.IntegerField(help_text="Votes given; identical outputs have none.")
    prompts = serializers.IntegerField(source="rate.prompts")
    wins = serializers.IntegerField(source="rate.wins")
    ties = serializers.IntegerField(
        source="rate.ties", help_text="Votes for a tie, and comparisons of identical outputs."
    )
    losses = serializers.IntegerField(source="rate.losses")
    both_bad = serializers.IntegerField()
    identical = serializers.IntegerField(
        help_text="Comparisons of two identical outputs: a tie each, and no vote."
    )
    comparisons = serializers.IntegerField()
    judged = serializers.IntegerField()
    scored = EffectSerializer(
        allow_null=True, help_text="Cohen's d of the scores, where a scorer judged."
    )
    strength = EffectSerializer(
        allow_null=True, help_text="Mean strength of other verdicts, where they have any."
    )


class AspectSerializer(serializers.Serializer):
    """A win rate by one question besides the overall verdict."""

    candidate = serializers.CharField(source="candidate.name")
    source = serializers.CharField(help_text="people or judges")  # type: ignore[assignment]
    judge = serializers.CharField(source="judge.name", default=None, allow_null=True)
    question = serializers.CharField(source="row.name")
    win_rate = serializers.FloatField(source="row.value")
    lo = serializers.FloatField(source="row.lo", allow_null=True)
    hi = serializers.FloatField(source="row.hi", allow_null=True)
    prompts = serializers.IntegerField(source="row.n")


class RoutedRateSerializer(serializers.Serializer):
    """What people would say of all comparisons, from those drawn by how unsure judges were."""

    candidate = serializers.CharField(source="model.name")
    win_rate = serializers.FloatField(
        source="found.estimate.rate",
        default=None,
        allow_null=True,
        help_text="Null under 30 prompts with votes of people.",
    )
    lo = serializers.FloatField(
        source="found.estimate.lo",
        default=None,
        allow_null=True,
        help_text="95 % interval clustered by prompt",
    )
    hi = serializers.FloatField(source="found.estimate.hi", default=None, allow_null=True)
    judges = serializers.FloatField(
        source="found.estimate.judge",
        default=None,
        allow_null=True,
        help_text="The judges' own win rate on all of them.",
    )
    weight = serializers.FloatField(
        source="found.estimate.weight",
        default=None,
        allow_null=True,
        help_text="How much the judges count: 0 not at all, 1 as much as people.",
    )
    labelled = serializers.IntegerField(
        source="found.labelled", help_text="Comparisons with votes of people."
    )
    waiting = serializers.IntegerField(
        source="found.waiting", help_text="Drawn ones that nobody has judged yet."
    )
    comparisons = serializers.IntegerField(source="found.comparisons")


class ProtocolFigureSerializer(serializers.Serializer):
    """A win rate reckoned by the evaluation's protocol."""

    candidate = serializers.CharField(source="candidate.name")
    source = serializers.CharField(help_text="people or judges")  # type: ignore[assignment]
    judge = serializers.CharField(source="judge.name", default=None, allow_null=True)
    name = serializers.CharField()
    win_rate = serializers.FloatField(source="rate", allow_null=True)
    lo = serializers.FloatField(allow_null=True)
    hi = serializers.FloatField(allow_null=True)
    words = serializers.CharField(help_text="What it is, or why there is none.")


class CountsSerializer(serializers.Serializer):
    """What became of prompts and outputs, by model's name."""

    reused = serializers.DictField(
        child=serializers.IntegerField(),
        default=dict,
        help_text="Outputs that were there already, by the same sampling and seed.",
    )
    missing = serializers.DictField(
        child=serializers.IntegerField(), default=dict, help_text="Prompts without an output."
    )
    trained_on = serializers.DictField(
        child=serializers.IntegerField(),
        default=dict,
        help_text="Prompts that were left out, because the model was trained on them.",
    )
    refused = serializers.DictField(
        child=serializers.CharField(),
        default=dict,
        help_text="By judge, why it could not be asked.",
    )


class SeatSerializer(serializers.Serializer):
    """A judge or scorer of an evaluation."""

    judge = serializers.CharField(source="judge.name")
    run = serializers.IntegerField(
        source="run_id", allow_null=True, help_text="Its judging run, once there is one."
    )
    state = serializers.CharField(
        source="run.state", default="", allow_blank=True, help_text="Of that run."
    )


class EvaluationSerializer(serializers.ModelSerializer):
    baseline = serializers.CharField(source="baseline.name")
    candidates: serializers.Field = serializers.SlugRelatedField("name", many=True, read_only=True)
    people = serializers.BooleanField(source="ask_people")
    panel = SeatSerializer(source="seats", many=True)
    counts = CountsSerializer()
    questions = serializers.SerializerMethodField()
    generation = serializers.IntegerField(source="generation_id", allow_null=True)
    finished = serializers.BooleanField(
        help_text="Nothing is left to wait for: it failed, or its judges are done and people have "
        "given each comparison the votes that it wants."
    )
    sampling = serializers.DictField(help_text="What was asked for; it goes before a model's own.")
    samplings = serializers.SerializerMethodField(
        help_text="By model, how it answers: what was asked for, its own setting, the defaults; "
        "null of one whose outputs were imported."
    )

    def get_questions(self, evaluation: Evaluation) -> list[str]:
        return [one["name"] for one in evaluation.questions]

    def get_samplings(self, evaluation: Evaluation) -> dict[str, dict[str, Any] | None]:
        models = [evaluation.baseline, *evaluation.candidates.all()]
        return {
            model.name: sampling_used(model, evaluation.sampling) if model.can_generate else None
            for model in models
        }

    class Meta:
        model = Evaluation
        fields = [
            "id",
            "name",
            "baseline",
            "candidates",
            "people",
            "panel",
            "preset",
            "questions",
            "plan",
            "counts",
            "state",
            "finished",
            "prompt_set",
            "sampling",
            "samplings",
            "seed",
            "same_seeds",
            "error",
            "generation",
            "created_at",
        ]
        read_only_fields = fields


class EvaluationDetailSerializer(EvaluationSerializer):
    win_rates = WinRateSerializer(many=True, read_only=True)
    aspects = AspectSerializer(many=True, read_only=True)
    figures = ProtocolFigureSerializer(many=True, read_only=True)
    routed = RoutedRateSerializer(
        many=True, read_only=True, help_text="Of an evaluation whose pairs were drawn for people."
    )
    unreadable = serializers.DictField(
        child=serializers.IntegerField(),
        read_only=True,
        help_text="By judge, how many of its answers no verdict could be read in; in no win rate.",
    )

    class Meta(EvaluationSerializer.Meta):
        fields = [
            *EvaluationSerializer.Meta.fields,
            "win_rates",
            "aspects",
            "figures",
            "routed",
            "unreadable",
        ]
        read_only_fields = fields


def models_named(project: Project, names: list[str], *, field: str) -> list[ModelVersion]:
    """The project's model versions of those names, in that order.

    Raises:
        serializers.ValidationError: a name is unknown; ``field`` is where it stood.
    """
    found = {m.name: m for m in ModelVersion.objects.filter(project=project, name__in=names)}
    missing = [name for name in names if name not in found]
    if missing:
        raise serializers.ValidationError(
            {field: [f"No model version of this project is named {missing[0]!r}."]}
        )
    return [found[name] for name in names]
