"""Rows of pictures, clips and tools that are not what their format says: each is refused with its
place, its column, and what would be right."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from annotation.formats import FORMATS, containers, guess
from annotation.formats.base import Reading
from annotation.formats.rows import Row, RowError
from steelyard.lib.errors import UserError
from tests.annotation_formats import frozen

PICK = {"jpg_0": b"0", "jpg_1": b"1", "label_0": 1.0, "caption": "a kite"}
RANKED = {"prompt": "a kite", "generations": ["a.png", "b.png"], "ranking": [1, 2]}
BENCH = {
    "prompt": "a kite",
    "left_output_image": "a.png",
    "right_output_image": "b.png",
    "vote_type": "leftvote",
}
CLIPS = {"path_A": "a.mp4", "path_B": "b.mp4", "prompt": "wind", "VQ": "A", "MQ": "B", "TA": "same"}
UNIFIED = {"id": "1", "caption": "a kite", "jpg_0": "a.png", "jpg_1": "b.png", "label_0": 1}
ARGILLA = {"id": "1", "prompt": "Why?", "response-1": "So.", "response-2": "No."}
TASK = {"id": 1, "data": {"prompt": "Why?", "left": "So.", "right": "No."}, "annotations": []}
ITEM = {"id": "1", "prompt": "Why?", "response_a": "So.", "response_b": "No."}


def responses(value: Any) -> dict[str, Any]:
    return {
        **ARGILLA,
        "better.responses": [value],
        "better.responses.users": ["u"],
        "better.responses.status": ["submitted"],
    }


def task(kind: str, value: Any, **data: Any) -> dict[str, Any]:
    result = [{"from_name": "x", "to_name": "x", "type": kind, "value": value}]
    return {**TASK, "data": {**TASK["data"], **data}, "annotations": [{"result": result}]}  # type: ignore[dict-item]


WRONG = [
    # format, a row, the column, and what its refusal says
    ("pick_a_pic", {**PICK, "label_0": 0.7}, "label_0", "must be 1, 0, or 0.5 for a tie"),
    ("pick_a_pic", {**PICK, "label_0": None}, "label_0", "must be a number, 0 to 1"),
    ("pick_a_pic", {**PICK, "label_1": 1.0}, "label_1", "must add up to 1"),
    ("pick_a_pic", {**PICK, "jpg_1": b"0"}, "jpg_1", "are the same file"),
    ("pick_a_pic", {**PICK, "jpg_1": b""}, "jpg_1", "is an empty file"),
    ("pick_a_pic", {**PICK, "jpg_1": None}, "jpg_1", "has no files"),
    ("pick_a_pic", {**PICK, "caption": " "}, "prompt", "is blank"),
    ("pick_a_pic", {"jpg_0": b"0", "label_0": 1}, "jpg_1", "there is no column “jpg_1”"),
    ("image_reward_db", {**RANKED, "ranking": [1]}, "ranking", "has 1 ranks for 2 pictures"),
    ("image_reward_db", {**RANKED, "ranking": [1, 0]}, "ranking", "has 0; a rank is a whole"),
    ("image_reward_db", {**RANKED, "ranking": "x"}, "ranking", "must be a list"),
    ("image_reward_db", {**RANKED, "generations": ["a.png"]}, "generations", "has 1 files"),
    ("image_reward_db", {**RANKED, "generations": ["a.png"] * 2}, "generations[1]", "the same"),
    ("genai_bench_image", {**BENCH, "vote_type": "both"}, "vote_type", "must be one of"),
    ("genai_bench_image", {**BENCH, "left_output_image": 7}, "left_output_image", "neither a name"),
    ("genai_bench_video", {**BENCH}, "video_left", "there is no column “video_left”"),
    ("videoalign", {**CLIPS, "VQ": "C"}, "VQ", "must be one of A, B, same, invalid"),
    ("videoalign", {**CLIPS, "Overall": "maybe"}, "Overall", "must be one of A, B, same"),
    ("videoalign", {**CLIPS, "path_B": "a.mp4"}, "path_B", "are the same file"),
    ("unified_reward_image", {**UNIFIED, "label_0": 2}, "label_0", "a number, 0 to 1"),
    ("unified_reward_image", {**UNIFIED, "id": [1]}, "id", "an id is a text or a number"),
    ("unified_reward_video", {"id": 1, "caption": "x", "chosen": "a.mp4"}, "rejected", "no column"),
    ("videodpo", {"video1": 0, "video2": 1}, "video1", "is 0, but metadata.json has 0 clips"),
    ("videodpo", {"video2": 1}, "video1", "there is no column “video1”"),
    ("videodpo", {"basic": {}, "misc": {}}, "clip_path", "“clip_path” is missing"),
    ("argilla", {**ARGILLA, "prompt": None}, "prompt", "no field is the prompt"),
    ("argilla", {"id": "1", "prompt": "Why?", "response-1": "So."}, "", "there are 1 fields"),
    ("argilla", responses(["response-2", "response-1"]), "better", "has lost its ranks"),
    ("argilla", responses([{"value": "response-1"}]), "better", "a whole “rank”"),
    (
        "argilla",
        {**responses("a"), "better.responses.users": []},
        "better.responses",
        "must be lists of one length",
    ),
    ("argilla", {**ARGILLA, "response-2": "So."}, "response-2", "are the same text"),
    ("label_studio", task("pairwise", {"selected": "up"}), "selected", "one of left, right"),
    ("label_studio", task("pairwise", "left"), "value", "must be an object"),
    ("label_studio", task("ranker", {"ranker": {"a": [], "b": []}}), "ranker", "sorted by kind"),
    (
        "label_studio",
        task("ranker", {"ranker": {"rank": ["z"]}}, items=[{"id": "x"}, {"id": "y"}]),
        "ranker",
        "has the id “z” which is no item",
    ),
    ("label_studio", {**TASK, "data": {"prompt": "Why?"}}, "data", "must be called left and right"),
    (
        "label_studio",
        {**TASK, "data": {"left": "a", "right": "b"}},
        "data",
        "must be called prompt",
    ),
    ("label_studio", {**TASK, "annotations": 7}, "annotations", "must be a list of objects"),
    ("potato", {**ITEM, "annotations": {}}, "annotations", "nothing in “annotations” compares"),
    ("potato", {**ITEM, "annotations": {"p": {"selection": "C"}}}, "selection", "one of A, B, tie"),
    (
        "potato",
        {**ITEM, "annotations": {"p": {"scale_value": "much"}}},
        "scale_value",
        "must be a number",
    ),
    (
        "potato",
        {**ITEM, "annotations": {"p": {"selection": "A", "justification": "{"}}},
        "justification",
        "as JSON text",
    ),
    (
        "potato",
        {**ITEM, "annotations": {"p": {"selection": "A"}, "q": {"selection": "B"}}},
        "annotations",
        "has 2 comparisons",
    ),
    (
        "potato",
        {"id": "1", "prompt": "Why?", "annotations": {"p": {"selection": "A"}}},
        "text",
        "there are no two answers",
    ),
]


@pytest.mark.parametrize(
    ("name", "values", "column", "said"), WRONG, ids=lambda v: str(v)[:30] if v else "none"
)
def test_a_wrong_row_is_refused_with_its_place_and_column(
    name: str, values: dict[str, Any], column: str, said: str
) -> None:
    errors: list[RowError] = []
    good = list(
        FORMATS[name].records([Row(12, values, "Line 12")], Reading(on_error=errors.append))
    )
    assert not good
    (error,) = errors
    assert error.place.startswith("Line 12")
    assert error.number == 12
    assert said in error.reason
    assert error.column == column


def test_a_cancelled_annotation_and_a_draft_say_nothing() -> None:
    cancelled = task("pairwise", {"selected": "left"})
    cancelled["annotations"][0]["was_cancelled"] = True
    (record,) = frozen.read(FORMATS["label_studio"], [cancelled])
    assert record.votes == []
    draft = {**responses("a"), "better.responses.status": ["draft"]}
    (record,) = frozen.read(FORMATS["argilla"], [draft])
    assert record.votes == []


def test_aspects_of_clips_come_in_with_their_side() -> None:
    (record,) = frozen.read(FORMATS["videoalign"], [{**CLIPS, "Overall": "B"}])
    assert record.votes[0].outcome == "b"
    assert record.votes[0].aspects == {
        "visual quality": -1,
        "motion quality": 1,
        "text alignment": 0,
    }


def test_dimensions_of_potato_are_aspects_with_a_reason() -> None:
    why = json.dumps({"reasons": ["clear"], "rationale": "It is."})
    scheme = {"safety": "A", "clarity": "A", "tone": "B", "justification": why}
    (record,) = frozen.read(FORMATS["potato"], [{**ITEM, "annotations": {"p": scheme}}])
    (vote,) = record.votes
    assert (vote.outcome, vote.rationale, vote.tags) == ("a", "It is.", ["clear"])
    assert vote.aspects == {"safety": -1, "clarity": -1, "tone": 1}


def test_a_clip_that_is_wrong_keeps_the_numbers_of_the_others(tmp_path: Path) -> None:
    clips: list[Any] = [
        {"basic": {"clip_path": name}, "misc": {"frame_caption": "wind"}} if name else {"basic": 7}
        for name in ("0.mp4", "", "2.mp4")
    ]
    pairs = [{"video1": 2, "video2": 0}, {"video1": 1, "video2": 0}]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("metadata.json", json.dumps(clips))
        packed.writestr("pair.json", json.dumps(pairs))
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    errors: list[RowError] = []
    (record,) = FORMATS["videodpo"].records(
        containers.rows(tmp_path / "x.zip"), Reading(on_error=errors.append)
    )
    assert (record.media_a, record.media_b) == ("2.mp4", "0.mp4")
    assert [error.place for error in errors] == ["Row 2 of metadata.json", "Row 2 of pair.json"]


def test_texts_called_chosen_are_no_clips() -> None:
    row = Row(
        1, {"id": 1, "caption": "x", "prompt": "Why?", "chosen": "So.", "rejected": "No."}, ""
    )
    assert guess(row)[0].name == "trl_preference"


def test_a_file_that_is_not_at_hand_is_told() -> None:
    from tests.annotation_formats import pictured

    format = FORMATS["pick_a_pic"]
    with pytest.raises(UserError, match="is not at hand"):
        list(format.rows([pictured.WIN_B], format.writing()))
