from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.models.outcome import Outcome
from annotation.querysets import QUEUE_ORDERS, PairQuerySet, PromptQuerySet
from steelyard.assets.models import Asset


class Prompt(models.Model):
    """What was asked: chat messages, with a category and perhaps a reference answer."""

    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="prompts", db_index=False
    )
    messages = models.JSONField(help_text="[{role, content}]")
    media = models.JSONField(
        default=list,
        blank=True,
        help_text="SHA-256 of the pictures and clips that the last user's message asks about.",
    )
    category = models.CharField(max_length=100, blank=True)
    reference_answer = models.TextField(blank=True)
    held_out = models.BooleanField(
        default=False, help_text="Kept for evaluation: never in a dataset version."
    )
    key = models.CharField(max_length=64, help_text="SHA-256 of messages and media")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="prompt_once")]
        # read by lists of the API and by filters, newest first; the first stands in for an index of
        # the project alone
        indexes = [
            models.Index(fields=["project", "id"], name="prompt_listed"),
            models.Index(fields=["project", "category", "id"], name="prompt_in_category"),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def text(self) -> str:
        """The last thing the user said."""
        asked = [m["content"] for m in self.messages if m["role"] == "user"]
        return asked[-1] if asked else ""

    @property
    def gist(self) -> str:
        """What tells it from others in a table: of several turns the first, and their number."""
        turns = list(takewhile(lambda said: said["role"] == "user", reversed(self.messages)))
        if len(turns) < 2:
            return self.text
        asked = str(Truncator(turns[-1]["content"]).chars(60)).rstrip("…")
        return gettext("%(asked)s… (%(number)s turns)") % {"asked": asked, "number": len(turns)}

    @cached_property
    def assets(self) -> list[Asset]:
        """The files that it is about, in order, with their renditions; asked for once."""
        Prompt.fill_assets([self])
        return self.__dict__["assets"]

    @staticmethod
    def fill_assets(prompts: Iterable[Prompt]) -> None:
        """Give many prompts of one project their ``assets``, with two queries at most."""
        asked = [prompt for prompt in prompts if prompt.media]
        found = {}
        if asked:
            wanted = {sha256 for prompt in asked for sha256 in prompt.media}
            rows = Asset.objects.filter(project=asked[0].project_id, sha256__in=wanted)
            rows = rows.select_related("project").with_renditions()
            found = {asset.sha256: asset for asset in rows}
        for prompt in prompts:
            prompt.__dict__["assets"] = [found[one] for one in prompt.media if one in found]


class Output(models.Model):
    """One answer to a prompt: text or a file, with the model version that made it."""

    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="outputs", db_index=False
    )
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="outputs")
    model = models.ForeignKey("registry.ModelVersion", models.PROTECT, related_name="outputs")
    author = models.ForeignKey(
        "annotation.Annotator",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="written",
        help_text="The annotator who wrote it as a better answer.",
    )
    text = models.TextField(blank=True)
    asset = models.ForeignKey(
        "assets.Asset", models.PROTECT, null=True, blank=True, related_name="outputs"
    )
    seed = models.BigIntegerField(null=True, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    key = models.CharField(
        max_length=64, help_text="SHA-256 of model name, seed, parameters and content"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "key"], name="output_once"),
        ]
        # read by lists of the API
        indexes = [models.Index(fields=["project", "id"], name="output_listed")]

    def __str__(self) -> str:
        return self.text[:80] or str(self.asset)


class Pair(models.Model):
    """Two outputs of one prompt. Side a is the one with the smaller key, so that the same two
    outputs are the same pair wherever they come from."""

    class Origin(models.TextChoices):
        IMPORT = "import", _("Imported")
        EVALUATION = "evaluation", _("Evaluation")
        CORRECTION = "correction", _("Correction")
        RANKING = "ranking", _("Ranking")
        ARENA = "arena", _("Arena")

    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="pairs", db_index=False
    )
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="pairs")
    output_a = models.ForeignKey(Output, models.PROTECT, related_name="+")
    output_b = models.ForeignKey(Output, models.PROTECT, related_name="+")
    key = models.CharField(max_length=64, help_text="SHA-256 of the prompt and both outputs")
    origin = models.CharField(max_length=12, choices=Origin.choices, default=Origin.IMPORT)
    priority = models.SmallIntegerField(default=0, help_text="Higher is labelled first.")
    wanted = models.PositiveSmallIntegerField(
        default=1, help_text="How many people's judgments it is to get."
    )
    judged = models.PositiveSmallIntegerField(
        default=0, help_text="How many people have judged it; a skip leaves it to others."
    )
    closed = models.BooleanField(default=False, help_text="Taken out of the queue by the owner.")
    group = models.ForeignKey(
        "annotation.Group",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="pairs",
        help_text="Only its members are given the pair.",
    )
    is_training = models.BooleanField(
        default=False, help_text="Shown in the training round alone, never in the queue."
    )
    known_outcome = models.CharField(
        max_length=10, blank=True, choices=Outcome.known(), help_text="The right answer, if known."
    )
    known_reason = models.TextField(blank=True, help_text="Why it is right; told in training.")
    known_first = models.CharField(
        max_length=1,
        blank=True,
        default="",
        db_default="",
        choices=[("a", "a"), ("b", "b")],
        help_text="Which side that reason speaks of as the first; empty where there is no reason.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PairQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="pair_once"),
            models.CheckConstraint(
                condition=~Q(output_a=F("output_b")), name="pair_of_two_outputs"
            ),
            models.CheckConstraint(
                condition=Q(judged__lte=F("wanted")), name="pair_within_overlap"
            ),
        ]
        # read by PairQuerySet.next_for: the open pairs of a group, in each order that a project
        # may choose; the key is a hash, so its order is a shuffled one
        indexes = [
            models.Index(
                fields=["project", "group", "-priority", *order],
                name=f"pair_open_{name}",
                condition=Q(judged__lt=F("wanted"), closed=False, is_training=False),
            )
            for name, order in QUEUE_ORDERS.items()
        ] + [
            # read by lists of the API
            models.Index(fields=["project", "id"], name="pair_listed"),
            # read by the page that lists them
            models.Index(fields=["project", "-priority", "id"], name="pair_in_queue_order"),
            # read by the training round
            models.Index(
                fields=["project", "id"], name="pair_training", condition=Q(is_training=True)
            ),
        ]

    def __str__(self) -> str:
        return f"pair {self.pk}"
