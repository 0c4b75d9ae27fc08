"""Scorers: adding one to a project as an annotator, and letting it label pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.judges import new_judge
from annotation.models import Annotator, Pair
from annotation.querysets import PairQuerySet
from annotation.scores import TIE_BAND
from annotation.services.asking import start_asking
from annotation.services.rewards import check_rewardable, rewardable
from steelyard.accounts.models import User
from steelyard.inference.scorers.base import FRAMES, IN_PROCESS, KINDS, OF_TEXTS
from steelyard.inference.scorers.outside import look_at
from steelyard.lib.errors import UserError
from steelyard.lib.weights import Broken, check_json, header_of
from steelyard.projects.models import Modality, Project
from steelyard.projects.policy import ADMINS, role_in
from steelyard.registry.sources import check_source, is_folder
from steelyard.runs.models import Run
from steelyard.web.sealing import sealed

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
OF_PICTURES = tuple(kind for kind in KINDS if kind not in OF_TEXTS)
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")
MOST_FRAMES = 64
MOST_TIE_BAND = 3.0


@transaction.atomic
def create_scorer(
    *,
    project: Project,
    name: str,
    kind: str,
    source: str,
    weights: str = "",
    dimension: str = "",
    tie_band: float = TIE_BAND,
    frames: int = FRAMES,
    api_key: str = "",
    by: User,
) -> Annotator:
    """Make an annotator of a scorer. What it is stays: other weights are another scorer.

    Args:
        kind: one of :data:`OF_PICTURES`; those that read, :mod:`.rewards` makes.
        source: folder or hub name of a CLIP model; address of a scorer over HTTP; name of a command
            that the operator has set down.
        weights: the second file of HPSv2 and of the aesthetic predictor.
        dimension: which number decides, where a scorer gives several; empty is its first.
        tie_band: how many spreads a difference may have and be a tie.
        frames: how many frames of a clip are scored.

    Raises:
        UserError: naming the field and what would be right.
    """
    name = " ".join(name.split())
    if not name or len(name) > 150:
        raise UserError(_("A scorer needs a name of at most 150 characters."), field="name")
    _check_project(project)
    source, weights = source.strip(), weights.strip()
    if kind not in OF_PICTURES:
        raise UserError(
            _("There is no scorer of kind %(kind)s; there are %(names)s.")
            % {"kind": f"{kind!r}", "names": ", ".join(OF_PICTURES)},
            field="kind",
        )
    if kind in IN_PROCESS:
        source, weights = _checked_files(project, kind, source, weights, by)
    elif kind == "http":
        source = check_source(modality=Modality.TEXT, family="endpoint", source=source, model="-")
        _check_answers(source, api_key, dimension.strip())
    elif source not in settings.SCORERS:
        raise UserError(
            _("The operator of this server has set down no scorer “%(name)s”. Known: %(names)s.")
            % {"name": source, "names": ", ".join(settings.SCORERS) or "–"},
            code="unknown_scorer",
            field="source",
        )
    _check_numbers(tie_band, frames)
    scorer: dict[str, Any] = {
        "kind": kind,
        "source": source,
        "weights": weights if kind in IN_PROCESS else "",
        "dimension": dimension.strip(),
        "tie_band": float(tie_band),
        "frames": frames,
        "licence": KINDS[kind].licence,
    }
    if api_key and kind == "http":
        scorer["api_key"] = sealed(api_key)
    return new_judge(project, name, {"scorer": scorer})


@transaction.atomic
def start_scoring(*, judge: Annotator, pairs: Iterable[Pair], by: User | None) -> Run:
    """Start a run in which the scorer gives both sides of each pair their numbers; when it ends
    they become judgments. Pairs that it has judged already are left out.

    Raises:
        UserError: nothing is left for it.
    """
    if judge.scorer["kind"] in OF_TEXTS:
        check_rewardable(judge)
    else:
        _check_project(judge.project)
    return start_asking(
        judge=judge,
        pairs=pairs,
        open_pairs=scorable(judge),
        kind="score",
        by=by,
    )


def scorable(judge: Annotator) -> PairQuerySet:
    """Scorers see an output and the words of its prompt, not what a prompt is about."""
    if judge.scorer["kind"] in OF_TEXTS:
        return rewardable(judge)
    return Pair.objects.filter(
        project=judge.project_id,
        closed=False,
        is_training=False,
        prompt__media=[],
        output_a__asset__isnull=False,
        output_b__asset__isnull=False,
    ).not_seen_by(judge)


def _check_project(project: Project) -> None:
    if project.modality == Modality.TEXT:
        raise UserError(
            _("This scorer looks at pictures and clips; this project compares texts."),
            code="wrong_modality",
        )


def _check_numbers(tie_band: float, frames: int) -> None:
    if type(tie_band) not in {int, float} or not 0 <= tie_band <= MOST_TIE_BAND:
        raise UserError(
            _("The tie band must be a number, 0 to %(most)s.") % {"most": MOST_TIE_BAND},
            field="tie_band",
        )
    if type(frames) is not int or not 1 <= frames <= MOST_FRAMES:
        raise UserError(
            _("frames must be a whole number, 1 to %(most)s.") % {"most": MOST_FRAMES},
            field="frames",
        )


def _check_answers(address: str, key: str, dimension: str) -> None:
    try:
        facts = look_at(address, key)
    except UserError as error:
        raise UserError(error.message, code=error.code, field="source") from error
    if dimension and dimension not in facts.higher_is_better:
        raise UserError(
            _("The scorer gives no “%(name)s”; it gives %(names)s.")
            % {"name": dimension, "names": ", ".join(facts.higher_is_better)},
            code="unknown_dimension",
            field="dimension",
        )


def _checked_files(
    project: Project, kind: str, source: str, weights: str, by: User
) -> tuple[str, str]:
    """Where a scorer that is loaded here lies."""
    if (is_folder(source) or weights) and role_in(by, project) not in ADMINS:
        raise UserError(
            _("Only an admin of the project may name a folder or file on the server."),
            code="admins_only",
            status=403,
            field="source" if is_folder(source) else "weights",
        )
    if is_folder(source):
        source = _checked_folder(source)
    elif not _HUB_NAME.fullmatch(source) or ".." in source or len(source) > 96:
        raise UserError(
            _(
                "“%(source)s” is neither a folder nor a hub name. A folder begins with “/”; a "
                "hub name looks like “organisation/model”."
            )
            % {"source": source},
            code="bad_model_name",
            field="source",
        )
    wanted = KINDS[kind].weights
    if not wanted:
        return source, ""
    if not weights:
        raise UserError(
            _("%(kind)s needs its file of weights beside the CLIP model: the %(what)s.")
            % {"kind": _(KINDS[kind].words), "what": _(wanted)},
            field="weights",
        )
    return source, _checked_file(weights)


def _checked_folder(named: str) -> str:
    try:
        path = Path(named).expanduser()
        kind = check_json(path / "config.json").get("model_type")
    # what a name may be that is none: of no person's home, too long, not to be encoded
    except (Broken, OSError, RuntimeError, ValueError) as error:
        raise UserError(
            _("%(path)s has no config.json of a transformers model.") % {"path": named},
            code="not_a_model",
            field="source",
        ) from error
    if kind != "clip":
        raise UserError(
            _("%(path)s is a model of type %(kind)s; scorers are CLIP models.")
            % {"path": path, "kind": kind},
            code="not_a_model",
            field="source",
        )
    return str(path.resolve())


def _checked_file(named: str) -> str:
    try:
        path = Path(named).expanduser()
        there = path.is_absolute() and path.is_file() and path.suffix in WEIGHTS
    except (OSError, RuntimeError, ValueError):
        there = False
    if not there:
        raise UserError(
            _("%(path)s is no file on this server that ends in %(names)s.")
            % {"path": named, "names": ", ".join(WEIGHTS)},
            code="no_such_file",
            field="weights",
        )
    if path.suffix == ".safetensors":
        try:
            header_of(path)
        except (Broken, OSError) as error:
            raise UserError(
                _("%(path)s is broken or half copied.") % {"path": path},
                code="broken_weights",
                field="weights",
            ) from error
    return str(path.resolve())
