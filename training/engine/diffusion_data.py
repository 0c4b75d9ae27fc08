"""Which rows of an image or video dataset version are trained on, and what chance does to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from steelyard.inference.prompts import picture_prompt
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int, stable_uniform
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said, listed, together
from training.engine.data import read_records
from training.engine.diffusion_cache import KnownFacts, cache_folder
from training.engine.diffusion_marks import Region, regions_of, segments_of
from training.engine.diffusion_media import BadMedia, Facts, look
from training.engine.words import WORDS

TEST_DRAWS = 4
NAMED = 5
"""How many pairs a line names."""
READERS = 4
_CHUNK = 16
_LEFT_OUT = ("dropped_ties", "dropped_both_bad", "dropped_identical", "dropped_unreadable")
_TAKEN = ("alpha", "animated", "cmyk", "sixteen_bit", "turned")


@dataclass(frozen=True)
class MediaPair:
    """One preference between two pictures or clips of a prompt, by their names under ``media/``."""

    key: str
    prompt: str
    chosen: str
    rejected: str
    weight: float
    number: int = 0
    """Of the row in its version, from 1."""
    group: str = ""
    """Pairs of one prompt have the same: together they rank its outputs."""
    agreement: float = 1.0
    """Share of the votes for the outcome, 0 to 1."""
    strength: float = 0.0
    """Mean strength of the votes toward chosen, 0 to 3."""
    segments: tuple[tuple[float, float, int], ...] = ()
    """Start and end in seconds and 1, -1 or 0: chosen, rejected or neither is better there."""
    regions: tuple[Region, ...] = ()
    """What reasons point at."""
    both: int = 0
    """-1 where neither side is any good, and 1 where a control says that both are; there is no
    winner then."""

    @property
    def told(self) -> str:
        return Said(WORDS, "row_pair", number=self.number, pair=self.key[:12])


@dataclass(frozen=True)
class MediaDataset:
    train: list[MediaPair]
    test: list[MediaPair]
    counts: dict[str, int]
    """train, test, what was left out (dropped_…), and pairs whose sides_differ in size."""
    notes: tuple[str, ...] = ()
    """Sentences for the run's log."""
    facts: dict[str, Facts] = field(default_factory=dict)
    """Of each file by its name."""

    @property
    def pairs(self) -> list[MediaPair]:
        return [*self.train, *self.test]


class Draw(NamedTuple):
    """What chance decides for one pair at one visit, the same for both of its sides."""

    uniform: float
    """From 0 to 1, for the schedule to make a time of."""
    noise: int
    """Seed of the noise."""
    latent: int | None
    """Seed of the draw from what the encoder gives; None takes its mean."""
    empty: bool
    """Whether the prompt is replaced by the empty one."""
    flip: bool


class Chances(NamedTuple):
    """All that is random in training but the order of the rows and the adapter's start.

    A draw is a function of (seed, pair, number) alone: never of the batch it falls into, of the
    process that makes it, of the rows beside it, or of what was drawn before.
    """

    seed: int
    empty: float
    """Share of prompts to replace by the empty one."""
    flip: bool

    def draw(self, key: str, number: int) -> Draw:
        """The chances of a pair at its visit ``number``."""
        return Draw(
            uniform=stable_uniform(self.seed, "time", key, number),
            noise=stable_int(self.seed, "noise", key, number),
            latent=stable_int(self.seed, "latent", key, number),
            empty=stable_uniform(self.seed, "empty", key, number) < self.empty,
            flip=self.flip and stable_uniform(self.seed, "flip", key, number) < 0.5,
        )

    def prepared(self, key: str, number: int, *, spread: bool) -> Draw:
        """The chances of a pair at its prepared draw ``number``; with ``spread`` its noise levels
        lie apart from each other, however many there are."""
        draw = self.draw(key, number)
        if not spread:
            return draw
        first = stable_uniform(self.seed, "time", key, 0)
        return draw._replace(uniform=(first + _reversed_bits(number)) % 1)

    def test(self, key: str, number: int) -> Draw:
        """The same at every test: times spread evenly over TEST_DRAWS, nothing replaced."""
        place = (number + stable_uniform("test time", key, number)) / TEST_DRAWS
        noise = stable_int(self.seed, "test noise", key, number)
        return Draw(place, noise, latent=None, empty=False, flip=False)


def _reversed_bits(number: int) -> float:
    """Van der Corput's sequence: 0, 1/2, 1/4, 3/4, 1/8, …"""
    found, part = 0.0, 0.5
    while number:
        found, part, number = found + part * (number & 1), part / 2, number >> 1
    return found


def read_pairs(rundir: RunDir, spec: dict[str, Any], config: Any, modality: str) -> MediaDataset:
    """The rows with a winner whose two files can be read; all files are looked at once a server.

    Args:
        config: ``threads`` of it, if it has such, is how many files are looked at side by side.

    Raises:
        UserError: the rows cannot be used (:func:`~training.engine.data.read_records`), a file is
            gone, or nothing is left to train on.
    """
    records = read_records(rundir, spec["dataset"], modality=modality)
    dataset = choose_pairs(records, both_bad=getattr(config, "loss_type", "") == "kto")
    control = getattr(config, "label_control", "none")
    dataset = controlled(dataset, control, getattr(config, "seed", 0))
    names = sorted({name for pair in dataset.pairs for name in (pair.chosen, pair.rejected)})
    known = KnownFacts(cache_folder(rundir, spec), rundir.media, modality)
    facts, bad = look_at(names, known, rundir, readers=getattr(config, "threads", 0) or READERS)
    return with_facts(dataset, facts, bad)


def choose_pairs(records: Sequence[PreferenceRecord], both_bad: bool = False) -> MediaDataset:
    """The rows with a winner; others and pairs of one and the same file are left out and counted.

    Weights are scaled to a mean of 1 over the rows to train on, so that the learning rate means
    the same with every weighting.

    Args:
        both_bad: keep those of which both sides are bad.

    Raises:
        UserError: nothing is left, or a weight is no number from 0 up.
    """
    counts: Counter[str] = Counter()
    parts: dict[str, list[MediaPair]] = {"train": [], "test": []}
    for number, record in enumerate(records, 1):
        if not 0 <= record.weight < float("inf"):
            raise UserError(
                Said(WORDS, "bad_weight", number=number, weight=record.weight),
                code="bad_dataset",
            )
        if record.outcome == "tie":
            counts["dropped_ties"] += 1
        elif record.outcome == "both_bad" and not both_bad:
            counts["dropped_both_bad"] += 1
        elif record.chosen_media == record.rejected_media:
            counts["dropped_identical"] += 1
        else:
            part = "train" if record.split == "train" else "test"
            parts[part].append(_pair(number, record))
    return _dataset(parts["train"], parts["test"], counts)


def _pair(number: int, record: PreferenceRecord) -> MediaPair:
    return MediaPair(
        key=record.pair,
        prompt=picture_prompt(record.prompt),
        chosen=record.chosen_media,
        rejected=record.rejected_media,
        weight=record.weight,
        number=number,
        group=record.prompt_key,
        agreement=record.agreement,
        strength=record.strength,
        segments=segments_of(record),
        regions=regions_of(record),
        both=-1 if record.outcome == "both_bad" else 0,
    )


def _dataset(train: list[MediaPair], test: list[MediaPair], counts: Counter[str]) -> MediaDataset:
    total = sum(pair.weight for pair in train)
    if not total:
        left = together([Said(WORDS, f"media_{name}", count=counts[name]) for name in _LEFT_OUT])
        raise UserError(
            Said(WORDS, "no_row_left", left=left),
            code="no_train_rows",
        )
    scale = len(train) / total
    scaled = [
        [replace(pair, weight=pair.weight * scale) for pair in part] for part in (train, test)
    ]
    told = Counter(train=len(train), test=len(test))
    return MediaDataset(
        scaled[0], scaled[1], {**told, **{name: counts[name] for name in _LEFT_OUT}}
    )


def controlled(dataset: MediaDataset, control: str, seed: int) -> MediaDataset:
    """The dataset with other labels on the rows to train on, as a control; "none" leaves it be.

    Args:
        control: ``random`` draws by the seed and the pair which side is called chosen, ``reversed``
            takes the wrong one throughout.
    """
    if control == "none":
        return dataset
    turned = [
        _turned(pair)
        if control == "reversed" or stable_uniform(seed, "label control", pair.key) < 0.5
        else pair
        for pair in dataset.train
    ]
    count = sum(one is not pair for one, pair in zip(turned, dataset.train, strict=True))
    note = Said(WORDS, f"control_{control}", count=count, pairs=len(turned))
    return replace(dataset, train=turned, notes=(*dataset.notes, note))


def _turned(pair: MediaPair) -> MediaPair:
    """As if the other side had won, in all that people said; two bad ones are two good ones."""
    other = {"chosen": "rejected", "rejected": "chosen"}
    return replace(
        pair,
        both=-pair.both,
        chosen=pair.rejected,
        rejected=pair.chosen,
        segments=tuple((start, end, -better) for start, end, better in pair.segments),
        regions=tuple(region._replace(side=other[region.side]) for region in pair.regions),
    )


def look_at(
    names: Sequence[str], known: KnownFacts, rundir: RunDir, readers: int = READERS
) -> tuple[dict[str, Facts], dict[str, str]]:
    """What the files hold, and why others cannot be read; what is known is not looked at again.

    Raises:
        UserError: ``no_picture``: a file is not there.
    """
    facts = {name: found for name in names if (found := known.of(name)) is not None}
    left = [name for name in names if name not in facts]
    gone = [name for name in left if not (known.media / name).is_file()]
    if gone:
        raise UserError(
            Said(WORDS, "files_gone", file=listed(gone, 1), files=len(gone)),
            code="no_picture",
        )
    bad: dict[str, str] = {}

    def one(name: str) -> Facts | str:
        try:
            return look(known.media / name, known.modality)
        except BadMedia as error:
            return error.why

    with ThreadPoolExecutor(readers) as pool:
        for place in range(0, len(left), _CHUNK * readers):
            some = left[place : place + _CHUNK * readers]
            fresh: dict[str, Facts] = {}
            for name, told in zip(some, pool.map(one, some), strict=True):
                if isinstance(told, str):
                    bad[name] = told
                else:
                    fresh[name] = told
            known.keep(fresh)
            facts |= fresh
            rundir.progress(place + len(some), len(left), "files", Said(WORDS, "looking_at_media"))
    return facts, bad


def with_facts(dataset: MediaDataset, facts: dict[str, Facts], bad: dict[str, str]) -> MediaDataset:
    """The dataset without the pairs that have a bad file, which are named, and with what else is to
    be said of its files.

    Raises:
        UserError: nothing is left to train on.
    """
    lost: list[str] = []
    kept: list[list[MediaPair]] = [[], []]
    for part, pairs in zip(kept, (dataset.train, dataset.test), strict=True):
        for pair in pairs:
            name = next((name for name in (pair.chosen, pair.rejected) if name in bad), None)
            if name is None:
                part.append(pair)
            else:
                lost.append(Said(WORDS, "pair_lost", row=pair.told, file=name[:12], why=bad[name]))
    counts = Counter({**dataset.counts, "dropped_unreadable": len(lost)})
    if lost and not kept[0]:
        raise UserError(
            Said(WORDS, "no_readable_pair", left=listed(lost, NAMED, "semicolon")),
            code="bad_picture",
        )
    made = _dataset(kept[0], kept[1], counts)
    differ = sum(_differ(facts[p.chosen], facts[p.rejected]) for p in made.pairs)
    notes: list[str] = []
    if lost:
        notes.append(Said(WORDS, "pairs_left_out", left=listed(lost, NAMED, "semicolon")))
    used = {name for pair in made.pairs for name in (pair.chosen, pair.rejected)}
    for note in _TAKEN:
        if count := sum(note in facts[name].notes for name in used):
            notes.append(Said(WORDS, f"taken_{note}", count=count, files=len(used)))
    if differ:
        notes.append(Said(WORDS, "sides_differ", count=differ))
    notes = [*dataset.notes, *notes]
    return MediaDataset(
        made.train, made.test, {**made.counts, "sides_differ": differ}, tuple(notes), facts
    )


def _differ(one: Facts, other: Facts) -> bool:
    return (one.width, one.height) != (other.width, other.height)
