"""The command ``steelyard``: what it may be told, and how it ends."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from steelyard_client import verbs, verbs_of_staff, verbs_of_training
from steelyard_client.connection import VERSION
from steelyard_client.errors import (
    ConnectionFailed,
    RunFailed,
    ServerFault,
    SteelyardError,
    TooManyRequests,
)
from steelyard_client.output import complain

ENDING = """\
exit codes:
  0  done
  1  refused: something in the request is wrong, not allowed or not there
  2  the command cannot be understood
  3  nobody answered, or the server broke; the same again may work later
  4  a run that was waited for failed or was cancelled

environment:
  STEELYARD_URL, STEELYARD_TOKEN   instead of steelyard login
  STEELYARD_PROJECT                instead of --project
"""
Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(words: Sequence[str] | None = None) -> int:
    said = parser().parse_args(words)
    try:
        said.do(said)
        sys.stdout.flush()
    except SteelyardError as error:
        return _failed(error)
    except BrokenPipeError:
        # whoever reads us has enough; nothing more may be written when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    except OSError as error:
        # what is not whole yet lies beside its place as .NAME.….part
        place = re.sub(r"\.([^/]+)\.[0-9a-f]{8}\.part$", r"\1", str(error.filename or ""))
        complain(f"{place}: {error.strerror}" if place and error.strerror else str(error))
        return 1
    return 0


def _failed(error: SteelyardError) -> int:
    complain(str(error))
    if isinstance(error, RunFailed):
        return 4
    return 3 if isinstance(error, ConnectionFailed | ServerFault | TooManyRequests) else 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="steelyard",
        description="Pairs, votes, dataset versions and runs of a Steelyard.",
        epilog=ENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"steelyard-client {VERSION}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _signing_in(commands)
    _material(commands)
    _versions(commands)
    _votes(commands)
    _trainings(commands)
    _work(commands)
    return top


def _signing_in(commands: Parsers) -> None:
    login = _add(commands, "login", verbs.login, "keep address and token on this machine")
    login.add_argument("url", metavar="URL", help="such as https://steelyard.example")
    login.epilog = (
        "The token comes from your account page. It is asked for, or read from standard input; "
        "it is kept in a file that nobody else may read."
    )
    _add(commands, "logout", verbs.logout, "forget them")
    _add(commands, "projects", verbs.projects, "the projects of which you are a member")


def _material(commands: Parsers) -> None:
    bring = _in_project(commands, "import", verbs.bring, "bring files in")
    bring.add_argument("files", metavar="FILE", nargs="+", help="rows, or an archive with media")
    bring.add_argument(
        "--kind",
        choices=["pairs", "held_out"],
        default="pairs",
        help="pairs, with or without votes (default), or prompts kept for evaluation",
    )
    bring.add_argument(
        "--format", help="see steelyard formats; guessed if left out, but for mapped"
    )
    bring.add_argument(
        "--map",
        metavar="WHAT=COLUMN",
        action="append",
        default=[],
        help="which column is what, such as prompt=question",
    )
    bring.add_argument("--good", action="store_true", help="the right rows alone; else all or none")
    bring.add_argument("--annotator", default="", help="who chose, if no row says")
    bring.add_argument("--errors", metavar="FILE", help="save what is wrong, row by row")
    _add(commands, "formats", verbs.formats, "what files are read as, and versions written as")


def _versions(commands: Parsers) -> None:
    freeze = _in_project(commands, "freeze", verbs.freeze, "freeze votes as the next version")
    freeze.add_argument("dataset", metavar="DATASET", help="its name; a new one begins with 1")
    freeze.add_argument("--recipe", metavar="FILE", help="JSON; - for standard input")
    _settings(freeze, "of the recipe, such as ties=keep")
    freeze.add_argument(
        "--also",
        metavar="PROJECT",
        action="append",
        default=[],
        help="a further project of yours whose votes are drawn as well; may be said again",
    )
    freeze.add_argument("--note", default="", help="what it is for")
    freeze.add_argument("--preview", action="store_true", help="count alone, freeze nothing")

    versions = _in_project(commands, "versions", verbs.versions, "versions, the newest first")
    versions.add_argument("dataset", metavar="DATASET", nargs="?", help="of this one alone")
    versions.add_argument("--tag", help="those with this tag alone")

    diff = _in_project(commands, "diff", verbs.diff, "what a version differs in from another")
    diff.add_argument("old", metavar="OLD", help="as DATASET@N or DATASET@TAG")
    diff.add_argument("new", metavar="NEW", help="the same; the newest where it has no @")
    diff.add_argument(
        "--kind",
        choices=["added", "removed", "relabelled", "changed"],
        help="show rows of this kind",
    )
    diff.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (20)")

    export = _in_project(commands, "export", verbs.export, "save a version's rows")
    _version(export)
    export.add_argument(
        "-o", "--output", metavar="FILE", default=".", help="file or folder; - for standard output"
    )
    export.add_argument("--form", help="parquet, jsonl or zip; told by the file's name if left out")
    export.add_argument("--format", help="write another format into the folder; see formats")
    export.add_argument("--container", help="of that format: jsonl, csv, parquet, folder, …")
    export.add_argument("--split", default="all", help="rows of this split alone, with --format")
    _settings(export, "of that format")
    export.add_argument("--media", metavar="FOLDER", help="save pictures and clips there as well")


def _votes(commands: Parsers) -> None:
    withdraw = _in_project(
        commands, "withdraw", verbs_of_staff.withdraw, "leave votes out of later versions"
    )
    withdraw.add_argument("--annotator", metavar="NAME", default="", help="whose votes")
    withdraw.add_argument("--run", type=int, help="those of this judging run")
    withdraw.add_argument("--reason", required=True, help="why; it stands beside versions")
    withdraw.add_argument("--since", metavar="TIME", help="from this moment on, as 2026-03-01")
    withdraw.add_argument("--until", metavar="TIME", help="before this moment")

    withdrawals = _in_project(
        commands, "withdrawals", verbs_of_staff.withdrawals, "votes that are withdrawn"
    )
    withdrawals.add_argument(
        "withdrawal", metavar="ID", nargs="?", type=int, help="what the votes of this one are in"
    )
    withdrawals.add_argument("--lift", action="store_true", help="let them count again")

    flags = _in_project(commands, "flags", verbs_of_staff.flags, "what people say is wrong")
    flags.add_argument("flag", metavar="ID", nargs="?", type=int, help="one to decide on")
    flags.add_argument("--state", choices=["open", "kept", "removed"], help="in this state alone")
    decision = flags.add_mutually_exclusive_group()
    decision.add_argument("--keep", action="store_true", help="keep the pair")
    decision.add_argument("--remove", action="store_true", help="take it out of the queue")
    flags.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (20)")


def _trainings(commands: Parsers) -> None:
    _add(commands, "recipes", verbs_of_training.recipes, "the ways to train, with their presets")

    look = _in_project(
        commands, "preflight", verbs_of_training.preflight, "what a training run would meet"
    )
    _trained(look)

    train = _in_project(commands, "train", verbs_of_training.train, "train a model on a version")
    _trained(train)
    train.add_argument("--name", required=True, help="what the new model is called")
    _wait(train)

    sweep = _in_project(
        commands, "sweep", verbs_of_training.sweep, "search settings with many training runs"
    )
    sweep.add_argument("name", metavar="NAME", help="what the sweep is called")
    _trained(sweep)
    sweep.add_argument("--name", dest="model_name", required=True, help="the winner's model")
    sweep.add_argument(
        "--over",
        metavar="SETTING=RANGE",
        action="append",
        required=True,
        help="search it: LOW..HIGH, LOW..HIGH/log, or A,B,C",
    )
    sweep.add_argument(
        "--aim",
        metavar="MEASURE",
        action="append",
        help="at this (test_reward_accuracy), MEASURE:minimize or :maximize; up to three",
    )
    sweep.add_argument("--trials", type=int, default=20, metavar="N", help="at most so many (20)")
    sweep.add_argument("--hours", type=float, help="no trial begins after so many")
    _wait(sweep)

    sweeps = _in_project(commands, "sweeps", verbs_of_training.sweeps, "sweeps and their results")
    sweeps.add_argument("sweep", metavar="SWEEP", nargs="?", type=int, help="one by its number")
    _steered(sweeps, "pause", "resume", "cancel")
    _wait(sweeps)

    model = _in_project(commands, "model", verbs_of_training.model, "save a model's files")
    model.add_argument("model", metavar="MODEL", help="its name")
    model.add_argument("-o", "--output", metavar="FOLDER", required=True)


def _trained(command: argparse.ArgumentParser) -> None:
    _version(command)
    command.add_argument("--recipe", required=True, help="the way to train, such as dpo")
    command.add_argument("--base", required=True, metavar="MODEL", help="the model to start from")
    command.add_argument("--preset", metavar="KEY", help="its settings to begin with; see recipes")
    _settings(command, "of the recipe, such as learning_rate=0.0005")


def _steered(command: argparse.ArgumentParser, *ways: str) -> None:
    words = {
        "pause": "begin no more work",
        "resume": "go on",
        "cancel": "stop it",
        "retry": "again",
    }
    one = command.add_mutually_exclusive_group()
    for way in ways:
        one.add_argument(f"--{way}", dest="steer", action="store_const", const=way, help=words[way])


def _work(commands: Parsers) -> None:

    evaluate = _in_project(commands, "evaluate", verbs.evaluate, "compare models with a baseline")
    evaluate.add_argument("name", metavar="NAME", help="what it is called")
    evaluate.add_argument("--baseline", required=True, metavar="MODEL")
    evaluate.add_argument("--candidate", required=True, metavar="MODEL", action="append")
    evaluate.add_argument(
        "--judge",
        action="append",
        default=[],
        help="an AI judge or scorer that compares, any number; people if left out",
    )
    evaluate.add_argument("--people", action="store_true", help="people compare beside judges")
    evaluate.add_argument("--category", default="", help="prompts of this category alone")
    evaluate.add_argument("--limit", type=int, default=0, metavar="N", help="so many prompts")
    evaluate.add_argument(
        "--source",
        metavar="SOURCE",
        help="where prompts are from: held_out, version:ID (its test split) or set:ID; held_out if "
        "left out",
    )
    evaluate.add_argument("--preset", help="a published protocol, such as alpaca_eval or mt_bench")
    _wait(evaluate)

    runs = _in_project(commands, "runs", verbs.runs, "what goes on in the background")
    runs.add_argument("run", metavar="RUN", nargs="?", type=int, help="one by its number")
    runs.add_argument("--kind", help="of this kind alone, such as train")
    runs.add_argument("--state", help="in this state alone, such as running")
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (20)")
    _steered(runs, "cancel", "pause", "resume", "retry")
    _wait(runs)

    board = _in_project(commands, "leaderboard", verbs.leaderboard, "models by rating")
    board.add_argument("--by", choices=["people", "judges", "combined", "arena"])
    board.add_argument("--judge", help="the votes of this judge alone")
    board.add_argument("--category", help="prompts of this category alone")
    board.add_argument("--until", help="votes until this day's end, such as 2026-01-31")
    board.add_argument("--without", action="append", default=[], help="leave out an annotator")
    board.add_argument("--style", action="store_true", help="at equal style")
    board.add_argument("--equal", action="store_true", help="every two models count equally")


Verb = Callable[[argparse.Namespace], None]


def _add(commands: Parsers, name: str, verb: Verb, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(do=verb)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("-q", "--quiet", action="store_true", help="no progress line")
    return command


def _in_project(commands: Parsers, name: str, verb: Verb, text: str) -> argparse.ArgumentParser:
    command = _add(commands, name, verb, text)
    command.add_argument("-p", "--project", metavar="SLUG", help="its name in addresses")
    return command


def _version(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "version", metavar="DATASET[@N]", help="the newest unless a number or a tag says which"
    )


def _settings(command: argparse.ArgumentParser, of: str) -> None:
    command.add_argument(
        "-s",
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"a setting {of}; the value is read as JSON where it is some",
    )


def _wait(command: argparse.ArgumentParser) -> None:
    command.add_argument("--wait", action="store_true", help="until it has ended")


if __name__ == "__main__":
    sys.exit(main())
