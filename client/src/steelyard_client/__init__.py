"""A Steelyard from Python: bring pairs in, read votes, freeze versions, train and evaluate.

::

    from steelyard_client import Client

    project = Client("https://steelyard.example", "sy_…").project("answers")
    project.add_pairs([{"prompt": "What is a steelyard?", "a": "A balance.", "b": "A yard."}])
"""

from steelyard_client.client import Client
from steelyard_client.connection import VERSION as __version__
from steelyard_client.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    RunFailed,
    ServerFault,
    SteelyardError,
    TooManyRequests,
)
from steelyard_client.pairs import Added, NewPair, WrongPair
from steelyard_client.project import Project
from steelyard_client.runs import Evaluation, Run, TrainingJob
from steelyard_client.training import Sweep
from steelyard_client.versions import Dataset, Diff, Version

__all__ = [
    "Added",
    "ApiError",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Dataset",
    "Diff",
    "Evaluation",
    "Invalid",
    "NewPair",
    "NotAllowed",
    "NotFound",
    "NotSignedIn",
    "Project",
    "Run",
    "RunFailed",
    "ServerFault",
    "SteelyardError",
    "Sweep",
    "TooManyRequests",
    "TrainingJob",
    "Version",
    "WrongPair",
    "__version__",
]
