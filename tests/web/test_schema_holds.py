"""What the schema says, the API does: schemathesis asks every call with what the schema allows and
with what it does not. No answer may be a server error, or of another form than the schema tells."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.conf import settings as settings_of_django
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.test import override_settings
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from annotation.recipe import Recipe
from annotation.services import groups, transfer
from annotation.services.flags import raise_flag
from annotation.services.judging import create_judge
from annotation.services.queue import annotator_for, next_pair
from annotation.services.versions import publish_version
from annotation.services.withdrawals import withdraw
from annotation.transfer.outgoing import Order
from evaluation.models import Evaluation
from steelyard.accounts.services import create_token
from steelyard.assets.services import store_upload
from steelyard.runs.models import Run
from steelyard.webhooks import services as webhooks
from steelyard.wsgi import application
from tests import factories
from training.services_try import start_try

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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the things there are."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(autouse=True)
def _within_the_test(place: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application answers in the test's own transaction, as Django's client has it, and asks
    nobody else: a hub name is looked up in what has been fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    _keep_files_in(place, settings)
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    for signal in signals:
        signal.connect(close_old_connections)


def _keep_files_in(place: Path, settings: Any) -> None:
    settings.DATA_DIR = place
    for name in ("RUNS", "VERSIONS", "MODELS", "BLOBS"):
        setattr(settings, f"{name}_DIR", place / name.lower())


@dataclass(frozen=True)
class There:
    """One of most things, by the word before its number in a path, and who may ask for it."""

    project: str
    key: str
    known: dict[str, Any]


@pytest.fixture(scope="module")
def there(place: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[There]:
    """Made once; what a call changes of it is undone after its test."""
    with django_db_blocker.unblock(), override_settings(), transaction.atomic():
        _keep_files_in(place, settings_of_django)
        yield _made()
        transaction.set_rollback(True)


def _made() -> There:
    project = factories.make_project()
    owner = factories.make_user("owner", project=project, role="admin")
    pair = factories.make_pair(project)
    judgment = factories.make_judgment(factories.make_pair(project), "a")
    annotator = annotator_for(user=owner, project=project)
    next_pair(annotator=annotator)
    said = {"reason": "harmful", "note": "", "uuid": judgment.uuid}
    flag, _ = raise_flag(annotator=annotator, of=pair, **said)
    group = groups.create_group(project=project, by=owner, name="g", members=[])
    run = Run.objects.create(project=project, kind="train", title="t", created_by=owner)
    endpoint = webhooks.add_endpoint(
        project=project, by=owner, url="https://example.org", events=["run.finished"]
    )
    withdrawal = withdraw(project=project, reason="?", annotator=judgment.annotator, by=owner)
    recipe = Recipe(test_fraction=0.0, count_withdrawn=True)
    version = publish_version(project=project, dataset_name="d", recipe=recipe, by=owner)
    order = Order("trl_preference")
    export = transfer.start_export(version=version, order=order, by=owner, background=False)
    upload = transfer.receive(
        project=project, name="x.jsonl", data=io.BytesIO(b'{"prompt": "?", "a": "1"}'), by=owner
    )
    said = {"format": "steelyard_pairs", "mode": "good"}
    brought = transfer.start_import(
        project=project, upload=upload, said=said, by=owner, background=False
    )
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    asset = store_upload(project=project, data=file.getvalue())
    writes = factories.make_model(
        project, "writer", family="endpoint", source="https://example.org/v1"
    )
    judge = create_judge(project=project, name="j", model=writes, criteria="?")
    evaluation = Evaluation.objects.create(
        project=project,
        name="e",
        baseline=writes,
        prompt_set={"held_out": True, "category": "", "limit": 0},
    )
    evaluation.candidates.add(factories.make_model(project))
    _, key = create_token(user=owner, name="schemathesis")
    spare, _ = create_token(user=owner, name="spare")
    known = {
        "assets": asset.sha256,
        "sets": factories.make_set(project).pk,
        "judges": judge.pk,
        "evaluations": evaluation.pk,
        "tokens": spare.pk,
        "tries": start_try(model=writes, prompt="?", beside_base=False, by=owner).pk,
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
        "versions": version.pk,
        "exports": export.pk,
        "imports": brought.pk,
        "withdrawals": withdrawal.pk,
    }
    return There(project.slug, key, known)


@schemathesis.serializer("application/x-ndjson")
def _as_a_line(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_it_answers_as_the_schema_says(operation: Any, there: There) -> None:
    headers = {"Authorization": f"Bearer {there.key}", "Accept-Encoding": "identity"}
    real_ones = {
        part[1:-1]: there.known[before]
        for before, part in pairwise(operation.path.split("/"))
        if part.startswith("{") and before in there.known
    }

    def ask(case: Any, real: bool) -> None:
        if case.path_parameters:
            if "project" in case.path_parameters:
                case.path_parameters["project"] = there.project
            if real:
                case.path_parameters.update(real_ones)
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    for mode in GenerationMode:
        cases = operation.as_strategy(generation_mode=mode)
        SETTINGS(given(case=cases, real=st.booleans())(ask))()
