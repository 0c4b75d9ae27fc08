from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from steelyard.projects.models import Membership, Modality, Project, Role
from steelyard.web.api import StrictSerializer


class LabelSchemeSerializer(StrictSerializer):
    """What annotators may answer; what is left out has a default."""

    tie = serializers.BooleanField(required=False)
    both_bad = serializers.BooleanField(required=False)
    rationale_required = serializers.BooleanField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    aspects = serializers.ListField(child=serializers.CharField(), required=False)


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
            "lease_seconds",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(LabelSchemeSerializer)
    def get_label_scheme(self, project: Project) -> dict[str, Any]:
        return project.scheme


class ProjectSettings(StrictSerializer):
    """What ``PATCH`` takes: any of these."""

    name = serializers.CharField(max_length=200, required=False)
    guidelines = serializers.CharField(required=False, allow_blank=True)
    label_scheme = LabelSchemeSerializer(required=False)
    overlap = serializers.IntegerField(min_value=1, max_value=100, required=False)
    lease_seconds = serializers.IntegerField(min_value=60, max_value=86_400, required=False)


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
