from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from steelyard.projects.models import Membership, Modality, Project, QueuePolicy, Role
from steelyard.projects.scheme import CHOICES, LISTS, MAX_NAMES, NUMBERS
from steelyard.projects.services import LIMITS
from steelyard.web.api import StrictSerializer


def _names(key: str, help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=LISTS[key]),
        max_length=MAX_NAMES,
        required=False,
        help_text=help_text,
    )


class LabelSchemeSerializer(StrictSerializer):
    """What annotators may answer; what is left out has a default."""

    task = serializers.ChoiceField(
        choices=CHOICES["task"],
        required=False,
        help_text="Of which kind the material is; for good once there are pairs.",
    )
    tie = serializers.BooleanField(required=False)
    both_bad = serializers.BooleanField(required=False)
    steps = serializers.ChoiceField(
        choices=CHOICES["steps"],
        required=False,
        help_text="Places of the scale, its middle among them.",
    )
    rationale_required = serializers.BooleanField(required=False)
    rationale_min = serializers.IntegerField(
        min_value=0,
        max_value=NUMBERS["rationale_min"],
        required=False,
        help_text="Least letters of a rationale.",
    )
    evidence = serializers.ChoiceField(
        choices=CHOICES["evidence"],
        required=False,
        help_text="Whether a rationale points at places of the answers.",
    )
    correction = serializers.BooleanField(
        required=False, help_text="Whether a better answer may be written; text projects only."
    )
    segments = serializers.BooleanField(
        required=False, help_text="Whether parts get verdicts of their own; video projects only."
    )
    tags = _names("tags", "Reasons to pick from.")
    aspects = _names("aspects", "What is compared besides.")
    skip_reasons = _names("skip_reasons", "Why a pair may be passed over.")
    flag_reasons = _names("flag_reasons", "What may be wrong with a pair; one at least.")


class ProjectSerializer(serializers.ModelSerializer):
    label_scheme = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = [
            "slug",
            "name",
            "modality",
            "guidelines",
            "label_scheme",
            "overlap",
            "overlap_max",
            "lease_seconds",
            "queue_policy",
            "paused",
            "person_cap",
            "day_cap",
            "training_pass",
            "break_minutes",
            "license",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(LabelSchemeSerializer)
    def get_label_scheme(self, project: Project) -> dict[str, Any]:
        return project.scheme


def _number(name: str, **options: Any) -> serializers.IntegerField:
    least, most, _ = LIMITS[name]
    help_text = str(getattr(Project._meta.get_field(name), "help_text", ""))
    return serializers.IntegerField(
        min_value=least, max_value=most, required=False, help_text=help_text, **options
    )


class ProjectSettings(StrictSerializer):
    """What ``PATCH`` takes: any of these."""

    name = serializers.CharField(max_length=200, required=False)
    guidelines = serializers.CharField(required=False, allow_blank=True)
    label_scheme = LabelSchemeSerializer(required=False)
    overlap = _number("overlap")
    overlap_max = _number("overlap_max")
    lease_seconds = _number("lease_seconds")
    queue_policy = serializers.ChoiceField(choices=QueuePolicy.choices, required=False)
    paused = serializers.BooleanField(required=False)
    person_cap = _number("person_cap", allow_null=True)
    day_cap = _number("day_cap", allow_null=True)
    training_pass = _number("training_pass")
    break_minutes = _number("break_minutes")
    license = serializers.CharField(
        max_length=60,
        required=False,
        allow_blank=True,
        help_text=str(Project._meta.get_field("license").help_text),
    )


class ProjectRequest(ProjectSettings):
    """What ``POST projects`` takes."""

    name = serializers.CharField(max_length=200)
    modality = serializers.ChoiceField(choices=Modality.choices)
    slug = serializers.SlugField(
        max_length=80, required=False, help_text="Its name in URLs; made from the name if absent."
    )


class MembershipSerializer(StrictSerializer, serializers.ModelSerializer):
    username = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = Membership
        fields = ["id", "username", "role"]
        read_only_fields = ["id", "username"]


class MemberRequest(StrictSerializer):
    """What ``POST members`` takes."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class OwnMembershipSerializer(serializers.Serializer):
    project = serializers.CharField(source="project.slug")
    role = serializers.ChoiceField(choices=Role.choices)


class MeSerializer(serializers.Serializer):
    """Who asks, and in which projects they have which role."""

    username = serializers.CharField()
    site_admin = serializers.BooleanField(source="is_superuser")
    memberships = OwnMembershipSerializer(many=True)
