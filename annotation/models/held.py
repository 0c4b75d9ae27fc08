from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from annotation.models.people import Annotator


class HeldBattles(models.Model):
    """The numbers of all votes that a leaderboard counts of all people of a project, or of one
    judge, as they stood when they were last gathered; what has changed since is in
    :class:`BattleChange`.

    Both are written by the database alone, and no key of theirs is checked: whoever deletes a
    project need not know of them.
    """

    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="+", db_constraint=False
    )
    annotators = ArrayField(models.BigIntegerField(), help_text="Whose votes they are.")
    votes = ArrayField(models.BigIntegerField(), help_text="How many of each.")
    packed = models.BinaryField(
        help_text="In order, eight bytes a vote, the most significant first."
    )

    def __str__(self) -> str:
        return f"{sum(self.votes)} votes of {len(self.annotators)} annotators"


class BattleChange(models.Model):
    """A number that came to an annotator's or went from them since these were gathered.

    Only ever added to, by triggers on the votes, in the transaction that changes the vote: nobody
    who votes waits for another, and whoever sees the vote sees this.
    """

    project = models.ForeignKey(
        "projects.Project", models.CASCADE, related_name="+", db_constraint=False
    )
    annotator = models.ForeignKey(
        Annotator, models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    battle = models.BigIntegerField()
    added = models.BooleanField()

    def __str__(self) -> str:
        return f"{'+' if self.added else '-'}{self.battle} of {self.annotator}"
