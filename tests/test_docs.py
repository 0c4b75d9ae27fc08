"""What can be called, set or read is told in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator

from annotation.serializers.flags import FlagRequest
from steelyard.web.api import problem
from training.engine.config import RECIPES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "platform" / "docs"
VERBS = {"get", "post", "put", "patch", "delete"}


def page(name: str) -> str:
    return (DOCS / name).read_text()


def calls_in_the_schema() -> set[str]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return {
        f"{verb.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in schema["paths"].items()
        for verb in set(operations) & VERBS
    }


def calls_in_the_docs() -> set[str]:
    calls = set()
    for line in page("api.md").splitlines():
        for verbs, path in re.findall(r"`([A-Z ]+) (/[^`]*)`", line):
            calls |= {f"{verb} {path}" for verb in verbs.split()}
    return calls - {"GET /schema/"}


def test_the_page_on_the_api_names_every_call_and_no_other() -> None:
    assert calls_in_the_docs() == calls_in_the_schema()


def test_the_schema_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    # of two forms with one name a client would be told the fields of either
    reset_generator_stats()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    assert dict(GENERATOR_STATS._warn_cache) == {}
    assert dict(GENERATOR_STATS._error_cache) == {}
    keep = schema["paths"]["/api/v1/projects/{project}/training-jobs/{id}/checkpoints"]["post"]
    form = keep["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
    assert set(schema["components"]["schemas"][form]["properties"]) == {"steps"}


def test_the_page_on_the_api_names_what_lists_flags_and_errors_say_and_take() -> None:
    told = page("api.md")
    lists = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    taken = {p["name"] for p in lists["/api/v1/projects/{project}/flags"]["get"]["parameters"]}
    assert {"limit", "cursor"} <= taken
    assert "page_size" not in told
    words = {"limit", "cursor", *FlagRequest().fields}
    assert not {word for word in words if f"`{word}`" not in told}
    keys = problem(status=400, code="invalid", message="", fields={})
    assert not {key for key in keys if f'"{key}":' not in told}


def test_every_management_command_of_ours_is_told() -> None:
    ours = ("annotation", "training", "evaluation", "steelyard")
    commands = {name for name, app in get_commands().items() if str(app).startswith(ours)}
    missing = {name for name in commands if f"`{name}" not in page("api.md")}
    assert not missing


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_is_told(recipe: str) -> None:
    assert f"`{recipe}`" in page("training.md")


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    for path in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
