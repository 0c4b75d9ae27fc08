"""Every option of a recipe makes the same bytes, whatever texts and votes hold and whatever code
reads them."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from annotation.models import Judgment
from annotation.recipe import Recipe
from annotation.services.material import add_output, add_pair, add_prompt
from annotation.services.versions import publish_version
from steelyard.assets.models import Asset
from steelyard.lib.records import canonical_lines, read_parquet
from steelyard.registry.rows import jsonl
from tests import factories

pytestmark = pytest.mark.django_db

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({}, "c19ee28117229185bf720161e4a60d1c3ea347d75f0cc1424b9e389f2ca1dd93"),
    "everybody": (
        {"annotators": "both", "ties": "keep", "test_fraction": 0.5},
        "86bc938ebec6fdb29c65eb3f055e1d0f0a95a9fce89906cadeb5e5cc78de1e3e",
    ),
    "judges": (
        {"annotators": "judges", "ties": "random", "seed": 9},
        "8ed9dc351c94b448c592447eebcd6e6e53a5a2924baebe33b1bac744ef770fef",
    ),
    "halved": (
        {"annotators": "both", "ties": "half", "seed": 4},
        "8ebf8a333dbc8b87700952e3e031aac3f6df7d696727575fc8864014d0d583e7",
    ),
    "each vote": (
        {"aggregation": "per_vote", "ties": "half", "min_votes": 2},
        "8022419937f55f5cd08a291d256229749562d95719a4e3ab57a4422e49f45f13",
    ),
    "weighed": (
        {"aggregation": "dawid_skene", "annotators": "both", "ties": "random"},
        "a770c060a8c903cc8bac1bd3d134db20f3bef1ae79c5b1a6cfa70cd74419648a",
    ),
    "chosen people": (
        {"only": ["w0", "w1 “é”"], "min_agreement": 0.6},
        "8dafa32058ea0f6b0857eb3d89b22529d9931e242ecc78fe9683303fce005043",
    ),
    "left out": (
        {"exclude": ["w0"], "without_models": ["m2"], "ties": "keep"},
        "06099b1502882a0e08e0f912c2b9794d054ecde0f5e0c0e3a8c9b0e36a2f569d",
    ),
    "of some models": (
        {"models": ["m0", 'm1\\"'], "categories": ["c0", "c “1”"]},
        "a0802c79d6550923a3fb53e58e633e4a7203a6abb9ac08e7c61a9bfec3de6bda",
    ),
    "days": (
        {"since": "2031-05-03", "until": "2031-05-20", "ties": "keep"},
        "080f8c5299501d327e3b65ec9f770ec17037d6c45f6af17cde54566164b33f95",
    ),
    "right ones": (
        {"min_right": 0.5, "min_known": 2, "ties": "keep"},
        "f8d7313b6c094724753d4072b317af8d2893e2e316383cac36e2a4dcf3074e31",
    ),
    "slow ones": (
        {"min_seconds": 2.5, "ties": "keep"},
        "9ef3ead470609c7f25f12d574f83df38e00066b0a782dbcaccdb751c118c80fb",
    ),
    "strong": (
        {"min_strength": 1.5, "aggregation": "per_vote"},
        "62e13435aeec657cb0bf729d7fb415f23932c0d57eb4bca8d4701239bdfb2c9f",
    ),
    "capped": (
        {"cap": 3, "cap_by": "models", "ties": "keep", "seed": 2},
        "0d1bf6cc8c83659751542f20cddee81667d39e7a15ecf841c8cfd3fbb6f37227",
    ),
    "capped by category": (
        {"cap": 5, "cap_by": "category", "ties": "half"},
        "1058955c1bc6c0fcb71ddf1cdde0470fec56ab8d47cf5c81b22bbdede7ff81c9",
    ),
    "capped by prompt": (
        {"cap": 1, "cap_by": "prompt", "aggregation": "per_vote"},
        "964201060a5769f165fa31fa959068b5a685d3a0cda05965e46d80265ef046d3",
    ),
    "grouped": (
        {"group_similar": True, "ties": "keep", "test_fraction": 0.4},
        "618834615bd26273e6e25e482d95969286dc7459408380b3603909642753ead0",
    ),
}
"""Recipe, and the digest of what it makes of the votes below."""
ODD = [
    "",
    "“é” ✓\n",
    'a "quoted" \\ path\\',
    "\x01\x1f\x7f\t\r\b\f",
    "\u2028 𝄞 \ue000",
    "</script>&'",
]


def fill(project: Any) -> None:
    say = random.Random(3)
    kinds = {"w0": "person", "w1 “é”": "person", 'w2"\\': "person", "j0": "judge", "j1": "judge"}
    people = {
        name: factories.make_annotator(project, name, kind=kind) for name, kind in kinds.items()
    }
    models = [factories.make_model(project, name) for name in ("m0", 'm1\\"', "m2")]
    clips = [
        Asset.objects.create(project=project, sha256=f"{n:064x}", kind="video", mime="m", size=1)
        for n in range(5)
    ]
    for number in range(60):
        messages = [
            {"role": "system", "content": ODD[number % 5]},
            {"role": "user", "content": f"Question {number // 3}? {ODD[number % 3]}"},
        ]
        prompt = add_prompt(
            project=project,
            messages=messages[number % 2 :],
            category=["c0", "c “1”", ""][number % 3],
            held_out=number % 29 == 7,
            media=[clip.sha256 for clip in say.sample(clips, number % 3)],
        )
        one, other = say.sample(models, 2)
        first = add_output(
            prompt=prompt, model=one, text=f"One {number}{say.choice(ODD)}", asset=say.choice(clips)
        )
        second = add_output(prompt=prompt, model=other, text=f"Two {say.choice(ODD)}")
        pair, _ = add_pair(first=first, second=second)
        if number % 4 == 0:
            pair.known_outcome = "a"
        pair.closed = number % 17 == 5
        pair.save()
        for name in say.sample(sorted(people), 1 + number % 4):
            vote(say, pair, people[name], number)


def vote(say: random.Random, pair: Any, annotator: Any, number: int) -> None:
    outcome = say.choice(["a", "a", "b", "tie", "both_bad", "skip"])
    side = say.choice("ab")
    judgment = factories.make_judgment(
        pair,
        outcome,
        annotator=annotator,
        swapped=say.random() < 0.5,
        duration_ms=say.choice([None, 1000, 2500, 9000]),
        strength={"a": -1, "b": 1}.get(outcome, 0) * say.randint(1, 3),
        rationale=say.choice(["", f"since {say.choice(ODD)}"]),
        tags=say.sample(["short", "très “bon”", 'say "so"'], number % 3),
        aspects={"truth": say.choice([-2, 1, 3]), "“é”": say.choice([-1, 0])} if number % 2 else {},
        evidence=[
            {"side": side, "kind": "span", "start": 0, "end": 3, "quote": say.choice(ODD)},
            {"side": side, "kind": "box", "x": 1e-7, "y": 0.1 + 0.2, "width": 1, "height": 1e-05},
        ][: number % 3],
        segments=[
            {"start": 0, "end": say.choice([1.5, 2, 1e-05]), "outcome": o, "strength": -1}
            for o in ("a", "b", "tie")
        ][: number % 4],
    )
    Judgment.objects.filter(pk=judgment.pk).update(
        uuid=uuid5(NAMESPACE_URL, f"{pair.key}/{annotator.name}"),
        created_at=datetime(2031, 5, 1, 12, tzinfo=UTC) + timedelta(days=number % 25),
    )


def test_recipes_make_the_bytes_that_they_always_made() -> None:
    project = factories.make_project(modality="video")
    fill(project)
    found = {name: digest_of_version(project, written) for name, (written, _) in GOLDEN.items()}
    assert found == {name: digest for name, (_, digest) in GOLDEN.items()}


def digest_of_version(project: Any, written: dict[str, Any]) -> str:
    """The digest of what is frozen, once its rows, lines and media agree with one another."""
    recipe = Recipe.from_dict(written)
    version = publish_version(project=project, dataset_name="Golden", recipe=recipe, by=None)
    rows = read_parquet(version.files)
    lines = b"".join(canonical_lines(rows))
    assert hashlib.sha256(lines).hexdigest() == version.manifest["rows_sha256"]
    assert b"".join(jsonl(version)) == lines
    media = {sha for row in rows for sha in (row.chosen_media, row.rejected_media)}
    media = media.union(*(row.prompt_media for row in rows)) - {""}
    assert version.manifest["media"] == sorted(media)
    return version.digest
