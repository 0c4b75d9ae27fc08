"""Pipelines: layers of models that act as one."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project
from steelyard.registry.layered import add_pipeline, checked, config_of
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.web.api import StrictSerializer


class ComponentsField(serializers.ListField):
    """Layers, each a list of components."""

    child = serializers.ListField(child=serializers.DictField())


class PipelineRequest(StrictSerializer):
    """What ``POST pipelines`` takes."""

    name = serializers.CharField(max_length=200)
    layers = ComponentsField(help_text="Layers, each a list of components with type and model.")


class PipelineCheck(StrictSerializer):
    """What ``POST pipelines/check`` takes."""

    layers = ComponentsField(help_text="As of POST pipelines.")


class CheckedSerializer(serializers.Serializer):
    """Layers that may become a pipeline."""

    layers = ComponentsField(help_text="In their shortest form.")
    calls = serializers.IntegerField(help_text="Questions to one prompt, at most.")
    members = serializers.ListField(child=serializers.CharField())


class PipelineSerializer(serializers.ModelSerializer):
    layers = serializers.SerializerMethodField()
    calls = serializers.SerializerMethodField()
    members = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "name",
            "layers",
            "calls",
            "members",
            "made_by",
            "created_by",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(ComponentsField())
    def get_layers(self, model: ModelVersion) -> Any:
        return model.options["layers"]

    def get_calls(self, model: ModelVersion) -> int:
        """Questions to one prompt, at most."""
        return config_of(model).calls

    def get_members(self, model: ModelVersion) -> list[str]:
        """Names of the models that it is made of."""
        return config_of(model).models


class PipelineList(APIView):
    """A project's pipelines, the newest first, and the way to add one."""

    @extend_schema(responses=PipelineSerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        rows = ModelVersion.objects.filter(project=found, family=ModelFamily.PIPELINE)
        return Response(PipelineSerializer(rows.select_related("created_by"), many=True).data)

    @extend_schema(request=PipelineRequest, responses={201: PipelineSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Add a pipeline; what is wrong with it is said by layer and place."""
        found = get_project(user_of(request), project)
        body = PipelineRequest(data=request.data)
        body.is_valid(raise_exception=True)
        made = add_pipeline(project=found, by=user_of(request), **body.validated_data)
        return Response(PipelineSerializer(made).data, status=201)


class PipelineChecked(APIView):
    """Whether layers may become a pipeline; nothing is kept."""

    @extend_schema(request=PipelineCheck, responses=CheckedSerializer)
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = PipelineCheck(data=request.data)
        body.is_valid(raise_exception=True)
        config, _members = checked(found, body.validated_data["layers"])
        made = {"layers": config.as_list(), "calls": config.calls, "members": config.models}
        return Response(CheckedSerializer(made).data)
