"""A journal survives being cut off in the middle of a line."""

from __future__ import annotations

from pathlib import Path

from steelyard.lib.journal import Journal


def test_it_works(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.add({"a": 1})
        journal.add({"b": "é"})
        assert list(journal.lines()) == [{"a": 1}, {"b": "é"}]
    with Journal(tmp_path / "j") as journal:
        journal.add({"c": 3})
        assert list(journal.lines()) == [{"a": 1}, {"b": "é"}, {"c": 3}]


def test_cut_anywhere_it_keeps_the_whole_lines_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        for number in range(3):
            journal.add({"number": number, "text": "é"})
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        kept = whole[:end].count(b"\n")
        with Journal(path) as journal:
            assert [line["number"] for line in journal.lines()] == list(range(kept))
            journal.add({"number": "new"})
        assert path.read_bytes().startswith(whole[: whole[:end].rfind(b"\n") + 1])
        assert path.read_bytes().count(b"\n") == kept + 1
