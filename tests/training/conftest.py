from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.records import PreferenceRecord, tables_of
from steelyard.registry.services import commit_version, register_model

SHORT = {"max_steps": 4, "batch_size": 2, "lora_rank": 2, "lora_alpha": 4, "max_length": 128}


def make_record(number: int, **overrides: Any) -> PreferenceRecord:
    values: dict[str, Any] = {
        "pair": f"{number:064x}",
        "prompt_key": f"{number:064x}",
        "category": "facts",
        "modality": "text",
        "prompt": [{"role": "user", "content": f"What is {number} + {number}?"}],
        "chosen": f"It is {2 * number}.",
        "rejected": "I do not know, but numbers are nice.",
        "chosen_media": "",
        "rejected_media": "",
        "chosen_model": "good",
        "rejected_model": "bad",
        "outcome": "win",
        "chosen_side": "a",
        "strength": 1.0,
        "agreement": 1.0,
        "split": "test" if number % 5 == 0 else "train",
    }
    return PreferenceRecord(**{**values, **overrides})


@pytest.fixture
def make_version(project: Any) -> Any:
    """A frozen version of the project from rows that differ from the usual as told."""

    def make(rows: int = 20, name: str = "Preferences", **overrides: Any) -> Any:
        records = [make_record(number, **overrides) for number in range(1, rows + 1)]
        train = sum(record.split == "train" for record in records)
        counts = {"rows": rows, "train": train, "test": rows - train, "ties": 0, "votes": rows}
        return commit_version(
            project=project, dataset_name=name, rows=tables_of(records), recipe={}, counts=counts
        )

    return make


@pytest.fixture
def base(project: Any, tiny_lm: Path) -> Any:
    return register_model(
        project=project, name="tiny", modality="text", family="causal_lm", source=str(tiny_lm)
    )


@pytest.fixture
def short() -> dict[str, Any]:
    """Settings of a training run of a few seconds."""
    return dict(SHORT)
