"""The project's settings with one more kind of run, for a worker that a test starts."""

from steelyard.settings import *  # noqa: F403
from steelyard.settings import RUN_KINDS as THE_PROJECTS

RUN_KINDS = {**THE_PROJECTS, "counting": "counting_runner"}
