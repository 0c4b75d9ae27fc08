"""What the schema says, the API does: schemathesis asks every call with what the schema allows and
with what it does not. No answer may be a server error, or of another form than the schema tells."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from annotation.services import groups
from annotation.services.flags import raise_flag
from annotation.services.queue import annotator_for, next_pair
from steelyard.accounts.services import create_token
from steelyard.runs.models import Run
from steelyard.webhooks import services as webhooks
from steelyard.wsgi import application
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SETTINGS = settings(
    max_examples=3,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def _schema() -> Any:
    made = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(made)
    schema.app = application
    return schema


SCHEMA = _schema()
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.fixture(autouse=True)
def _within_the_test() -> Iterator[None]:
    """The application answers in the test's own transaction, as Django's client has it."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def known(project: Any, owner: Any) -> dict[str, Any]:
    """One of most things, by the word before its number in a path."""
    pair = factories.make_pair(project)
    judgment = factories.make_judgment(factories.make_pair(project))
    annotator = annotator_for(user=owner, project=project)
    next_pair(annotator=annotator)
    said = {"reason": "harmful", "note": "", "uuid": judgment.uuid}
    flag, _ = raise_flag(annotator=annotator, of=pair, **said)
    group = groups.create_group(project=project, by=owner, name="g", members=[])
    run = Run.objects.create(project=project, kind="train", title="t", created_by=owner)
    endpoint = webhooks.add_endpoint(
        project=project, by=owner, url="https://example.org", events=["run.finished"]
    )
    return {
        "pairs": pair.pk,
        "prompts": pair.prompt_id,
        "annotators": annotator.pk,
        "flags": flag.pk,
        "groups": group.pk,
        "runs": run.pk,
        "models": factories.make_model(project).pk,
        "judgments": judgment.uuid,
        "webhooks": endpoint.pk,
        "deliveries": webhooks.send_test(endpoint=endpoint).pk,
        "members": project.memberships.get(user=owner).pk,
    }


@schemathesis.serializer("application/x-ndjson")
def _as_a_line(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_it_answers_as_the_schema_says(
    operation: Any, project: Any, owner: Any, known: dict[str, Any]
) -> None:
    _, key = create_token(user=owner, name="schemathesis")
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}
    there = {
        part[1:-1]: known[before]
        for before, part in pairwise(operation.path.split("/"))
        if part.startswith("{") and before in known
    }

    def ask(case: Any, real: bool) -> None:
        if case.path_parameters:
            if "project" in case.path_parameters:
                case.path_parameters["project"] = project.slug
            if real:
                case.path_parameters.update(there)
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    for mode in GenerationMode:
        cases = operation.as_strategy(generation_mode=mode)
        SETTINGS(given(case=cases, real=st.booleans())(ask))()
