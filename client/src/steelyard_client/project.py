"""One project and its verbs."""

from __future__ import annotations

from steelyard_client.arenas import ArenaVerbs
from steelyard_client.boards import BoardVerbs
from steelyard_client.curation import CurationVerbs
from steelyard_client.evaluating import EvaluationVerbs
from steelyard_client.freezing import FreezingVerbs
from steelyard_client.judges import JudgeVerbs
from steelyard_client.labelling import LabellingVerbs
from steelyard_client.material import MaterialVerbs
from steelyard_client.panels import PanelVerbs
from steelyard_client.pipelines import PipelineVerbs
from steelyard_client.ranking import RankingVerbs
from steelyard_client.records import ProjectInfo
from steelyard_client.training import TrainingVerbs
from steelyard_client.webhooks import WebhookVerbs


class Project(
    MaterialVerbs,
    LabellingVerbs,
    FreezingVerbs,
    JudgeVerbs,
    PanelVerbs,
    PipelineVerbs,
    EvaluationVerbs,
    BoardVerbs,
    ArenaVerbs,
    RankingVerbs,
    CurationVerbs,
    TrainingVerbs,
    WebhookVerbs,
):
    def __repr__(self) -> str:
        return f"<Project {self.slug}>"

    @property
    def info(self) -> ProjectInfo:
        return ProjectInfo.of(self._connection.get(self._path))
