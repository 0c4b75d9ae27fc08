"""Pipelines as models: layers over the project's own models, checked, kept and told in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from steelyard.accounts.models import User
from steelyard.inference.pipelines.config import Component, Config, read_config
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion, PipelineMember
from steelyard.registry.services import check_new_name, register_model
from steelyard.runs.models import Run

MEMBERS = (ModelFamily.CAUSAL_LM, ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT)
"""Families that a pipeline may be made of: those that write."""
TITLES = {
    "generator": gettext_lazy("Generate"),
    "critic": gettext_lazy("Criticise"),
    "ranker": gettext_lazy("Rank"),
    "fuser": gettext_lazy("Fuse"),
    "verifier": gettext_lazy("Verify"),
    "unit_test_generator": gettext_lazy("Write tests"),
    "unit_test_evaluator": gettext_lazy("Test"),
}


@dataclass(frozen=True)
class Shown:
    """A layer as a page lists it."""

    number: int
    type: str
    title: str
    parts: list[tuple[str, str]]
    """A member's name, and what it does in words."""
    calls: int
    candidates: int


def members_of(project: Project) -> dict[str, ModelVersion]:
    """The models that a pipeline may be made of, by name."""
    rows = ModelVersion.objects.filter(project=project, modality=Modality.TEXT, family__in=MEMBERS)
    return {model.name: model for model in rows.as_they_are().order_by("name")}


def checked(project: Project, layers: Any, name: str = "") -> tuple[Config, list[ModelVersion]]:
    """The layers of a pipeline of this project, and its members.

    Args:
        layers: a list of layers, or an object with ``layers``; models by name or number.
        name: of the pipeline itself, which it may not be a member of.

    Raises:
        UserError: ``bad_pipeline``, naming layer and place; ``cannot_generate``.
    """
    if project.modality != Modality.TEXT:
        raise UserError(
            _("A pipeline writes text, and this project is of %(modality)s.")
            % {"modality": project.modality},
            code="cannot_generate",
            field="layers",
        )
    rows = ModelVersion.objects.filter(project=project)
    config = read_config(_by_name(layers, {model.pk: model.name for model in rows.only("name")}))
    known = members_of(project)
    for number, layer in enumerate(config.layers, 1):
        for place, one in enumerate(layer, 1):
            if one.model not in known:
                raise UserError(
                    _("Layer %(layer)s, place %(place)s: %(why)s")
                    % {"layer": number, "place": place, "why": _why_not(project, one.model, name)},
                    code="bad_pipeline",
                    field="layers",
                )
    return config, [known[member] for member in config.models]


def _why_not(project: Project, member: str, name: str) -> str:
    if member == name.strip():
        return _("A pipeline cannot be a member of itself.")
    model = ModelVersion.objects.filter(project=project, name=member).first()
    if model is None:
        return _("This project has no model called “%(name)s”.") % {"name": member}
    if model.family == ModelFamily.PIPELINE:
        return _("%(name)s is a pipeline. Put its layers here instead.") % {"name": member}
    if model.revisions:
        return _("%(model)s revises its answers, which a member does not. Choose %(base)s.") % {
            "model": member,
            "base": model.base,
        }
    return _("%(name)s does not write. Choose a language model or an endpoint.") % {"name": member}


@transaction.atomic
def add_pipeline(
    *, project: Project, name: str, layers: Any, by: User | None, made_by: Run | None = None
) -> ModelVersion:
    """Register a pipeline. It never changes, and none of its members can go before it.

    Args:
        made_by: the search that found it.

    Raises:
        UserError: as :func:`checked`, or the name is none or taken.
    """
    name = check_new_name(project=project, name=name)
    config, members = checked(project, layers, name)
    model = register_model(
        project=project,
        name=name,
        modality=Modality.TEXT,
        family=ModelFamily.PIPELINE,
        options={"layers": config.as_list()},
        made_by=made_by,
        by=by,
    )
    PipelineMember.objects.bulk_create(
        [PipelineMember(pipeline=model, model=member) for member in members]
    )
    return model


def config_of(model: ModelVersion) -> Config:
    return read_config(model.options["layers"])


def in_words(config: Config) -> list[Shown]:
    """The layers as a readable list."""
    return [
        Shown(
            number=number,
            type=layer[0].type,
            title=str(TITLES[layer[0].type]),
            parts=[(one.model, _does(one)) for one in layer],
            calls=calls,
            candidates=candidates,
        )
        for number, (layer, (calls, candidates)) in enumerate(
            zip(config.layers, config.counted(), strict=True), 1
        )
    ]


def _does(one: Component) -> str:
    said = [_task(one)]
    if one.temperature is not None:
        said.append(_("temperature %(value)s") % {"value": f"{one.temperature:g}"})
    if one.max_new_tokens is not None:
        said.append(
            ngettext("at most %(n)s token", "at most %(n)s tokens", one.max_new_tokens)
            % {"n": one.max_new_tokens}
        )
    return ", ".join(said)


def _task(one: Component) -> str:
    if one.type == "generator":
        return ngettext("writes %(n)s answer", "writes %(n)s answers", one.samples) % {
            "n": one.samples
        }
    if one.type == "fuser":
        return ngettext(
            "makes %(n)s answer of those before", "makes %(n)s answers of those before", one.samples
        ) % {"n": one.samples}
    if one.type == "critic":
        return _("says of each answer what is good and what is not")
    if one.type == "verifier":
        return _("lets on the answers that it finds right; all where it finds none")
    if one.type == "unit_test_generator":
        return ngettext(
            "writes %(n)s statement that a good answer meets",
            "writes %(n)s statements that a good answer meets",
            one.tests,
        ) % {"n": one.tests}
    what = (
        _("puts the answers in order by how many statements they meet")
        if one.type == "unit_test_evaluator"
        else _("puts the answers in order")
    )
    if one.top_k is None:
        return what
    return ngettext(
        "%(what)s and lets the best on", "%(what)s and lets the best %(n)s on", one.top_k
    ) % {"what": what, "n": one.top_k}


def examples(names: list[str]) -> dict[str, tuple[str, list[list[dict[str, Any]]]]]:
    """Pipelines to begin with, over models of these names: a title and layers."""
    first = names[0]
    second = names[1] if len(names) > 1 else first
    drawn: dict[str, Any] = {"type": "generator", "model": first, "samples": 4, "temperature": 0.9}
    both = [
        {"type": "generator", "model": first, "samples": 2, "temperature": 0.9},
        {"type": "generator", "model": second, "samples": 2, "temperature": 0.9},
    ]
    return {
        "best-of-n": (
            _("Best of four"),
            [[drawn], [{"type": "ranker", "model": second, "top_k": 1}]],
        ),
        "fuse": (
            _("Generate, criticise, fuse"),
            [both, [{"type": "critic", "model": first}], [{"type": "fuser", "model": first}]],
        ),
        "tests": (
            _("Unit tests"),
            [
                [drawn],
                [{"type": "unit_test_generator", "model": second, "tests": 5}],
                [{"type": "unit_test_evaluator", "model": second, "top_k": 1}],
            ],
        ),
        "verify": (
            _("Criticise, rank, fuse, verify"),
            [
                both,
                [{"type": "critic", "model": first}],
                [{"type": "ranker", "model": first, "top_k": 3}],
                [{"type": "fuser", "model": first, "samples": 2}],
                [{"type": "verifier", "model": second}],
            ],
        ),
    }


def _by_name(layers: Any, names: Mapping[int, str]) -> Any:
    """With names where models stand by their numbers; what is malformed stays so."""
    if isinstance(layers, Mapping):
        return {**layers, "layers": _by_name(layers.get("layers"), names)}
    if not isinstance(layers, list):
        return layers
    return [
        [
            {**one, "model": names.get(one["model"], f"#{one['model']}")}
            if isinstance(one, Mapping) and type(one.get("model")) is int
            else one
            for one in layer
        ]
        if isinstance(layer, list)
        else layer
        for layer in layers
    ]
