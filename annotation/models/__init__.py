"""The nouns of labelling, a module for each group of them."""

from annotation.models.held import BattleChange, HeldBattles
from annotation.models.labelling import Assignment, Flag, Judgment, TrainingAnswer
from annotation.models.material import Output, Pair, Prompt
from annotation.models.outcome import Outcome
from annotation.models.people import Annotator, Group, JudgeSpending
from annotation.models.prelabelling import Prelabelling
from annotation.models.ranking import OutputSet, Ranking, RankingLease
from annotation.models.rationale import MachineRationale, Style
from annotation.models.retrieval import Retrieved
from annotation.models.withdrawal import Withdrawal

__all__ = [
    "Annotator",
    "Assignment",
    "BattleChange",
    "Flag",
    "Group",
    "HeldBattles",
    "JudgeSpending",
    "Judgment",
    "MachineRationale",
    "Outcome",
    "Output",
    "OutputSet",
    "Pair",
    "Prelabelling",
    "Prompt",
    "Ranking",
    "RankingLease",
    "Retrieved",
    "Style",
    "TrainingAnswer",
    "Withdrawal",
]
