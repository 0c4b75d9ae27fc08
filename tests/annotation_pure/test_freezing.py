"""From votes to the rows of a version: what counts, what is left out, the same digest always."""

from __future__ import annotations

import random
from typing import Any

import pytest

from annotation.formats.records import ImportedRecord, ImportedVote
from annotation.recipe import Recipe
from annotation.services.importing import import_records
from annotation.services.versions import preview, publish_version
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord, read_parquet
from steelyard.registry.models import DatasetVersion
from tests.factories import make_annotator, make_judgment, make_pair, make_project, make_prompt

pytestmark = pytest.mark.django_db


def freeze(project: Any, **recipe: Any) -> DatasetVersion:
    chosen = Recipe(**{"test_fraction": 0.0, **recipe})
    return publish_version(project=project, dataset_name="All", recipe=chosen, by=None)


def rows(version: DatasetVersion) -> list[PreferenceRecord]:
    return read_parquet(version.parquet)


def refusal(project: Any, **recipe: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        freeze(project, **recipe)
    return caught.value


def crowd(seed: int) -> list[ImportedRecord]:
    """Thirty pairs of five prompts with three votes each, written down in an order of the seed's
    choosing and with sides swapped in half of them."""
    order = random.Random(seed)
    records = []
    for number in range(30):
        say = random.Random(number)
        votes = [(f"w{w}", say.choice(["a", "b", "tie", "both_bad"])) for w in range(3)]
        texts = [(f"Left {number}.", "m1"), (f"Right {number}.", "m2")]
        turned = order.random() < 0.5
        flip = {"a": "b", "b": "a"} if turned else {}
        (text_a, model_a), (text_b, model_b) = texts[::-1] if turned else texts
        cast = []
        for worker, outcome in votes:
            side = flip.get(outcome, outcome)
            strength = {"a": -1, "b": 1}.get(side, 0)
            cast.append(ImportedVote(worker, "person", side, strength, rationale=f"by {worker}"))
        order.shuffle(cast)
        messages = [{"role": "user", "content": f"Question {number % 5}?"}]
        records.append(
            ImportedRecord(f"Line {number}", messages, text_a, text_b, model_a, model_b, votes=cast)
        )
    order.shuffle(records)
    return records


def test_it_works(project: Any) -> None:
    pair = make_pair(project)
    make_judgment(pair, "b", rationale="shorter", strength=2)
    version = freeze(project)
    (row,) = rows(version)
    assert row.chosen == pair.output_b.text
    assert row.rejected == pair.output_a.text
    assert (row.outcome, row.chosen_side, row.strength, row.agreement) == ("win", "b", 2.0, 1.0)
    assert row.rationales[0]["text"] == "shorter"
    assert version.counts["rows"] == version.counts["votes"] == 1
    assert (version.number, version.parent) == (1, None)


@pytest.mark.parametrize("aggregation", ["majority", "dawid_skene"])
@pytest.mark.parametrize("ties", ["drop", "keep", "random"])
def test_the_same_votes_in_any_order_are_the_same_version(aggregation: str, ties: str) -> None:
    digests = set()
    for seed in range(3):
        # as on three machines: each has this project and nothing else
        there = make_project(slug="same")
        import_records(project=there, records=crowd(seed), by=None)
        digests.add(freeze(there, aggregation=aggregation, ties=ties).digest)
        there.judgments.all().delete()
        there.slug = f"other-{seed}"
        there.save()
    assert len(digests) == 1


def test_a_held_out_prompt_is_never_in_a_version(project: Any) -> None:
    make_judgment(make_pair(project), "a")
    secret = make_pair(project, prompt=make_prompt(project, held_out=True))
    make_judgment(secret, "a")
    frozen = rows(freeze(project))
    assert secret.prompt.key not in {row.prompt_key for row in frozen}
    assert preview(project=project, recipe=Recipe()).passed_over["held_out"] == 1


def test_people_and_judges_are_only_mixed_when_asked(project: Any) -> None:
    judge = make_annotator(project, "robot", kind="judge")
    make_judgment(make_pair(project), "a", annotator=judge)
    make_judgment(make_pair(project), "a")
    counted = {
        who: freeze(project, annotators=who).counts["rows"] for who in ("people", "judges", "both")
    }
    assert counted == {"people": 1, "judges": 1, "both": 2}


def test_skips_and_superseded_votes_do_not_count(project: Any) -> None:
    pair, annotator = make_pair(project), make_annotator(project)
    make_judgment(make_pair(project), "skip")
    old = make_judgment(pair, "a", annotator=annotator, is_current=False)
    make_judgment(pair, "b", annotator=annotator, supersedes=old)
    (row,) = rows(freeze(project))
    assert [vote["outcome"] for vote in row.votes] == ["b"]


def test_what_is_left_out_is_counted_by_reason(project: Any) -> None:
    make_judgment(make_pair(project), "a")
    make_judgment(make_pair(project), "tie")
    make_judgment(make_pair(project), "both_bad")
    make_judgment(make_pair(project, texts=("Same.", "Same.")), "a")
    split = make_pair(project)
    for outcome in ("a", "a", "b"):
        make_judgment(split, outcome)
    make_pair(project)
    found = preview(project=project, recipe=Recipe(min_agreement=0.9, test_fraction=0.0))
    dropped = {name: n for name, n in found.counts.items() if name.startswith("dropped") and n}
    assert found.counts["rows"] == 1
    assert dropped == {
        "dropped_tie": 1,
        "dropped_both_bad": 1,
        "dropped_identical": 1,
        "dropped_low_agreement": 1,
    }
    assert found.passed_over == {"unlabelled": 1}


def test_two_bad_answers_are_kept_as_that_where_the_recipe_says_so(project: Any) -> None:
    for outcome in ("a", "tie", "both_bad"):
        make_judgment(make_pair(project), outcome)
    version = freeze(project, both_bad="keep")
    assert sorted(row.outcome for row in rows(version)) == ["both_bad", "win"]
    assert version.counts["both_bad"] == 1
    assert version.counts["dropped_both_bad"] == 0
    assert version.recipe["both_bad"] == "keep"
    assert "both_bad" not in freeze(project).recipe


def test_of_bad_answers_alone_nothing_is_learnt(project: Any) -> None:
    make_judgment(make_pair(project), "both_bad")
    assert refusal(project, both_bad="keep").code == "one_class"


def test_what_is_frozen_is_what_was_shown(project: Any) -> None:
    import_records(project=project, records=crowd(0), by=None)
    recipe = Recipe(ties="random", test_fraction=0.4)
    shown = preview(project=project, recipe=recipe)
    version = publish_version(project=project, dataset_name="All", recipe=recipe, by=None)
    assert version.counts == shown.counts
    assert sum(train + test for _, train, test in shown.categories) == shown.counts["rows"]


def test_no_prompt_is_in_both_splits(project: Any) -> None:
    import_records(project=project, records=crowd(0), by=None)
    frozen = rows(freeze(project, ties="random", test_fraction=0.5, seed=1))
    splits: dict[str, set[str]] = {}
    for row in frozen:
        splits.setdefault(row.prompt_key, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == {"train", "test"}


def test_dawid_skene_listens_to_the_reliable(project: Any) -> None:
    good, also_good, *spam = [make_annotator(project, name) for name in ("g1", "g2", "s1", "s2")]
    say = random.Random(0)
    for _ in range(40):
        pair, right = make_pair(project), say.choice("ab")
        for annotator in (good, also_good):
            make_judgment(pair, right, annotator=annotator)
        for annotator in spam:
            make_judgment(pair, say.choice("ab"), annotator=annotator)
    contested = make_pair(project)
    make_judgment(contested, "a", annotator=good)
    make_judgment(contested, "b", annotator=spam[0])
    by_pair = {row.pair: row for row in rows(freeze(project, aggregation="dawid_skene"))}
    assert by_pair[contested.key].chosen_side == "a"
    assert contested.key not in {row.pair for row in rows(freeze(project))}


def test_only_some_categories(project: Any) -> None:
    make_judgment(make_pair(project, prompt=make_prompt(project, category="maths")), "a")
    make_judgment(make_pair(project, prompt=make_prompt(project, category="poems")), "a")
    (row,) = rows(freeze(project, categories=("maths",)))
    assert row.category == "maths"


def test_an_excluded_annotator_does_not_count(project: Any) -> None:
    pair = make_pair(project)
    make_judgment(pair, "a", annotator=make_annotator(project, "rater"))
    make_judgment(pair, "b", annotator=make_annotator(project, "bob"))
    (row,) = rows(freeze(project, exclude=("bob",)))
    assert (row.chosen_side, len(row.votes)) == ("a", 1)


def test_nothing_to_freeze_is_said(project: Any) -> None:
    make_pair(project)
    problem = refusal(project)
    assert problem.code == "empty_version"
    assert "by people" in problem.message


def test_only_ties_teach_nothing(project: Any) -> None:
    make_judgment(make_pair(project), "tie")
    assert refusal(project, ties="keep").code == "one_class"
    assert refusal(project, ties="drop").code == "empty_version"


def test_the_same_version_twice_is_refused_and_nothing_is_harmed(project: Any) -> None:
    make_judgment(make_pair(project), "a")
    version = freeze(project)
    assert refusal(project).code == "version_exists"
    assert DatasetVersion.objects.get() == version
    assert len(rows(version)) == 1


def test_a_new_vote_makes_the_next_version_and_leaves_the_old_one(project: Any) -> None:
    make_judgment(make_pair(project), "a")
    first = freeze(project)
    before = first.parquet.read_bytes()
    make_judgment(make_pair(project), "b")
    second = freeze(project)
    assert (second.number, second.parent) == (2, first)
    assert first.digest != second.digest
    assert first.parquet.read_bytes() == before
