from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from steelyard.registry.querysets import DatasetVersionQuerySet, ModelVersionQuerySet
from steelyard.web.sealing import opened


class Dataset(models.Model):
    """A named line of versions within a project."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="datasets")
    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="dataset_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """An immutable, content-addressed, numbered snapshot. There is no way to change one."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="versions")
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children"
    )
    recipe = models.JSONField()
    manifest = models.JSONField()
    note = models.CharField(max_length=300, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once"),
            models.UniqueConstraint(fields=["dataset", "digest"], name="version_digest_once"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("A dataset version never changes; publish a new one.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("registry:version-detail", args=[self.project.slug, self.pk])

    @property
    def counts(self) -> dict[str, int]:
        return self.manifest["counts"]

    @property
    def dir(self) -> Path:
        return Path(settings.VERSIONS_DIR) / self.digest

    @property
    def files(self) -> list[Path]:
        """The Parquet files, one after another in the order of the rows."""
        return [self.dir / file["name"] for file in self.manifest["files"]]

    @property
    def lost(self) -> list[Path]:
        """Those that are not on this server's disk."""
        return [path for path in self.files if not path.exists()]

    @property
    def parquet(self) -> Path:
        """The first file; of a small version the only one."""
        return self.files[0]


class VersionTag(models.Model):
    """A name for one version of a dataset that can be moved to another: “paper”, “best so far”."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="version_tags")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="tags")
    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=60)
    moved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="version_tag_once")]

    def __str__(self) -> str:
        return self.name


class VersionNote(models.Model):
    """What somebody has found out about a version since. Notes are added, never changed."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="version_notes")
    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="notes")
    text = models.TextField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at", "pk"]

    def __str__(self) -> str:
        return self.text[:80]


class ModelFamily(models.TextChoices):
    CAUSAL_LM = "causal_lm", _("Language model")
    VISION_LANGUAGE = "vision_language", _("Vision-language model")
    CLASS_UNET = "class_unet", _("Class-conditional image model")
    STABLE_DIFFUSION = "stable_diffusion", _("Stable Diffusion 1 and 2")
    STABLE_DIFFUSION_XL = "stable_diffusion_xl", _("Stable Diffusion XL")
    STABLE_DIFFUSION_3 = "stable_diffusion_3", _("Stable Diffusion 3 and 3.5")
    FLUX = "flux", _("Flux.1")
    QWEN_IMAGE = "qwen_image", _("Qwen-Image")
    SANA = "sana", _("Sana")
    WAN = "wan", _("Wan")
    COGVIDEOX = "cogvideox", _("CogVideoX")
    LTX_VIDEO = "ltx_video", _("LTX-Video")
    HUNYUAN_VIDEO = "hunyuan_video", _("HunyuanVideo")
    ENDPOINT = "endpoint", _("HTTP endpoint")
    PIPELINE = "pipeline", _("Pipeline of models")
    IMPORTED = "imported", _("Imported outputs only")


class ModelVersion(models.Model):
    """Weights, an adapter or an endpoint, with what made it."""

    project = models.ForeignKey("projects.Project", models.CASCADE, related_name="models")
    name = models.CharField(max_length=200)
    modality = models.CharField(max_length=10)
    family = models.CharField(max_length=20, choices=ModelFamily.choices)
    source = models.CharField(
        max_length=500, blank=True, help_text="Local path, hub name, or the endpoint's base URL."
    )
    adapter = models.CharField(max_length=500, blank=True, help_text="Folder of the adapter.")
    options = models.JSONField(
        default=dict, blank=True, help_text="Default sampling; for an endpoint its model and key."
    )
    base = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="descendants"
    )
    made_by = models.ForeignKey(
        "runs.Run", models.PROTECT, null=True, blank=True, related_name="models"
    )
    trained_on = models.ForeignKey(
        DatasetVersion, models.PROTECT, null=True, blank=True, related_name="models"
    )
    members = models.ManyToManyField(
        "self",
        through="PipelineMember",
        through_fields=("pipeline", "model"),
        symmetrical=False,
        related_name="pipelines",
        help_text="The models that a pipeline is made of.",
    )
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the weights.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="model_name_once")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("registry:model-detail", args=[self.project.slug, self.pk])

    @property
    def can_generate(self) -> bool:
        """Whether it makes outputs of its project; one that writes judges pictures, no more."""
        return self.family != ModelFamily.IMPORTED and self.modality == self.project.modality

    @property
    def can_train(self) -> bool:
        """Whether it has weights of its own; one with revisions has those of its base."""
        weightless = {ModelFamily.ENDPOINT, ModelFamily.IMPORTED, ModelFamily.PIPELINE}
        return self.family not in weightless and not self.revisions

    @property
    def revisions(self) -> int:
        """How often it improves on its own last answer; 0 for a model as it is."""
        return int(self.options.get("revisions", 0))

    @property
    def can_revise(self) -> bool:
        """Whether it has learnt to improve an answer, by the words kept in ``revising``."""
        return bool(self.options.get("revising")) and not self.revisions

    @property
    def families(self) -> list[str]:
        """Of all models that are loaded when this one is: a pipeline's members, else its own."""
        if self.family != ModelFamily.PIPELINE:
            return [self.family]
        return [member.family for member in self.members.all()]

    @property
    def is_unsure(self) -> bool:
        """Whether it has a hub's name that the hub could not be asked about when it was added."""
        return self.options.get("hub") == "not asked"

    @property
    def label_control(self) -> str:
        """random or reversed where it has learnt from such labels, to compare a real model with."""
        return str(self.options.get("label_control", ""))

    @property
    def step(self) -> int | None:
        """After how many steps of its run it was kept; None where it is what a run ended with, or
        was made by none."""
        return self.options.get("checkpoint", {}).get("step")

    @property
    def steps_trained(self) -> int | None:
        """Of its training run: those of a checkpoint, or all of them."""
        if self.step is not None or self.made_by is None or self.made_by.kind != "train":
            return self.step
        return ((self.made_by.result or {}).get("counts") or {}).get("steps")

    def ancestors(self) -> list[ModelVersion]:
        """What it was trained from, the nearest first."""
        chain, base = [], self.base
        while base is not None and base not in chain:
            chain.append(base)
            base = base.base
        return chain

    @property
    def has_key(self) -> bool:
        """Whether an endpoint's key is kept; the key itself no page shows."""
        return bool(self.options.get("api_key"))

    @property
    def prices(self) -> tuple[float, float] | None:
        """What a million tokens asked and answered cost at an endpoint; None where neither is
        known. One that is not said costs nothing, as with many who sell tokens."""
        said = [self.options.get(name) for name in ("price_in", "price_out")]
        return None if said == [None, None] else (said[0] or 0.0, said[1] or 0.0)

    def as_spec(self) -> dict[str, Any]:
        """What ``run.json`` says of the model; an endpoint's key is never in it."""
        spec: dict[str, Any] = {
            "name": self.name,
            "modality": self.modality,
            "family": self.family,
            "source": self.source,
            "adapters": self.adapters(),
            "sampling": self.options.get("sampling", {}),
        }
        if self.revisions:
            spec["revisions"] = {"times": self.revisions, "asked": self.options["revising"]}
        if self.family == ModelFamily.ENDPOINT:
            spec |= {"base_url": self.source, "model": self.options.get("model", "")}
            if self.options.get("api_key"):
                spec["api_key_env"] = self.key_variable
        if self.family == ModelFamily.PIPELINE:
            kept = settings.DATA_DIR / "cache"
            spec |= {
                "layers": self.options["layers"],
                "members": {member.name: member.as_spec() for member in self.members.all()},
                "calls": str(kept / "pipelines" / f"{self.project_id}.sqlite"),
                "pace": str(kept / "judging" / "pace.sqlite"),
            }
        return spec

    def adapters(self) -> list[str]:
        """Folders of the adapters that lie on ``source``, the first trained one first: a model
        trained from one with an adapter adds its own on top, one with revisions adds none."""
        if not (self.adapter or self.revisions):
            return []
        below = self.base.adapters() if self.base else []
        return [*below, self.adapter] if self.adapter else below

    @property
    def key_variable(self) -> str:
        """The environment variable in which an engine's process is given the endpoint's key."""
        return f"STEELYARD_MODEL_{self.pk}_KEY"

    def secrets(self) -> dict[str, str]:
        """For the environment of an engine that uses this model, and for nothing else."""
        if self.family == ModelFamily.PIPELINE:
            return {k: key for one in self.members.all() for k, key in one.secrets().items()}
        key = self.options.get("api_key")
        return {self.key_variable: opened(key)} if key else {}


class PipelineMember(models.Model):
    """A model that a pipeline is made of, which therefore cannot go before it."""

    pipeline = models.ForeignKey(ModelVersion, models.CASCADE, related_name="+")
    model = models.ForeignKey(ModelVersion, models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pipeline", "model"], name="pipeline_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.pipeline} ← {self.model}"
