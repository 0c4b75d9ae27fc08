from __future__ import annotations

import hashlib
import json

import pytest

from steelyard.servers.paths import ROOT

VENDOR = ROOT / "static" / "vendor"
PACKAGES = json.loads((VENDOR / "manifest.json").read_text())["packages"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p["name"])
def test_each_file_is_the_one_that_the_manifest_names(package: dict) -> None:
    for name, digest in package["files"].items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p["name"])
def test_each_package_has_its_licence_beside_it_and_the_version_of_the_lock(package: dict) -> None:
    assert package["licence_file"] in package["files"]
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert wanted[package["name"]] == package["version"]
    assert lock[f"node_modules/{package['name']}"]["version"] == package["version"]


def test_nothing_lies_in_the_folder_that_the_manifest_does_not_name() -> None:
    named = {name for package in PACKAGES for name in package["files"]} | {"manifest.json"}
    assert {p.relative_to(VENDOR).as_posix() for p in VENDOR.rglob("*") if p.is_file()} == named


def test_the_lock_names_no_host() -> None:
    assert "resolved" not in (ROOT / "package-lock.json").read_text()
