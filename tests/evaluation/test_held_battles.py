"""Numbers of votes that are held together for leaderboards: always those of the votes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from annotation import held
from annotation.models import BattleChange, HeldBattles, Judgment
from annotation.tasks import gather_battles
from evaluation import battles, kept
from evaluation.board_votes import Options, all_of, counted
from evaluation.leaderboard import standings
from steelyard.projects.models import Project
from tests.factories import make_annotator, make_judgment, make_pair, make_project

pytestmark = pytest.mark.django_db


def agree(project: Project, **said: Any) -> None:
    options = Options(**said)
    whose = all_of(project, options)
    assert whose is not None
    found = battles._read_held(project, whose)
    assert found is not None
    votes = counted(project, options)
    assert found[0].tolist() == sorted(votes.values_list("battle", flat=True))
    assert found[1] == votes.order_by().values("annotator").distinct().count()


def test_after_whatever_happens_to_votes_they_are_those_that_count(project: Project) -> None:
    chance = random.Random(7)
    raters = [make_annotator(project, name) for name in ("rater", "scorer")]
    robots = [make_annotator(project, f"robot {n}", kind="judge") for n in range(2)]
    twice = ("zeta", "zeta")
    pairs = [make_pair(project, models=("zeta", "alpha")) for _ in range(3)]
    pairs += [make_pair(project, models=("alpha", "mu")), make_pair(project, models=twice)]
    said = ["a", "b", "tie", "both_bad", "skip"]
    for turn in range(60):
        pair, annotator = chance.choice(pairs), chance.choice(raters + robots)
        now = Judgment.objects.filter(pair=pair, annotator=annotator, is_current=True)
        what = chance.choice(["vote", "vote", "vote", "change", "take back", "delete", "note"])
        if what == "vote":  # or a correction, where there was one
            before = now.first()
            now.update(is_current=False)
            make_judgment(pair, chance.choice(said), annotator=annotator, supersedes=before)
        elif what == "change":
            now.update(outcome="tie", strength=0)
        elif what == "take back":
            Judgment.objects.filter(annotator=annotator).update(is_current=False)
        elif what == "delete":
            now.filter(superseded_by=None).delete()
        else:
            changes = BattleChange.objects.count()
            Judgment.objects.update(rationale="as said")
            assert BattleChange.objects.count() == changes
        if turn % 7 == 3:
            held.gather(project)
            assert not BattleChange.objects.exists()
        agree(project)
        agree(project, source="judges")
        agree(project, source="judges", judge=robots[0])
    assert HeldBattles.objects.count() == 3


def test_what_is_held_is_read_only_where_it_is_just_what_counts(project: Project) -> None:
    rater, scorer = (make_annotator(project, name) for name in ("rater", "scorer"))
    for said in ("a", "b", "tie", "a"):
        for annotator in (rater, scorer):
            make_judgment(make_pair(project, models=("alpha", "mu")), said, annotator=annotator)
    held.gather(project)
    # what was held would show where it were read though it must not be
    HeldBattles.objects.update(packed=b"")
    make_judgment(make_pair(project, models=("alpha", "mu")), "b", annotator=rater)
    for options, votes in (
        (Options(), 1),
        (Options(without=(scorer,)), 5),  # theirs are held with others'
        (Options(category="none"), 0),
    ):
        kept._boards.clear()
        board = standings(project, options)
        assert board.votes + board.others == votes
    held.gather(project)
    kept._boards.clear()
    assert standings(project).votes == 9


def test_it_is_done_where_many_have_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_FEW", 2)
    few = make_project()
    for owner, votes in ((project, 3), (few, 2)):
        for _ in range(votes):
            make_judgment(make_pair(owner, models=("alpha", "mu")), "a")
    # of a project that was deleted, and its votes last
    gone = few.pk + 1
    left = BattleChange.objects.create(project_id=gone, annotator_id=1, battle=1, added=False)
    HeldBattles.objects.create(project_id=gone, annotators=[1], votes=[1], packed=bytes(8))
    gather_battles()
    assert (held.held(project), held.held(few)) == (3, 0)
    assert BattleChange.objects.filter(project=few).count() == 2
    assert not BattleChange.objects.filter(pk=left.pk).exists()
    assert list(HeldBattles.objects.values_list("project", flat=True)) == [project.pk]


def test_votes_that_are_loaded_bring_their_numbers_and_numbers_beside_them_are_refused(
    project: Project, tmp_path: Path
) -> None:
    for said in ("a", "b", "tie"):
        make_judgment(make_pair(project, models=("alpha", "mu")), said)
    held.gather(project)
    dump, numbers = tmp_path / "dump.json", ["annotation.heldbattles", "annotation.battlechange"]
    call_command("dumpdata", "annotation.judgment", *numbers, output=str(dump))
    for model in (Judgment, HeldBattles, BattleChange):
        model.objects.all().delete()
    with pytest.raises(CommandError, match="--exclude annotation"):
        call_command("loaddata", str(dump))
    assert not Judgment.objects.exists()
    call_command("loaddata", str(dump), exclude=numbers, verbosity=0)
    assert standings(project).votes == 3
    agree(project)


def test_votes_that_are_emptied_out_are_gone(project: Project) -> None:
    for gathered in (True, False):
        make_judgment(make_pair(project, models=("alpha", "mu")), "a")
        if gathered:
            held.gather(project)
    with connection.cursor() as cursor:
        # its checks wait for the transaction's end, and nothing is emptied before them
        cursor.execute("set constraints all immediate")
        cursor.execute("truncate annotation_judgment cascade")
    agree(project)


@pytest.mark.django_db(transaction=True)
def test_a_vote_that_is_being_cast_meanwhile_is_not_lost() -> None:
    project = make_project()
    make_judgment(make_pair(project, models=("alpha", "mu")), "a")
    settings = connection.get_connection_params()
    settings = {name: settings[name] for name in ("dbname", "user", "host", "port")}
    with psycopg.connect(**settings) as another:
        another.execute("update annotation_judgment set outcome = 'b', strength = 1")
        assert held.gather(project)
        another.commit()
        another.execute("select pg_advisory_xact_lock(%s, %s)", [held._LOCK, project.pk])
        assert not held.gather(project)
    assert held.held(project) == 1
    agree(project)
