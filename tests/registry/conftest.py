from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.records import PreferenceRecord, tables_of
from steelyard.registry.services import commit_version


def make_record(number: int, **overrides: Any) -> PreferenceRecord:
    values: dict[str, Any] = {
        "pair": f"{number:064x}",
        "prompt_key": f"{number:064x}",
        "category": "facts",
        "modality": "text",
        "prompt": [{"role": "user", "content": f"What is {number} + {number}?"}],
        "chosen": f"It is {2 * number}.",
        "rejected": "I do not know.",
        "chosen_media": "",
        "rejected_media": "",
        "chosen_model": "good",
        "rejected_model": "bad",
        "outcome": "win",
        "chosen_side": "a",
        "strength": 1.0,
        "agreement": 1.0,
        "aspects": {"truth": -1.0},
        "votes": [
            {
                "judgment": f"{number:032x}",
                "annotator": "rater",
                "kind": "person",
                "outcome": "a",
                "strength": -1,
            }
        ],
    }
    return PreferenceRecord(**{**values, **overrides})


@pytest.fixture
def records() -> list[PreferenceRecord]:
    return [make_record(number) for number in range(1, 46)]


@pytest.fixture
def version(project: Any, owner: Any, records: list[PreferenceRecord]) -> Any:
    counts = {"rows": 45, "train": 45, "test": 0, "ties": 0, "votes": 45, "dropped_tie": 3}
    return commit_version(
        project=project,
        dataset_name="Preferences",
        rows=tables_of(records),
        recipe={"annotators": "people", "ties": "drop", "test_fraction": 0.1, "seed": 0},
        counts=counts,
        note="the first one",
        by=owner,
    )
