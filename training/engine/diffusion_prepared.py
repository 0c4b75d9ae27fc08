"""Pairs of pictures and clips as the tensors that a denoiser is trained on.

:class:`Prepared` brings prompts and media through a family's encoders into a cache that runs share
(``diffusion_cache``), groups pairs by their shape and makes batches; :class:`Chances` says what is
random in them. All that is random, and all that is cropped, scaled or mirrored, is the same for
both sides of a pair.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said, listed
from training.engine.diffusion_cache import ErrorsOf, Shards, cache_folder, entry_of, key_of
from training.engine.diffusion_data import NAMED, READERS, Draw, MediaDataset, MediaPair
from training.engine.diffusion_marks import What, regions_on, segments_on
from training.engine.diffusion_media import BadMedia, Facts, Place, read
from training.engine.distributed import agreed, barrier, share, world
from training.engine.families import Condition, Family, Moments, Schedule, check_size
from training.engine.reference import Cache
from training.engine.words import WORDS

MOST_FRAMES = 49
"""Of a clip, where neither the run nor the family says how many."""
WIDEST = 2.5
"""Longer side over shorter one of the widest bucket."""
_CUT = "cut_at_end"
_ERRORS_WAITING = 1 << 16


class Batch(NamedTuple):
    """Pairs of one shape side by side: all chosen samples, then all rejected ones with the same
    chances."""

    clean: Tensor
    noise: Tensor
    """float32 (2 x pairs, channels, [frames,] height, width), as is clean."""
    times: Tensor
    """(2 x pairs,), as the family's schedule has them."""
    prompts: dict[str, Tensor]
    size: tuple[int, int]
    """Height and width in pixels."""
    parts: Tensor | None = None
    """Weights from 0 to 1 of what errors are averaged over, (2 x pairs, parts, 1, [frames,] height,
    width) or what broadcasts to it; None for the whole."""
    better: Tensor | None = None
    """Of each segment 1 where chosen is better, -1 where rejected is, else 0, (pairs, segments)."""

    @property
    def pairs(self) -> int:
        return len(self.clean) // 2


# shapes


def shapes_for(size: int, multiple: int, *, fixed: bool = False) -> list[tuple[int, int]]:
    """Heights and widths of about size x size pixels and never more, in steps of an eighth to a
    sixteenth of the side; the square first."""
    found = [(size, size)]
    if fixed:
        return found
    step = multiple * max(1, round(size / 16 / multiple))
    for height in range(step, int(size * math.sqrt(WIDEST)) + 1, step):
        width = size * size // height // step * step
        wide = width and max(height, width) / min(height, width) <= WIDEST
        if wide and height * width >= 0.85 * size * size and height != width:
            found.append((height, width))
    return found


def place_of(
    sides: Sequence[Facts],
    shapes: Sequence[tuple[int, int]],
    rule: tuple[int, int],
    most: int,
    own: float = 0.0,
) -> Place:
    """The shape of a pair: of the bucket that is nearest to both sides' aspects, and of as many
    frames as both clips have and the rule allows.

    Args:
        rule: (a, b): a x k + b frames.
        most: frames of a clip.
        own: frames a second that the model was made for, where it says.
    """
    aspect = sum(math.log(facts.width / facts.height) for facts in sides) / len(sides)
    height, width = min(shapes, key=lambda s: (abs(math.log(s[1] / s[0]) - aspect), -s[0] * s[1]))
    rates = [facts.rate for facts in sides]
    if not all(rates):
        return Place(height, width)
    # all by one clock, the slowest one's
    rate = min([*rates, own or math.inf])
    lasts = min(facts.frames / facts.rate for facts in sides)
    frames = min(most, int(lasts * rate + 0.01))
    every, first = rule
    frames = first + max(0, frames - first) // every * every if every else first
    return Place(height, width, frames, rate)


# what encoders made


class Prepared:
    """A dataset whose prompts and media have gone through a family's encoders.

    Made by :meth:`open`; :meth:`batch` needs the family's denoiser loaded, whose schedule it asks
    for times.
    """

    def __init__(
        self, family: Family, dataset: MediaDataset, places: dict[str, Place], shards: Shards
    ) -> None:
        self.family, self.dataset, self.places, self.shards = family, dataset, places, shards
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}
        """prompts_cut; encoded and cached: files and prompts that were encoded now or before."""
        self.folder = Path()
        self.key = ""

    @classmethod
    def open(
        cls,
        rundir: RunDir,
        family: Family,
        dataset: MediaDataset,
        config: Any,
        *,
        stop: object = False,
    ) -> Prepared | None:
        """Bring all prompts and media into the cache; None where it was stopped.

        All prompts come first: one that the model has no meaning for is refused in seconds.

        Args:
            config: ``resolution``, ``random_flip`` and ``clip_frames`` of it.

        Raises:
            UserError: a prompt means nothing to the model, a size is none that it works at, a file
                cannot be read any more, the disk is full.
        """
        spec = rundir.spec()
        folder = cache_folder(rundir, spec)
        key = key_of(family, spec["base"]["source"], _device_of(config), folder)
        places = places_of(dataset, family, config)
        prepared = cls(family, dataset, places, Shards(folder / f"encoded-{key}"))
        prepared.folder, prepared.key = folder, key
        flips = (False, True) if config.random_flip else (False,)
        done = prepared._encode_prompts(stop) and prepared._encode_media(rundir, flips, stop)
        prepared.shards.flush()
        # processes have parts of unlike length, so each looked at its own stop
        if agreed(not done):
            return None
        prepared.shards.refresh()
        prepared._tell()
        return prepared

    def condition(self, prompt: str) -> Condition:
        found = self.shards.get(entry_of("prompt", prompt))
        return {name: tensor for name, tensor in found.items() if name != _CUT}

    def moments(self, name: str, place: Place, flip: bool = False) -> Moments:
        return Moments(**self.shards.get(media_entry(name, place, flip)))

    def shape_of(self, pair: MediaPair) -> Place:
        """What all pairs of a batch must have in common."""
        return replace(self.places[pair.key], rate=0.0)

    @property
    def elements(self) -> int:
        """Of a clean sample, of the shape that most pairs have."""
        common = Counter(map(self.shape_of, self.dataset.pairs)).most_common(1)[0][0]
        pair = next(pair for pair in self.dataset.pairs if self.shape_of(pair) == common)
        return self.moments(pair.chosen, self.places[pair.key]).mean.numel()

    def passes(self, pairs: Sequence[MediaPair], size: int) -> list[list[int]]:
        """Places in ``pairs`` in groups of one shape that go through the model together.

        Args:
            size: how many a group may hold.
        """
        groups: dict[Place, list[int]] = defaultdict(list)
        for number, pair in enumerate(pairs):
            groups[self.shape_of(pair)].append(number)
        return [
            group[start : start + size]
            for group in groups.values()
            for start in range(0, len(group), size)
        ]

    def batch(
        self,
        pairs: Sequence[MediaPair],
        draws: Sequence[Draw],
        device: torch.device,
        what: What = "whole",
    ) -> Batch:
        """
        Args:
            pairs: of one shape, as :meth:`passes` groups them.
        """
        clean: list[list[Tensor]] = [[], []]
        noise = []
        for pair, draw in zip(pairs, draws, strict=True):
            place = self.places[pair.key]
            for side, name in zip(clean, (pair.chosen, pair.rejected), strict=True):
                side.append(_sample(self.moments(name, place, draw.flip), draw))
            noise.append(_normal(clean[0][-1].shape, draw.noise))
        prompts = [
            self.condition("" if draw.empty else pair.prompt)
            for pair, draw in zip(pairs, draws, strict=True)
        ]
        uniforms = torch.tensor([draw.uniform for draw in draws] * 2, dtype=torch.float64)
        place = self.places[pairs[0].key]
        weights, better = self.parts(pairs, draws, clean[0][0].shape, what)
        collated = self.family.collate([*prompts, *prompts])
        return Batch(
            torch.stack([*clean[0], *clean[1]]).to(device),
            torch.stack([*noise, *noise]).to(device),
            self.family.schedule.times(uniforms).to(device),
            {name: tensor.to(device) for name, tensor in collated.items()},
            (place.height, place.width),
            None if weights is None else weights.to(device),
            None if better is None else better.to(device),
        )

    def parts(
        self, pairs: Sequence[MediaPair], draws: Sequence[Draw], shape: torch.Size, what: What
    ) -> tuple[Tensor | None, Tensor | None]:
        """Weights of what errors are averaged over, and what is better in each segment; on the CPU.

        Args:
            shape: of a clean sample.
        """
        if what == "segments":
            rule, places = self.family.frame_rule, [self.places[pair.key] for pair in pairs]
            return segments_on([p.segments for p in pairs], places, shape, rule)
        if what == "regions":
            own = [
                regions_on(
                    pair.regions,
                    (self.dataset.facts[pair.chosen], self.dataset.facts[pair.rejected]),
                    self.places[pair.key],
                    shape,
                    self.family.frame_rule,
                    flip=draw.flip,
                )
                for pair, draw in zip(pairs, draws, strict=True)
            ]
            return torch.stack([*(o[0] for o in own), *(o[1] for o in own)]), None
        return None, None

    def reference(
        self,
        rundir: RunDir,
        pairs: Sequence[MediaPair],
        draw: Callable[[str, int], Draw],
        numbers: Iterable[int],
        errors: Callable[[Batch], Tensor],
        *,
        weights: str,
        size: int,
        device: torch.device,
        what: What = "whole",
        stop: object = False,
    ) -> Bank | None:
        """The frozen model's errors on the pairs at these draws, from the runs' shared cache or
        computed now and kept there; None where it was stopped.

        Args:
            draw: ``Chances.draw`` or ``Chances.test``.
            errors: of the frozen model, (pairs, 2), or (pairs, 2, parts) where parts are asked for.
            weights: digest of the frozen model with its number format: whatever its errors depend
                on besides the batch.
            size: pairs of a pass.
        """
        told = [self.key, weights, device.type, torch.__version__, _told_of(self.family.schedule)]
        cache = Cache(self.folder, f"errors-{digest_of(told)[:32]}")
        ErrorsOf(self.folder, rundir.spec(), self.key).keep(cache.folder.name)
        wanted = {
            (pair.key, number): self.error_entry(pair, draw(pair.key, number), what)
            for number in numbers
            for pair in pairs
        }
        known = cache.read(set(wanted.values()))
        # all see the same before any writes, so that they part the same among them
        barrier()
        left = [
            (pair, number)
            for number in numbers
            for pair in pairs
            if wanted[pair.key, number] not in known
        ]
        fresh: dict[bytes, Tensor] = {}
        done, stopped = 0, False
        passes = self.passes([pair for pair, _ in left], size)
        for _, some in share(passes):
            if stopped := bool(stop):
                break
            chosen = [left[place] for place in some]
            batch = self.batch(
                [pair for pair, _ in chosen],
                [draw(pair.key, number) for pair, number in chosen],
                device,
                what,
            )
            found = errors(batch).float().cpu()
            for (pair, number), value in zip(chosen, found, strict=True):
                own = value if value.ndim == 1 else value[:, : parts_in(pair, what)]
                fresh[wanted[pair.key, number]] = own.flatten().clone()
            done += len(some)
            rundir.progress(done, len(left), "pairs", Said(WORDS, "asking_frozen"))
            if sum(map(len, fresh.values())) > _ERRORS_WAITING:
                _keep(rundir, cache, fresh)
                known |= fresh
                fresh = {}
        _keep(rundir, cache, fresh)
        if agreed(stopped):
            return None
        known |= fresh
        if world().size > 1:
            known |= cache.read(set(wanted.values()) - known.keys())
        return Bank({place: known[entry] for place, entry in wanted.items()}, len(left))

    def error_entry(self, pair: MediaPair, draw: Draw, what: What) -> bytes:
        """What a frozen model's errors at a draw are kept under."""
        place = self.places[pair.key]
        told: list[object] = [
            media_entry(pair.chosen, place, draw.flip),
            media_entry(pair.rejected, place, draw.flip),
            "" if draw.empty else pair.prompt,
            [draw.uniform.hex(), draw.noise, draw.latent],
            what,
        ]
        if what == "segments":
            told.append([list(segment[:2]) for segment in pair.segments])
        if what == "regions":
            told.append([list(region) for region in pair.regions])
        return bytes.fromhex(digest_of(told))

    # inner

    def _encode_prompts(self, stop: object) -> bool:
        prompts = sorted({"", *(pair.prompt for pair in self.dataset.pairs)})
        for _, prompt in share(prompts):
            if stop:
                return False
            entry = entry_of("prompt", prompt)
            if entry not in self.shards:
                before = self.family.cut
                made = self.family.encode_prompt(prompt)
                cut = torch.tensor(self.family.cut > before)
                self.shards.add(entry, {**made, _CUT: cut})
        return True

    def _encode_media(self, rundir: RunDir, flips: Sequence[bool], stop: object) -> bool:
        wanted: dict[tuple[str, Place], str] = {}
        for pair in self.dataset.pairs:
            for name in (pair.chosen, pair.rejected):
                wanted.setdefault((name, self.places[pair.key]), pair.told)
        ordered = sorted(wanted, key=lambda item: (item[0], str(item[1])))

        def missing(item: tuple[str, Place]) -> bool:
            return any(media_entry(*item, flip) not in self.shards for flip in flips)

        self.counts = {"files": len(wanted), "encoded": sum(map(missing, ordered))}
        # parted before it is asked what is there, which others may be writing
        mine = [item for _, item in share(ordered) if missing(item)]
        done = 0
        for (name, place), pixels in self._read_ahead(rundir.media, mine, wanted, stop):
            for flip in flips:
                entry = media_entry(name, place, flip)
                if entry not in self.shards:
                    moments = self.family.encode_media(pixels.flip(-1) if flip else pixels)
                    _check_moments(moments, wanted[name, place], name)
                    self.shards.add(entry, moments._asdict())
            done += 1
            if done % 20 == 0 or done == len(mine):
                rundir.progress(done, len(mine), "files", Said(WORDS, "encoding"))
        return done == len(mine)

    def _read_ahead(
        self,
        media: Path,
        items: Sequence[tuple[str, Place]],
        told: dict[tuple[str, Place], str],
        stop: object,
    ) -> Iterator[tuple[tuple[str, Place], Tensor]]:
        """Files are decoded beside the encoder at work; ends early where it is stopped."""
        clip = self.family.modality == "video"
        ahead = 2 if clip else 2 * READERS

        def one(item: tuple[str, Place]) -> Tensor:
            try:
                return read(media / item[0], item[1], self.family.channels, clip=clip)
            except (BadMedia, FileNotFoundError) as error:
                raise UserError(
                    Said(
                        WORDS,
                        "file_gone_bad",
                        file=item[0],
                        row=told[item],
                        error=getattr(error, "why", error),
                    ),
                    code="bad_picture",
                ) from error

        with ThreadPoolExecutor(READERS) as pool:
            coming = [pool.submit(one, item) for item in items[:ahead]]
            for number, item in enumerate(items):
                if stop:
                    break
                pixels = coming.pop(0).result()
                if number + ahead < len(items):
                    coming.append(pool.submit(one, items[number + ahead]))
                yield item, pixels
            for future in coming:
                future.cancel()

    def _tell(self) -> None:
        prompts = {pair.prompt for pair in self.dataset.pairs}
        cut = sum(bool(self.shards.get(entry_of("prompt", p))[_CUT]) for p in prompts)
        self.counts["prompts_cut"] = cut
        shapes = Counter(map(self.shape_of, self.dataset.pairs))
        self.notes = [Said(WORDS, "shapes", shapes=_told(shapes))]
        if cut:
            self.notes.append(Said(WORDS, "prompts_cut", cut=cut, prompts=len(prompts)))
        encoded, files = self.counts["encoded"], self.counts["files"]
        counts = {"encoded": encoded, "files": files, "known": files - encoded}
        self.notes.append(Said(WORDS, "files_encoded", **counts))


class Bank:
    """Errors of the frozen model by pair and draw."""

    def __init__(self, values: dict[tuple[str, int], Tensor], computed: int) -> None:
        self._values = values
        self.computed = computed
        """How many of them were not in the cache."""

    def of(self, pairs: Sequence[MediaPair], number: int) -> Tensor:
        """float32 (pairs, 2), or (pairs, 2, parts), where a pair with fewer parts is filled up
        with zeros."""
        rows = [self._values[pair.key, number].view(2, -1) for pair in pairs]
        most = max(row.shape[1] for row in rows)
        padded = torch.stack([torch.nn.functional.pad(r, (0, most - r.shape[1])) for r in rows])
        return padded[:, :, 0] if most == 1 else padded


def places_of(dataset: MediaDataset, family: Family, config: Any) -> dict[str, Place]:
    """The shape of each pair by its key.

    Raises:
        UserError: ``bad_resolution``.
    """
    size = config.resolution or family.size
    check_size(family, size, size)
    shapes = shapes_for(size, family.multiple, fixed=family.fixed_size)
    most = config.clip_frames or getattr(family, "frames", 0) or MOST_FRAMES
    return {
        pair.key: place_of(
            (dataset.facts[pair.chosen], dataset.facts[pair.rejected]),
            shapes,
            family.frame_rule,
            most,
            getattr(family, "rate", 0.0),
        )
        for pair in dataset.pairs
    }


def media_entry(name: str, place: Place, flip: bool) -> str:
    shape = [place.height, place.width, place.frames, place.rate]
    return entry_of("media", name, shape, flip)


def parts_in(pair: MediaPair, what: What) -> int:
    """How many parts of a pair errors are averaged over."""
    return {"whole": 1, "segments": max(1, len(pair.segments)), "regions": 2}[what]


def _told(shapes: Counter[Place]) -> str:
    return listed([_in_words(place, count) for place, count in shapes.most_common()], NAMED)


def _in_words(place: Place, pairs: int) -> str:
    size = {"width": place.width, "height": place.height, "pairs": pairs}
    if place.frames > 1:
        return Said(WORDS, "shape_of_clips", frames=place.frames, **size)
    return Said(WORDS, "shape", **size)


def _told_of(schedule: Schedule) -> list[object]:
    """What errors depend on of a schedule: its times and how much of a sample they leave."""
    times = schedule.times(torch.arange(32, dtype=torch.float64) / 32)
    left = schedule.corrupt(torch.ones(32, 1), torch.zeros(32, 1), times)
    return [schedule.prediction, times.tolist(), left.flatten().tolist()]


def _keep(rundir: RunDir, cache: Cache, errors: dict[bytes, Tensor]) -> None:
    try:
        cache.write(errors)
    except OSError as error:
        rundir.event(
            Said(WORDS, "errors_not_kept", folder=cache.folder.parent, error=error),
            "warning",
        )


def _sample(moments: Moments, draw: Draw) -> Tensor:
    if draw.latent is None or not moments.std.ndim:
        return moments.mean
    return moments.sample(_normal(moments.mean.shape, draw.latent))


def _normal(shape: torch.Size, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _check_moments(moments: Moments, told: str, name: str) -> None:
    if not (moments.mean.isfinite().all() and moments.std.isfinite().all()):
        raise UserError(
            Said(WORDS, "bad_encoder", file=name[:12], row=told),
            code="bad_encoder",
        )


def _device_of(config: Any) -> torch.device:
    on_gpu = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")
