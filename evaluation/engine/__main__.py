"""The evaluation engine: ``python -m evaluation.engine RUN_DIR``."""

from __future__ import annotations

from evaluation.engine.generate import work
from steelyard.lib import engine

if __name__ == "__main__":
    engine.run(work)
