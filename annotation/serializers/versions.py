from __future__ import annotations

from rest_framework import serializers

from annotation.recipe import (
    AGGREGATIONS,
    ANNOTATORS,
    BOTH_BAD,
    CAPS,
    MACHINE_RATIONALES,
    ORIGINS,
    PRELABELLED,
    TIES,
    Recipe,
    help_texts,
)
from steelyard.registry.services import NAME_LIMIT
from steelyard.web.api import StrictSerializer

_HELP = help_texts()
_DEFAULT = Recipe()


class RecipeSerializer(serializers.Serializer):
    """How votes become the rows of a version; what is left out has its default."""

    annotators = serializers.ChoiceField(
        choices=list(ANNOTATORS.items()),
        default=_DEFAULT.annotators,
        help_text=_HELP["annotators"],
    )
    projects = serializers.ListField(
        child=serializers.CharField(), default=list, help_text=_HELP["projects"]
    )
    exclude = serializers.ListField(
        child=serializers.CharField(), default=list, help_text=_HELP["exclude"]
    )
    categories = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        default=list,
        help_text=_HELP["categories"],
    )
    origins = serializers.ListField(
        child=serializers.ChoiceField(choices=list(ORIGINS.items())),
        default=list,
        help_text=_HELP["origins"],
    )
    min_votes = serializers.IntegerField(
        default=_DEFAULT.min_votes, min_value=1, max_value=1000, help_text=_HELP["min_votes"]
    )
    aggregation = serializers.ChoiceField(
        choices=list(AGGREGATIONS.items()),
        default=_DEFAULT.aggregation,
        help_text=_HELP["aggregation"],
    )
    min_agreement = serializers.FloatField(
        default=_DEFAULT.min_agreement,
        min_value=0,
        max_value=1,
        help_text=_HELP["min_agreement"],
    )
    ties = serializers.ChoiceField(
        choices=list(TIES.items()), default=_DEFAULT.ties, help_text=_HELP["ties"]
    )
    both_bad = serializers.ChoiceField(
        choices=list(BOTH_BAD.items()), default=_DEFAULT.both_bad, help_text=_HELP["both_bad"]
    )
    machine_rationales = serializers.ChoiceField(
        choices=[(key, words) for key, words in MACHINE_RATIONALES.items() if key],
        allow_blank=True,
        default=_DEFAULT.machine_rationales,
        help_text=_HELP["machine_rationales"],
    )
    test_fraction = serializers.FloatField(
        default=_DEFAULT.test_fraction,
        min_value=0,
        max_value=0.9,
        help_text=_HELP["test_fraction"],
    )
    seed = serializers.IntegerField(
        default=_DEFAULT.seed, min_value=0, max_value=2**31 - 1, help_text=_HELP["seed"]
    )
    only = serializers.ListField(
        child=serializers.CharField(), default=list, help_text=_HELP["only"]
    )
    since = serializers.DateField(default=None, allow_null=True, help_text=_HELP["since"])
    until = serializers.DateField(default=None, allow_null=True, help_text=_HELP["until"])
    models = serializers.ListField(
        child=serializers.CharField(), default=list, help_text=_HELP["models"]
    )
    without_models = serializers.ListField(
        child=serializers.CharField(), default=list, help_text=_HELP["without_models"]
    )
    min_right = serializers.FloatField(
        default=_DEFAULT.min_right, min_value=0, max_value=1, help_text=_HELP["min_right"]
    )
    min_known = serializers.IntegerField(
        default=_DEFAULT.min_known, min_value=1, max_value=10_000, help_text=_HELP["min_known"]
    )
    min_seconds = serializers.FloatField(
        default=_DEFAULT.min_seconds, min_value=0, max_value=3600, help_text=_HELP["min_seconds"]
    )
    prelabelled = serializers.ChoiceField(
        choices=list(PRELABELLED.items()),
        default=_DEFAULT.prelabelled,
        help_text=_HELP["prelabelled"],
    )
    count_withdrawn = serializers.BooleanField(default=False, help_text=_HELP["count_withdrawn"])
    withdrawals = serializers.ListField(
        child=serializers.CharField(), default=list, help_text=_HELP["withdrawals"]
    )
    min_strength = serializers.FloatField(
        default=_DEFAULT.min_strength, min_value=0, max_value=3, help_text=_HELP["min_strength"]
    )
    cap = serializers.IntegerField(
        default=_DEFAULT.cap, min_value=0, max_value=2**31 - 1, help_text=_HELP["cap"]
    )
    cap_by = serializers.ChoiceField(
        choices=list(CAPS.items()), default=_DEFAULT.cap_by, help_text=_HELP["cap_by"]
    )
    group_similar = serializers.BooleanField(default=False, help_text=_HELP["group_similar"])

    def as_recipe(self) -> Recipe:
        """What the valid parameters say.

        Raises:
            UserError: they contradict one another.
        """
        said = dict(self.validated_data)
        for name in ("since", "until"):
            said[name] = said[name].isoformat() if said[name] else ""
        return Recipe.from_dict(said)


class PublishRequest(StrictSerializer):
    """What ``POST versions/publish`` takes."""

    dataset = serializers.CharField(
        max_length=NAME_LIMIT, help_text="A name that is there already gets its next version."
    )
    recipe = serializers.DictField(
        default=dict, help_text="As ``versions/preview`` takes it; an unknown key is refused."
    )
    note = serializers.CharField(max_length=300, allow_blank=True, default="")
    background = serializers.BooleanField(
        default=None,
        allow_null=True,
        help_text="Whether a run is to freeze it. Left out, one does where it would take long.",
    )


class CategoryCountSerializer(serializers.Serializer):
    category = serializers.CharField()
    train = serializers.IntegerField()
    test = serializers.IntegerField()


class ProjectCountSerializer(serializers.Serializer):
    project = serializers.CharField(help_text="Its name in URLs.")
    train = serializers.IntegerField()
    test = serializers.IntegerField()
    votes = serializers.IntegerField()


class PreviewProblemSerializer(serializers.Serializer):
    code = serializers.CharField()
    message = serializers.CharField()
    field = serializers.CharField(allow_null=True)


class PreviewSerializer(serializers.Serializer):
    """What a recipe would freeze at this moment."""

    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="rows, train, test, ties, prompts, votes, annotators, and dropped_<reason>; "
        "both_bad where such pairs are kept; similar_prompts where similar ones are grouped",
    )
    categories = CategoryCountSerializer(many=True)
    passed_over = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="unlabelled, held_out, other_category, other_model, closed",
    )
    projects = ProjectCountSerializer(
        many=True, help_text="Rows and votes of each project, where several are drawn."
    )
    withdrawals = serializers.ListField(
        child=serializers.CharField(), help_text="The withdrawals whose votes do not count."
    )
    leaks = serializers.IntegerField(
        allow_null=True,
        help_text="Prompts to test on that, but for case, spaces and punctuation, say the same as "
        "one to train on; group_similar keeps them together. Null where there are too many to look "
        "at in a preview: the version's statistics tell.",
    )
    similar_unknown = serializers.BooleanField(
        help_text="Whether there are too many prompts to look for similar ones in a preview."
    )
    about = serializers.BooleanField(
        help_text="Whether the counts are reckoned from a sample, as in a large project."
    )
    warning = serializers.CharField(
        allow_blank=True,
        help_text="What is odd about it, such as an empty test part; it can be published.",
    )
    problem = PreviewProblemSerializer(
        allow_null=True, help_text="Why this cannot be published; null where it can."
    )
