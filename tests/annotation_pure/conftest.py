from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def llmfao_folder() -> Path:
    """The real votes, which lie beside the checkout where they are at all."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "llmfao"
    if not folder.is_dir():
        pytest.skip("the crowd comparisons are not beside this checkout (../shared/data/llmfao)")
    return folder
