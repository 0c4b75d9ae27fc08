"""The folders keep the promises that the rest relies on."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = {"steelyard", "annotation", "training", "evaluation"}
CLIENT = "steelyard_client"


def importable_names(*bases: Path) -> set[str]:
    folders = [p for base in bases for p in base.iterdir() if p.is_dir()]
    return {p.name for p in folders if (p / "__init__.py").exists()}


def test_the_folder_platform_does_not_shadow_pythons_own_module() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    import platform

    assert platform.python_version()


def test_the_importable_names_are_exactly_the_spine_and_the_three_rooms() -> None:
    assert importable_names(ROOT, ROOT / "platform") == OURS


def test_the_client_is_a_distribution_of_its_own_with_one_name() -> None:
    assert importable_names(ROOT / "client", ROOT / "client" / "src") == {CLIENT}
    found = importlib.util.find_spec(CLIENT)
    assert found is not None
    assert Path(str(found.origin)).is_relative_to(ROOT / "client" / "src")
    assert importlib.metadata.distribution("steelyard-client").metadata["Name"]


def test_what_the_client_needs_is_locked_for_the_product() -> None:
    project = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert {need.split(">=")[0] for need in project["dependencies"]} <= locked


def test_no_name_of_ours_is_one_of_pythons_or_of_an_installed_package() -> None:
    assert not {*OURS, CLIENT} & set(sys.stdlib_module_names)
    for name in OURS:
        owners = importlib.metadata.packages_distributions().get(name, [])
        assert set(owners) <= {"steelyard"}


def test_tests_are_no_package_so_that_they_cannot_hide_a_room() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_spine_app_stands_in_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = {
        name.strip() for layer in contracts["contracts"][0]["layers"] for name in layer.split("|")
    }
    spine = ROOT / "platform" / "steelyard"
    folders = {f"steelyard.{p.name}" for p in spine.iterdir() if (p / "__init__.py").exists()}
    assert folders - layers == {"steelyard.servers"}
