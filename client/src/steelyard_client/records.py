"""What the API answers, with types. What a newer server says besides stays in ``raw``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

Message = dict[str, str]
R = TypeVar("R", bound="Record")


@dataclass(frozen=True, kw_only=True)
class Record:
    raw: dict[str, Any] = field(repr=False, compare=False)
    """The answer as it came."""

    @classmethod
    def of(cls: type[R], data: Mapping[str, Any]) -> R:
        """From an answer; times (``…_at``) are read, a part that is a record too becomes one."""
        known: dict[str, Any] = {"raw": dict(data)}
        for one in fields(cls):
            if one.name in data and one.name != "raw":
                is_time = one.name.endswith("_at")
                make = datetime.fromisoformat if is_time else one.metadata.get("of")
                value = data[one.name]
                known[one.name] = make(value) if make and value is not None else value
        return cls(**known)


@dataclass(frozen=True, kw_only=True)
class Me(Record):
    username: str


@dataclass(frozen=True, kw_only=True)
class ProjectInfo(Record):
    slug: str
    name: str
    modality: str
    guidelines: str
    label_scheme: dict[str, Any]
    overlap: int
    created_at: datetime
    license: str = ""


@dataclass(frozen=True, kw_only=True)
class Asset(Record):
    """A picture or a clip. ``sha256`` is that of the file as it is kept: without metadata."""

    sha256: str
    kind: str
    mime: str
    size: int
    width: int | None = None
    height: int | None = None
    duration: float | None = None


@dataclass(frozen=True, kw_only=True)
class Prompt(Record):
    id: int
    messages: list[Message]
    media: list[str]
    category: str
    reference_answer: str
    held_out: bool
    key: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Output(Record):
    id: int
    prompt: int
    model: str
    text: str
    asset: str | None
    seed: int | None
    parameters: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Pair(Record):
    id: int
    key: str
    origin: str
    priority: int
    wanted: int
    judged: int
    closed: bool
    is_training: bool
    known_outcome: str
    known_reason: str
    prompt: Prompt = field(metadata={"of": Prompt.of})
    output_a: Output = field(metadata={"of": Output.of})
    output_b: Output = field(metadata={"of": Output.of})
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Recorded(Record):
    """A verdict as it was stored."""

    uuid: str
    pair: int
    outcome: str
    strength: int
    aspects: dict[str, int]
    rationale: str
    tags: list[str]
    evidence: list[dict[str, Any]]
    segments: list[dict[str, Any]]
    correction: str
    skip_reason: str
    duration_ms: int | None
    supersedes: str | None
    is_current: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Judgment(Recorded):
    """A verdict as staff see it."""

    annotator: str
    kind: str
    swapped: bool | None
    model_a: str
    model_b: str
    category: str
    run: int | None
    exposure: dict[str, Any]
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shown(Record):
    """An output to judge; what made it, nobody is told."""

    side: str
    text: str
    media: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Lease(Record):
    """A pair that is kept for you until ``expires_at``."""

    pair: int
    prompt: dict[str, Any]
    outputs: list[Shown] = field(metadata={"of": lambda rows: [Shown.of(row) for row in rows]})
    scheme: dict[str, Any]
    guidelines: str
    leased_at: datetime
    expires_at: datetime

    @property
    def question(self) -> str:
        """The text of the prompt's last message."""
        return str(self.prompt["messages"][-1]["content"])

    def output(self, side: str) -> Shown:
        """That of side ``a`` or ``b``, wherever it stands."""
        return next(one for one in self.outputs if one.side == side)


@dataclass(frozen=True, kw_only=True)
class Progress(Record):
    done: int
    left: int
    total: int
    quota: int | None


@dataclass(frozen=True, kw_only=True)
class Imported(Record):
    """What a file brought in; prompts, pairs and judgments are new ones."""

    records: int
    prompts: int
    pairs: int
    judgments: int
    searched: int = 0
    """Outputs for which passages were found."""
    format: str = ""
    """What it was read as."""
    mapping: dict[str, Any] = field(default_factory=dict)
    """Of plain columns, which was read as what."""
    rows: int = 0
    """Rows read."""
    stored: int = 0
    """Records that are in, new ones or not."""
    wrong: int = 0
    """Rows that are wrong."""
    left: dict[str, int] = field(default_factory=dict)
    """Left out without being wrong, by reason."""
    faults: list[dict[str, Any]] = field(default_factory=list)
    """The first of them: row, place, column, what, right."""
    run: RunInfo | None = field(default=None, metadata={"of": lambda row: RunInfo.of(row)})


@dataclass(frozen=True, kw_only=True)
class Exported(Record):
    """What was written of a version, and what was not."""

    format: str
    container: str
    split: str
    records: int
    rows: int
    left_out: dict[str, int]
    """Records that were not written, by reason."""
    written_without: dict[str, int]
    """Records written without something, by what."""
    ties: str
    cannot_carry: str
    files: list[dict[str, Any]]
    """name, size, sha256"""
    run: RunInfo = field(metadata={"of": lambda row: RunInfo.of(row)})
    paths: list[Path] = field(default_factory=list)
    """Where they lie here."""


@dataclass(frozen=True, kw_only=True)
class Format(Record):
    """A format that files come in and go out in."""

    name: str
    title: str
    modalities: list[str]
    containers: list[str]
    reads: bool
    writes: bool
    ties: str
    cannot_carry: str


@dataclass(frozen=True, kw_only=True)
class Preview(Record):
    """What a recipe would freeze at this moment."""

    counts: dict[str, int]
    passed_over: dict[str, int]
    problem: dict[str, Any] | None
    projects: list[dict[str, Any]] = field(default_factory=list)
    """Of each of several projects its name in URLs, rows to train and to test on, and votes."""


@dataclass(frozen=True, kw_only=True)
class VersionInfo(Record):
    id: int
    dataset: str
    number: int
    digest: str
    parent: int | None
    counts: dict[str, int]
    recipe: dict[str, Any]
    note: str
    created_by: str | None
    created_at: datetime
    tags: list[str] = field(default_factory=list)
    """At the moment of the answer."""


@dataclass(frozen=True, kw_only=True)
class Model(Record):
    id: int
    name: str
    modality: str
    family: str
    source: str
    base: str | None
    made_by: int | None
    """Number of its run."""
    trained_on: int | None
    digest: str
    label_control: str
    can_generate: bool
    can_train: bool | None
    """None where the hub could not be asked about a model of that name."""
    created_at: datetime
    step: int | None = None
    """Of the run that made it, where it is a checkpoint of that."""
    can_revise: bool = False
    """Whether it has learnt to improve its answers."""
    revisions: int = 0
    """How often it improves its last answer; 0 for a model as it is."""


@dataclass(frozen=True, kw_only=True)
class Judge(Record):
    """An annotator, person or AI judge."""

    id: int
    kind: str
    name: str
    model: str | None
    version: int = 1


@dataclass(frozen=True, kw_only=True)
class Estimate(Record):
    """About what asking a judge would take."""

    pairs: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    minutes: float | None


@dataclass(frozen=True, kw_only=True)
class RunInfo(Record):
    id: int
    kind: str
    title: str
    state: str
    attempt: int
    done: int
    total: int
    unit: str
    status_text: str
    error_code: str
    error: str
    result: dict[str, Any] | None
    created_by: str | None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class JobInfo(Record):
    id: int
    run: int
    state: str
    version: int
    base: str
    recipe: str
    config: dict[str, Any]
    model_name: str
    result: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class WinRate(Record):
    candidate: str
    source: str
    judge: str | None
    win_rate: float
    lo: float | None
    hi: float | None
    votes: int
    """Those given; identical outputs have none."""
    prompts: int
    identical: int
    """Comparisons of two identical outputs, a tie each."""
    asked: bool
    """Whether the evaluation asks this source; else its votes were there already."""


@dataclass(frozen=True, kw_only=True)
class PromptSet(Record):
    """Prompts that evaluations come back to."""

    id: int
    name: str
    note: str
    size: int
    made_from: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Seat(Record):
    """A judge or scorer of an evaluation."""

    judge: str
    run: int | None
    state: str


@dataclass(frozen=True, kw_only=True)
class CandidateState(Record):
    """One candidate against the baseline by people's votes up to now."""

    candidate: str
    decision: str
    """better, worse, no difference or keep voting"""
    rate: float
    lo: float
    hi: float
    """Valid however often one looks."""
    log_e: float
    prompts: int
    prompts_waiting: int
    """With some votes and not yet all: in a win rate, and not in here."""
    decided: dict[str, Any] | None
    """What was sure, and when; later votes change nothing of it."""
    later_votes: int
    labels_left: int | None
    """Votes that are likely needed still."""
    path: list[dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Stopping(Record):
    """How sure an evaluation is by people's votes, and whether they are still asked."""

    plan: dict[str, Any]
    by_ratings: bool
    votes: int
    """Since people were asked: what a budget pays for."""
    votes_before: int
    """On the same pairs from before; evidence as much."""
    asked: int
    budget_left: int | None
    stopped_at: datetime | None
    stop_reason: str
    """decided, budget, no_pairs, by_hand, or empty while voting goes on"""
    later_votes: int
    candidates: list[CandidateState] = field(
        metadata={"of": lambda rows: [CandidateState.of(row) for row in rows]}
    )


@dataclass(frozen=True, kw_only=True)
class EvaluationInfo(Record):
    id: int
    name: str
    baseline: str
    candidates: list[str]
    people: bool
    state: str
    error: str
    generation: int | None
    panel: list[Seat] = field(
        default_factory=list, metadata={"of": lambda rows: [Seat.of(row) for row in rows]}
    )
    finished: bool = False
    """Nothing is left to wait for: it failed, or its judges are done and people have voted
    enough."""
    samplings: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """By model, how it answers."""
    win_rates: list[WinRate] = field(
        default_factory=list, metadata={"of": lambda rows: [WinRate.of(row) for row in rows]}
    )
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Standing(Record):
    group: int
    model: str
    rank_lo: int
    rank_hi: int
    rating: float
    lo: float | None
    hi: float | None
    win_rate: float | None
    votes: int


@dataclass(frozen=True, kw_only=True)
class PublishedLeaderboard(Record):
    """A leaderboard as it stood; it never changes."""

    number: int
    title: str
    note: str
    options: dict[str, Any]
    """Which votes were counted, and by which rule."""
    votes: int
    digest: str
    """SHA-256 of the sorted UUIDs of its votes."""
    code_version: str
    created_at: datetime
    url: str


@dataclass(frozen=True, kw_only=True)
class Leaderboard(Record):
    by: str
    votes: int
    prompts: int
    annotators: int
    standings: list[Standing] = field(
        metadata={"of": lambda rows: [Standing.of(row) for row in rows]}
    )
    unrated: list[dict[str, Any]]
