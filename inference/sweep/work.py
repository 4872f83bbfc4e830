"""One run as a task for a worker process: what goes in and out is plain data, and errors are part of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.errors import InferenceError
from inference.results.run import RunResult
from inference.results.summary import Summary
from inference.scenarios.build import simulate
from inference.scenarios.loader import load
from inference.scenarios.objectives import broken, held, summary_of


@dataclass(frozen=True, slots=True)
class Task:
    """A run to make.

    Attributes:
        scenario: file, or name of a shipped one.
        overrides: assignments over it.
    """

    scenario: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of a run that was made.

    Attributes:
        figures: by flat name; empty where it failed.
        held: whether the scenario's objectives held; None where it has none, or the run failed.
        broken: names of those that did not.
        error: why it failed, in one line; empty where it did not.
    """

    figures: Mapping[str, float]
    held: bool | None = None
    broken: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A run with its figures; both None where it failed."""

    run: RunResult | None = None
    summary: Summary | None = None
    error: str = ""


def outcome_of(task: Task) -> Outcome:
    """Run and sum up; never raises for bad input."""
    made = made_of(task)
    if made.summary is None:
        return Outcome({}, error=made.error)
    return Outcome(made.summary.figures(), held(made.summary), broken(made.summary))


def made_of(task: Task) -> Made:
    """Run, sum up and keep all columns; never raises for bad input."""
    try:
        scenario = load(task.scenario, task.overrides)
        run = simulate(scenario, task.scenario)
        return Made(run, summary_of(scenario, run))
    except InferenceError as error:
        return Made(error=str(error))
