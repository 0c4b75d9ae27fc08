"""Plain functions that make one thing with sensible defaults; keyword arguments override."""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import uuid4

from annotation.models import Annotator, Judgment, Output, OutputSet, Pair, Prompt
from annotation.services.material import add_output, add_pair, add_prompt
from annotation.services.sets import add_set
from evaluation.models import OutputRecord
from steelyard.accounts.models import User
from steelyard.projects.models import Membership, Project
from steelyard.registry.layered import add_pipeline
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import register_model

_numbers = [count(1)]
_STRENGTH = {"a": -1, "b": 1}


def number_from(start: int) -> None:
    """What is made without a name is numbered from here on, so that a test makes the same texts
    whichever tests ran before it: what is split or drawn by their hash is then the same too."""
    _numbers[0] = count(start)


def _next() -> int:
    return next(_numbers[0])


def make_user(
    name: str | None = None,
    *,
    project: Project | None = None,
    role: str = "annotator",
    superuser: bool = False,
) -> User:
    user = User.objects.create_user(
        username=name or f"user-{_next()}", password="correct horse", is_superuser=superuser
    )
    if project is not None:
        Membership.objects.create(project=project, user=user, role=role)
    return user


def make_project(**overrides: Any) -> Project:
    number = _next()
    values = {"slug": f"project-{number}", "name": f"Project {number}", "modality": "text"}
    return Project.objects.create(**{**values, **overrides})


def make_model(project: Project, name: str = "model-x", **overrides: Any) -> ModelVersion:
    values = {"modality": project.modality, "family": "imported"}
    return register_model(project=project, name=name, **{**values, **overrides})


def make_prompt(project: Project, text: str | None = None, **overrides: Any) -> Prompt:
    messages = [{"role": "user", "content": text or f"Question {_next()}?"}]
    return add_prompt(project=project, messages=messages, **overrides)


def make_output(
    prompt: Prompt, text: str | None = None, *, model: ModelVersion | None = None, **overrides: Any
) -> Output:
    return add_output(
        prompt=prompt,
        model=model or make_model(prompt.project),
        text=f"Answer {_next()}." if text is None else text,
        **overrides,
    )


def make_pipeline_output(project: Project, member: ModelVersion) -> Output:
    """What a pipeline of one member has made, with its record."""
    name = member.name
    layers = [
        [{"type": "generator", "model": name, "samples": 2}],
        [{"type": "ranker", "model": name, "top_k": 1}],
    ]
    team = add_pipeline(project=project, name=f"team of {name}", layers=layers, by=None)
    output = make_output(make_prompt(project), "So.", model=team)
    took = {"model": name, "tokens_in": 9, "tokens_out": 3}
    made = [{**took, "text": text, "made": n} for n, text in enumerate(["So.", "No."], 1)]
    ranked = {**took, "text": "Ranking: 2 > 1", "shown": [2, 1], "read": [1, 2], "cached": True}
    said = [
        {"layer": 1, "type": "generator", "said": made, "before": [], "kept": [1, 2]},
        {"layer": 2, "type": "ranker", "said": [ranked], "before": [1, 2], "kept": [1]},
    ]
    turn = {"text": "So.", "layers": said, "calls": 3, "tokens_in": 27, "tokens_out": 9}
    OutputRecord.objects.create(output=output, turns=[{**turn, "answer": 1}])
    return output


def make_pair(
    project: Project,
    *,
    prompt: Prompt | None = None,
    texts: tuple[str, str] | None = None,
    models: tuple[str, str] = ("model-x", "model-y"),
    **overrides: Any,
) -> Pair:
    """A pair of two outputs by two models; which of them is a, their keys decide."""
    prompt = prompt or make_prompt(project)
    first, second = texts or (f"Answer {_next()}.", f"Answer {_next()}.")
    outputs = [
        make_output(prompt, text, model=make_model(project, name))
        for text, name in zip((first, second), models, strict=True)
    ]
    pair, _ = add_pair(first=outputs[0], second=outputs[1], **overrides)
    return pair


def make_set(
    project: Project, n: int = 3, *, outputs: list[Output] | None = None, **overrides: Any
) -> OutputSet:
    """A set of n outputs to rank, each by a model of its own, or of outputs that are there."""
    if outputs is None:
        prompt = make_prompt(project)
        models = [make_model(project, f"model-{number}") for number in range(n)]
        outputs = [make_output(prompt, model=model) for model in models]
    return add_set(prompt=outputs[0].prompt, outputs=outputs, **overrides)[0]


def make_annotator(project: Project, name: str | None = None, **overrides: Any) -> Annotator:
    values: dict[str, Any] = {"kind": "person", "name": name or f"annotator-{_next()}"}
    return Annotator.objects.create(project=project, **{**values, **overrides})


def make_judgment(
    pair: Pair, outcome: str = "a", *, annotator: Annotator | None = None, **overrides: Any
) -> Judgment:
    """A vote as the labelling service would leave it, without a lease before it."""
    annotator = annotator or make_annotator(pair.project)
    values: dict[str, Any] = {
        "uuid": uuid4(),
        "strength": _STRENGTH.get(outcome, 0),
        "swapped": False,
    }
    judgment = Judgment.objects.create(
        project=pair.project,
        pair=pair,
        annotator=annotator,
        outcome=outcome,
        **{**values, **overrides},
    )
    if annotator.kind == "person" and outcome != "skip":
        pair.judged += 1
        pair.wanted = max(pair.wanted, pair.judged)
        pair.save(update_fields=["judged", "wanted"])
    return judgment
