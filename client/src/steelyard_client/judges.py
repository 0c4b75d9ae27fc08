"""AI judges and scorers."""

from __future__ import annotations

from typing import Any

from steelyard_client.errors import SteelyardError
from steelyard_client.records import Estimate, Judge
from steelyard_client.runs import Run, RunVerbs


class JudgeVerbs(RunVerbs):
    def judges(self) -> list[Judge]:
        """AI judges."""
        return [Judge.of(row["judge"]) for row in self._connection.get(f"{self._path}/judges")]

    def add_scorer(self, name: str, kind: str, source: str, **more: Any) -> Judge:
        """Add a scorer; it is asked as any judge is.

        Args:
            kind: of pictures or clips, or ``answer_probability`` of texts.
            source: a model, an address or a command; of ``answer_probability`` the name of a
                language model.
            more: ``weights``, ``api_key``, ``dimension``, ``tie_band``, ``frames``; of texts
                ``reads``, ``choose``, ``margin``, ``top_k``, ``dimension``.
        """
        body = {"name": name, "kind": kind, "source": source, **more}
        return Judge.of(self._connection.post(f"{self._path}/scorers", body))

    def add_judge(self, name: str, model: str, **more: Any) -> Judge:
        """Make an AI judge of a model (``criteria``, ``rubric``, ``template``, ``orders``,
        ``samples``, ``temperature``, ``max_new_tokens``, ``limits``, ``note``)."""
        body = {"name": name, "model": model, **more}
        return Judge.of(self._connection.post(f"{self._path}/judges", body))

    def new_judge_version(self, judge: Judge | str, **changes: Any) -> Judge:
        """The next version of a judge; what is not said stays as it is."""
        return Judge.of(self._connection.post(f"{self._of_judge(judge)}/versions", changes))

    def limit_judge(self, judge: Judge | str, **limits: Any) -> Judge:
        """Set a judge's pace, prices and caps; what is not said is no longer limited."""
        return Judge.of(self._connection.put(f"{self._of_judge(judge)}/limits", limits))

    def estimate_judge(self, judge: Judge | str, **which: Any) -> Estimate:
        """About what asking a judge would take; nobody is asked."""
        return Estimate.of(self._connection.post(f"{self._of_judge(judge)}/estimate", which))

    def check_judge(self, judge: Judge | str) -> Run:
        """Measure how much an answer gains by telling the judge to choose it; admins only."""
        return self._run(self._connection.post(f"{self._of_judge(judge)}/checks", {}))

    def judge_card(self, judge: Judge | str) -> dict[str, Any]:
        """What is known of a judge: agreement with people, calibration, position, cost."""
        card: dict[str, Any] = self._connection.get(f"{self._of_judge(judge)}/card")
        return card

    def tune_judge(self, judge: Judge | str, reflection: str, **options: Any) -> Run:
        """Let a model write better criteria by what people said and why (``budget``, ``seed``).

        The best become the judge's next version, with its agreement on pairs that the search never
        saw; ``tuning(run.id)`` tells it and all texts that were tried.
        """
        body = {"reflection": reflection, **options}
        return self._run(self._connection.post(f"{self._of_judge(judge)}/tunings", body))

    def tuning_plan(self, judge: Judge | str) -> dict[str, Any]:
        """The pairs that a judge would be tuned and tested on, and the budget proposed."""
        found: dict[str, Any] = self._connection.get(f"{self._of_judge(judge)}/tunings")
        return found

    def tuning(self, run: int) -> dict[str, Any]:
        """A tuning run: its ``texts``, the version ``made`` and the agreement in ``test``."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/tunings/{run}")
        return found

    def show_prelabels(self, judge: Judge | str | None, share: int = 80) -> dict[str, Any]:
        """Show people this judge's verdicts before they give theirs, on so many per cent of the
        pairs that it has judged; None shows nobody's. Admins only."""
        name = judge.name if isinstance(judge, Judge) else judge
        body = {"judge": name, "share": share}
        path = f"{self._path}/prelabelling"
        found: dict[str, Any] = self._connection.send("PATCH", path, json=body, again=True).json()
        return found

    def explain_verdicts(
        self, judge: Judge | str, style: str = "general", *, limit: int = 0
    ) -> Run:
        """Have a judge write why people's verdicts are right, ``general`` or ``specific``; admins
        only. What is written already is not written again."""
        body = {"style": style, "limit": limit}
        return self._run(self._connection.post(f"{self._of_judge(judge)}/rationales", body))

    def ask_judge(self, judge: Judge | str, **which: Any) -> Run:
        """Let an AI judge compare pairs (``which``, ``category``, ``prompts``, ``limit``)."""
        return self._run(self._connection.post(f"{self._of_judge(judge)}/runs", which))

    def _of_judge(self, judge: Judge | str) -> str:
        found = self._judge(judge) if isinstance(judge, str) else judge
        return f"{self._path}/judges/{found.id}"

    def _judge(self, name: str) -> Judge:
        there = self.judges()
        for one in there:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in there) or "none"
        raise SteelyardError(f"{self.slug} has no judge {name!r}; it has {names}.")
