from __future__ import annotations

import re

from steelyard.servers.paths import ROOT

PACKAGES = ("platform/steelyard", "annotation", "training", "evaluation")
READS = re.compile(r"""(?:env|env_bool|env_int|environ\.get|getenv|given)\(\s*["']([A-Z][A-Z_]+)""")
# Other programs' settings, which we read or pass on.
NOT_OURS = {"DJANGO_SETTINGS_MODULE", "WORLD_SIZE", "RANK", "LOCAL_RANK"}


def test_every_setting_stands_in_the_operations_page() -> None:
    page = (ROOT / "platform/docs/operations.md").read_text()
    read = {
        name
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for name in READS.findall(file.read_text())
    }
    assert {"HOST", "PORT", "DATABASE_URL", "STEELYARD_DATA"} <= read
    assert [name for name in sorted(read - NOT_OURS) if f"`{name}`" not in page] == []


def test_every_example_setting_is_one_that_is_documented() -> None:
    page = (ROOT / "platform/docs/operations.md").read_text()
    named = re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(named) >= 8
    assert [name for name in named if f"`{name}`" not in page] == []
