from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from steelyard.web.api import StrictSerializer
from training.engine.config import RECIPES
from training.sweeps.figures import Figure, final_figures
from training.sweeps.measures import MAXIMIZE, MEASURES, MINIMIZE
from training.sweeps.models import Keep, Sampler, Sweep, Trial, TrialRun
from training.sweeps.services import TEST_RULE, TEST_SEEDS, TUNING_RULE, TUNING_SEEDS


class ObjectiveSerializer(StrictSerializer):
    measure = serializers.ChoiceField(choices=list(MEASURES))
    direction = serializers.ChoiceField(
        choices=[MINIMIZE, MAXIMIZE],
        required=False,
        help_text="The measure's usual direction where none is named.",
    )


class HoursField(serializers.FloatField):
    """A number, which JSON may write larger than a float holds."""

    def to_internal_value(self, data: Any) -> float:
        try:
            return super().to_internal_value(data)
        except OverflowError:
            self.fail("invalid")


class SweepRequest(StrictSerializer):
    """What ``POST sweeps`` takes."""

    name = serializers.CharField(max_length=120)
    version = serializers.IntegerField(help_text="Id of a dataset version of the project.")
    base = serializers.CharField(help_text="Name of the model version to start from.")
    recipe = serializers.ChoiceField(choices=sorted(RECIPES))
    model_name = serializers.CharField(
        max_length=150, help_text="What the winner's model is called."
    )
    settings = serializers.DictField(
        required=False, default=dict, help_text="What is the same in every run; see recipes."
    )
    space = serializers.DictField(
        help_text='By setting: {"low", "high", "log"} for a number, or {"choices": […]}.'
    )
    objectives = ObjectiveSerializer(many=True)
    judge = serializers.CharField(
        required=False, default="", help_text="Name of the model that compares, for win_rate."
    )
    criteria = serializers.CharField(
        required=False,
        default="",
        max_length=4000,
        allow_blank=True,
        help_text="What the judge looks for.",
    )
    sampler = serializers.ChoiceField(choices=Sampler.choices, default=Sampler.TPE.value)
    seed = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, default=0, help_text="Of the sampler."
    )
    tuning_seeds = serializers.ListField(
        child=serializers.IntegerField(), default=list(TUNING_SEEDS), help_text=TUNING_RULE
    )
    test_seeds = serializers.ListField(
        child=serializers.IntegerField(), default=list(TEST_SEEDS), help_text=TEST_RULE
    )
    split_held_out = serializers.BooleanField(
        default=True, help_text="Tune on one half of the held-out prompts, test on the other."
    )
    trials = serializers.IntegerField(help_text="At most so many.")
    hours = HoursField(
        required=False, allow_null=True, default=None, help_text="No trial begins after so many."
    )
    at_once = serializers.IntegerField(default=1, help_text="Runs at a time.")
    winners = serializers.IntegerField(
        default=3, help_text="Of several objectives' front, so many are tested at most."
    )
    with_usual = serializers.BooleanField(
        default=True, help_text="Test the usual settings beside the winners."
    )
    prune = serializers.BooleanField(
        default=False, help_text="Stop trials early that are behind; needs eval_every."
    )
    keep = serializers.ChoiceField(choices=Keep.choices, default=Keep.WINNERS.value)


class TrialRunSerializer(serializers.ModelSerializer):
    run = serializers.IntegerField(source="job.run_id", allow_null=True, default=None)

    class Meta:
        model = TrialRun
        fields = ["purpose", "seed", "state", "run", "measured", "hours", "error"]
        read_only_fields = fields


class TrialSerializer(serializers.ModelSerializer):
    """``values`` are tuning figures: they choose the winner and are not to be quoted."""

    runs = TrialRunSerializer(many=True)

    class Meta:
        model = Trial
        fields = ["number", "params", "state", "values", "reached", "error", "is_winner", "runs"]
        read_only_fields = fields


class FigureSerializer(serializers.Serializer):
    measure = serializers.CharField()
    mean = serializers.FloatField()
    low = serializers.FloatField(allow_null=True, help_text="95 % over seeds, Student's t.")
    high = serializers.FloatField(allow_null=True)
    values = serializers.ListField(child=serializers.FloatField(), help_text="One a test seed.")


class FinalSerializer(serializers.Serializer):
    """What test seeds say of a winner, or of the usual settings (trial 0)."""

    trial = serializers.IntegerField()
    is_winner = serializers.BooleanField()
    model = serializers.CharField(allow_null=True)
    figures = FigureSerializer(many=True)
    against_usual = FigureSerializer(many=True)


class SweepSerializer(serializers.ModelSerializer):
    base = serializers.CharField(source="base.name")
    judge = serializers.CharField(source="judge.name", default=None, allow_null=True)
    settings = serializers.JSONField(source="fixed")
    trials_asked = serializers.IntegerField(source="asked", help_text="Trials so far.")

    class Meta:
        model = Sweep
        fields = [
            "id",
            "name",
            "state",
            "paused",
            "why_ended",
            "version",
            "base",
            "recipe",
            "settings",
            "space",
            "objectives",
            "judge",
            "criteria",
            "sampler",
            "seed",
            "tuning_seeds",
            "test_seeds",
            "split_held_out",
            "trials_wanted",
            "trials_asked",
            "hours_wanted",
            "at_once",
            "winners_wanted",
            "with_usual",
            "prune",
            "keep",
            "model_name",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields


class SweepDetailSerializer(SweepSerializer):
    """With its trials, and with the result: ``final`` alone may be quoted."""

    trials = TrialSerializer(many=True)
    final = serializers.SerializerMethodField()

    class Meta(SweepSerializer.Meta):
        fields = [*SweepSerializer.Meta.fields, "importances", "final", "trials"]
        read_only_fields = fields

    @extend_schema_field(FinalSerializer(many=True))
    def get_final(self, sweep: Sweep) -> list[dict[str, Any]]:
        return [
            {
                "trial": final.trial.number,
                "is_winner": final.trial.is_winner,
                "model": final.model and final.model.name,
                "figures": _named(sweep, final.measures),
                "against_usual": _named(sweep, final.against),
            }
            for final in final_figures(sweep)
        ]


def _named(sweep: Sweep, figures: list[Figure | None]) -> list[dict[str, Any]]:
    return [
        {"measure": name, **vars(figure)}
        for name, figure in zip(sweep.measures, figures, strict=False)
        if figure is not None
    ]
