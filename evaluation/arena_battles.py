"""What is asked of arenas by those who visit them: put a question, go on, vote."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation import sides
from annotation.models import Annotator, Judgment, Outcome, Output, Pair, Prompt
from annotation.services.checking import checked_outcome
from annotation.services.material import add_output, add_pair, add_prompt
from annotation.services.queue import annotator_for
from evaluation import arena_serving
from evaluation.arena_serving import seed_of, waiting
from evaluation.engine.given_away import given_away
from evaluation.engine.matching import draw
from evaluation.models_arena import SIDES, Arena, Battle, Turn, Visitor
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int, stable_uniform
from steelyard.webhooks.services import emit

MOST_WAITING = 30
"""Questions of one arena that wait for answers at a time."""
_FURTHER = "\n\n---\n\n**{}:**\n\n{}"
"""How further turns stand in an answer, as in arena logs that are read in."""


def visitor_of(*, arena: Arena, user: User | None, key: str | None) -> Visitor | None:
    """Who comes, if they were here before: a member by their account, a guest by their cookie."""
    rows = Visitor.objects.select_related("annotator")
    if user is not None:
        return rows.filter(arena=arena, user=user).first()
    try:
        return rows.filter(arena=arena, user=None, key=UUID(key)).first() if key else None
    except ValueError:
        return None


@transaction.atomic
def welcome(*, arena: Arena, user: User | None) -> Visitor:
    """A visitor's row, made with their first question."""
    if user is None:
        return Visitor.objects.create(arena=arena)
    visitor, _created = Visitor.objects.get_or_create(arena=arena, user=user)
    return visitor


@transaction.atomic
def ask(
    *, visitor: Visitor, question: str = "", agreed: bool = False, prompt: Prompt | None = None
) -> Battle:
    """Two contestants are drawn and asked.

    Args:
        question: the visitor's own; kept, so only where they ``agreed`` to that, now or before.
        prompt: one of the project's instead.

    Raises:
        UserError: the arena is closed or busy, nothing is asked or too much, the visitor has not
            agreed, or waits for answers still.
    """
    arena = _open(visitor)
    if prompt is None:
        question = _checked(arena, question)
        if not agreed and visitor.agreed_at is None:
            raise UserError(
                _("Agree that your question is kept, or take one of the project’s."),
                code="not_agreed",
                field="agreed",
            )
        if visitor.agreed_at is None:
            visitor.agreed_at = timezone.now()
            visitor.save(update_fields=["agreed_at"])
    battle = _drawn(Battle(arena=arena, visitor=visitor, prompt=prompt))
    return _put(battle, 1, prompt.text if prompt else question)


@transaction.atomic
def go_on(*, battle: Battle, question: str) -> Turn:
    """One question more to the same two.

    Raises:
        UserError: as :func:`ask`; there is a vote already, an answer is missing, or there were
            enough questions.
    """
    arena = _open(battle.visitor)
    battle = _locked(battle)
    last = battle.turns.order_by("number").last()
    if battle.is_voted:
        raise _over()
    if last is None or last.state != Turn.State.DONE:
        raise UserError(_("Wait for both answers first."), code="not_answered", status=409)
    if last.number >= arena.most_turns:
        raise UserError(
            ngettext(
                "A conversation here has %(most)s question; now vote.",
                "A conversation here has at most %(most)s questions; now vote.",
                arena.most_turns,
            )
            % {"most": arena.most_turns},
            code="enough_turns",
            status=409,
        )
    if battle.visitor.agreed_at is None:
        raise UserError(
            _("Questions of your own are kept: ask one of your own first, and agree to that."),
            code="not_agreed",
            field="question",
        )
    _put(battle, last.number + 1, _checked(arena, question))
    return battle.turns.get(number=last.number + 1)


@transaction.atomic
def try_again(*, battle: Battle) -> None:
    """Ask those once more that did not answer the last question.

    Raises:
        UserError: none has failed, or the arena is closed.
    """
    _open(battle.visitor)
    battle = _locked(battle)
    last = battle.turns.select_for_update().order_by("number").last()
    if battle.is_voted or last is None or last.state != Turn.State.FAILED:
        raise UserError(_("There is nothing to try again."), code="not_failed", status=409)
    last.battle = battle
    arena_serving.retry(last)


@transaction.atomic
def vote(*, battle: Battle, value: str) -> Judgment:
    """Keep the verdict as an ordinary judgment of a pair of the origin ``arena``, and make the
    prompt and the outputs that it is about. Said twice it is one vote: the first.

    Args:
        value: a button of the project's scale, of the screen: ``a1`` says that left is better.

    Raises:
        UserError: an answer is missing, or the project's scale has no such button.
    """
    battle = _locked(battle)
    if battle.judgment is not None:
        return battle.judgment
    arena = battle.arena
    turns = list(battle.turns.order_by("number"))
    if not turns or any(turn.state != Turn.State.DONE for turn in turns):
        raise UserError(_("Wait for both answers first."), code="not_answered", status=409)
    scheme = arena.project.scheme
    choices = [*sides.scale(scheme["steps"], scheme["tie"]), sides.BOTH_BAD]
    choice = next((choice for choice in choices if choice.value == value), None)
    if choice is None:
        raise UserError(_("Choose one of the verdicts."), field="verdict")
    checked_outcome(choice.outcome, choice.strength, scheme)
    left, right = (_output(battle, turns, side) for side in SIDES)
    pair, _created = add_pair(first=left, second=right, origin=Pair.Origin.ARENA, wanted=1)
    Pair.objects.filter(pk=pair.pk, judged=0).update(judged=1)
    swapped = pair.output_a_id != left.pk
    outcome, strength = sides.turned(choice.outcome, choice.strength, swapped)
    battle.judgment = Judgment.objects.create(
        project=arena.project,
        pair=pair,
        annotator=_annotator(battle.visitor),
        outcome=outcome,
        strength=strength,
        swapped=swapped,
        details={"arena": arena.pk},
    )
    battle.given_away = _given_away(battle, turns)
    battle.is_blind = not battle.given_away
    battle.save(update_fields=["judgment", "given_away", "is_blind"])
    if outcome != Outcome.SKIP:
        emit(project=arena.project, event="pair.completed", pair=pair.pk, judged=1, wanted=1)
    return battle.judgment


def taken_prompt(arena: Arena, draw: int) -> Prompt | None:
    """One of the project's prompts without files, by a draw; None where there is none. Of those
    that are held out, where there are any: a contestant may have learnt from the others."""
    rows = Prompt.objects.filter(project=arena.project, media=[]).order_by("pk")
    held_out = rows.filter(held_out=True)
    rows = held_out if held_out.exists() else rows
    n = rows.count()
    return rows[stable_int(arena.seed, "prompt", draw) % n] if n else None


def _open(visitor: Visitor) -> Arena:
    """The visitor's arena, if they may ask now; holds their row, so that two windows are one."""
    Visitor.objects.select_for_update().get(pk=visitor.pk)
    arena = visitor.arena
    if not arena.is_open:
        raise UserError(_("This arena is closed."), code="arena_closed", status=409)
    rows = Turn.objects.filter(waiting())
    if rows.filter(battle__visitor=visitor).exists():
        raise UserError(
            _("Your last question is being answered still."), code="still_waiting", status=409
        )
    if rows.filter(battle__arena=arena).count() >= MOST_WAITING:
        raise UserError(
            _("Many questions wait for answers now. Try again in a minute."),
            code="arena_busy",
            status=503,
        )
    return arena


def _checked(arena: Arena, question: str) -> str:
    question = question.replace("\x00", "").replace("\r\n", "\n").strip()
    if not question:
        raise UserError(_("Write a question."), field="question")
    if len(question) > arena.longest_prompt:
        raise UserError(
            _("It has %(n)s characters; at most %(most)s are taken here.")
            % {"n": f"{len(question):,}", "most": f"{arena.longest_prompt:,}"},
            code="too_long",
            field="question",
        )
    return question


def _drawn(battle: Battle) -> Battle:
    """With two contestants, and which is left."""
    arena = battle.arena
    met: Counter[tuple[int, int]] = Counter()
    counts = Battle.objects.filter(arena=arena).order_by().values_list("left", "right")
    for left, right, n in counts.annotate(n=Count("pk")):
        met[min(left, right), max(left, right)] += n
    models = {model.pk: model for model in arena.contestants.all()}
    match = draw(list(models), met, stable_uniform(arena.seed, "meet", battle.uuid))
    two = [models[match.first], models[match.second]]
    if stable_uniform(arena.seed, "side", battle.uuid) < 0.5:
        two.reverse()
    battle.left, battle.right = two
    battle.probability = match.probability
    battle.save()
    return battle


def _put(battle: Battle, number: int, question: str) -> Battle:
    seed = stable_int(battle.arena.seed, battle.uuid, number)
    turn = Turn.objects.create(battle=battle, number=number, question=question, seed=seed)
    arena_serving.send(turn)
    return battle


def _locked(battle: Battle) -> Battle:
    rows = Battle.objects.select_for_update(of=("self",))
    parts = ("arena__project", "visitor__arena__project", "left", "right", "prompt", "judgment")
    return rows.select_related(*parts).get(pk=battle.pk)


def _over() -> UserError:
    return UserError(_("You have voted on this one already."), code="voted", status=409)


def _output(battle: Battle, turns: list[Turn], side: str) -> Output:
    """The whole conversation with one side after the first question."""
    first, *further = turns
    text = first.text_of(side)
    for turn in further:
        text += _FURTHER.format("User", turn.question)
        text += _FURTHER.format("Assistant", turn.text_of(side))
    prompt = battle.prompt or add_prompt(
        project=battle.arena.project, messages=[{"role": "user", "content": first.question}]
    )
    return add_output(
        prompt=prompt,
        model=battle.contestant(side),
        text=text,
        seed=seed_of(first, side),
        parameters=first.parameters.get(side, {}),
    )


def _given_away(battle: Battle, turns: list[Turn]) -> list[dict[str, str]]:
    names: list[str] = []
    for model in battle.arena.contestants.all():
        # with revisions a model calls itself by its own name still
        own = model.base.name if model.revisions and model.base else ""
        called = (
            model.name,
            own,
            model.options.get("model") or "",
            model.source.rpartition("/")[2],
        )
        names += [name for name in called if name and name not in names]
    question = "\n".join(turn.question for turn in turns)
    if battle.prompt:
        question += "\n".join(str(message["content"]) for message in battle.prompt.messages)
    return [
        {"side": side, "words": words}
        for side in SIDES
        for turn in turns
        for words in given_away(turn.text_of(side), question=question, names=names)
    ]


def _annotator(visitor: Visitor) -> Annotator:
    """In whose name the vote is kept; of a guest it is made now."""
    if visitor.annotator is None:
        project = visitor.arena.project
        if visitor.user is not None:
            visitor.annotator = annotator_for(user=visitor.user, project=project)
        else:
            visitor.annotator = _guest(visitor)
        visitor.save(update_fields=["annotator"])
    return visitor.annotator


def _guest(visitor: Visitor) -> Annotator:
    project = visitor.arena.project
    number = Annotator.objects.filter(project=project, name__startswith="guest ").count()
    while True:
        number += 1
        try:
            with transaction.atomic():
                return Annotator.objects.create(
                    project=project, kind=Annotator.Kind.PERSON, name=f"guest {number}"
                )
        except IntegrityError:
            continue
