from __future__ import annotations

from rest_framework import serializers

from evaluation.services_pipelines import (
    CALLS,
    FEWEST,
    MOST_BUDGET,
    MOST_CALLS,
    MOST_PROMPTS,
    MOST_SEED,
    MOST_TRIALS,
    PROMPTS,
    TRIALS,
)
from steelyard.web.api import StrictSerializer


class RecordSerializer(serializers.Serializer):
    """Who said what before an output of a pipeline was there."""

    output = serializers.IntegerField(source="output_id")
    turns = serializers.ListField(
        child=serializers.DictField(),
        help_text="A turn of the prompt each: text, calls, tokens_in, tokens_out, and layers with "
        "said (model, text, what was read), before and kept (numbers of candidates).",
    )


class SearchRequest(StrictSerializer):
    """What ``POST pipeline-searches`` takes."""

    generators = serializers.ListField(
        child=serializers.CharField(), help_text="Names of models that answer."
    )
    helpers = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        default=list,
        help_text="Names of models that rank, criticise, fuse and test; else the generators.",
    )
    baseline = serializers.CharField(help_text="Name of the model whose answers are to be beaten.")
    judge = serializers.CharField(help_text="Name of the judge.")
    prompt_set = serializers.IntegerField(
        required=False, help_text="Of a prompt set; the held-out prompts where none is said."
    )
    prompts = serializers.IntegerField(
        required=False,
        default=PROMPTS,
        min_value=FEWEST,
        max_value=MOST_PROMPTS,
        help_text="Of each half, at most.",
    )
    trials = serializers.IntegerField(
        required=False, default=TRIALS, min_value=2, max_value=MOST_TRIALS
    )
    max_calls = serializers.IntegerField(
        required=False,
        default=CALLS,
        min_value=1,
        max_value=MOST_CALLS,
        help_text="Questions to one prompt.",
    )
    budget = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_BUDGET,
        help_text="Questions of the search in all, the judge not counted.",
    )
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=MOST_SEED)


class KeepPipelineRequest(StrictSerializer):
    """What ``POST pipeline-searches/{id}/pipelines`` takes."""

    trial = serializers.IntegerField(min_value=0, max_value=MOST_TRIALS, help_text="Its number.")
    name = serializers.CharField(max_length=200)


class PipelineTrialSerializer(serializers.Serializer):
    number = serializers.IntegerField()
    layers = serializers.ListField(child=serializers.ListField(child=serializers.DictField()))
    rate = serializers.FloatField(help_text="Win rate on the search's prompts.")
    calls = serializers.FloatField(help_text="Questions a prompt.")
    unread = serializers.IntegerField(help_text="Verdicts that could not be read.")
    on_front = serializers.BooleanField(help_text="Whether no other beats it in both.")
    fresh = serializers.DictField(
        allow_null=True,
        help_text="rate, lo, hi, prompts and calls on fresh prompts, where it was scored again.",
    )
    model = serializers.CharField(
        source="model.name", allow_null=True, default=None, help_text="Where it was kept."
    )


class SearchSerializer(serializers.Serializer):
    """A search for pipelines, so far or in the end."""

    run = serializers.IntegerField(source="run.pk")
    state = serializers.CharField(source="run.state")
    judge = serializers.CharField(source="judge.name", allow_null=True, default=None)
    baseline = serializers.CharField(source="baseline.name", allow_null=True, default=None)
    prompts = serializers.DictField(child=serializers.IntegerField(), help_text="Of each part.")
    budget = serializers.IntegerField(source="run.spec.budget")
    trials = PipelineTrialSerializer(many=True)
