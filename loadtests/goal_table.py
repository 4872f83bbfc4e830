"""The goals with what was measured for them, as RESULTS.md and the console show them. Pure."""

from collections.abc import Collection, Iterable, Sequence

from loadtests import goals
from loadtests.goals import Bound, Goal
from loadtests.mark import FAILED, Mark
from loadtests.markdown import figure_text, markdown
from loadtests.placement import Placement
from loadtests.verdicts import Finding, Verdict

GOALS_WORDS = """\
In parentheses ours and the baselines' own figures, where what is promised is a difference or a ratio; for an open loop each
at three quarters of its own peak.
"""
SHARED = {"fresh": "warm", "open": "warm"}
"""Sections whose steps are noted under another one: they are measured in the same visits."""


def goals_table(verdicts: Iterable[Verdict], marks: Sequence[Mark] = ()) -> str:
    """The goals of the issue, one row per goal and bound, with what was measured."""
    rows = []
    for verdict in verdicts:
        for bound in verdict.goal.bounds:
            mine = [finding for finding in verdict.findings if finding.bound == bound]
            where = Placement(bound.placement).letter if bound.placement else ""
            rows.append(
                (
                    f"{verdict.goal.words}: `{bound.figure}`",
                    bound.attachment,
                    where,
                    str(bound),
                    bound.text(bound.stretch),
                    findings_text(mine, failed_of(verdict.goal, bound, marks)),
                    mark([finding.met for finding in mine]),
                )
            )
    return markdown(("figure", "by", "placement", "goal", "stretch", "measured", "met"), rows)


def failed_of(goal: Goal, bound: Bound, marks: Iterable[Mark]) -> set[str]:
    """The functions that failed where a bound is measured; the empty name where all did."""
    return {
        one.subject
        for one in marks
        if one.kind == FAILED
        and one.benchmark in (goal.benchmark, SHARED.get(goal.benchmark))
        and one.placement == bound.placement
        and (one.target in ("", bound.attachment, bound.baseline) or not bound.attachment)
    }


def findings_text(findings: Sequence[Finding], failed: Collection[str] = ()) -> str:
    """What was measured, function by function, then who failed and who was not measured; empty where nothing happened."""
    broken = [one for one in findings if one.measured is None and {one.subject, ""} & set(failed)]
    if not broken and all(one.measured is None for one in findings):
        return ""
    left = [one for one in findings if one.measured is None and one not in broken]
    parts = [finding_text(one) for one in findings if one.measured is not None]
    parts += [f"failed: {_names(broken)}"] if broken else []
    parts += [f"not measured: {_names(left)}"] if left else []
    return "; ".join(parts)


def _names(findings: Sequence[Finding]) -> str:
    return ", ".join(one.subject or "all" for one in findings)


def finding_text(finding: Finding) -> str:
    """A function, what was measured of it, and in parentheses the figures themselves."""
    name = f"{finding.subject} " if finding.subject else ""
    sign = "+" if finding.bound.of is goals.Of.DIFFERENCE and (finding.measured or 0) > 0 else ""
    beside = [f"{other} {figure_text(value)}" for other, value in finding.beside]
    if finding.bound.of is not goals.Of.VALUE:
        beside.insert(0, figure_text(finding.value))
    if finding.rounds is not None:
        beside.append(f"rounds: {finding.rounds}")
    shown = f" ({', '.join(beside)})" if beside else ""
    return f"{name}{sign}{figure_text(finding.measured)}{shown}"


def mark(marks: Sequence[bool | None]) -> str:
    """One word for the findings of a bound."""
    if False in marks:
        return "**no**"
    if None in marks:
        return "in part" if True in marks else "not measured"
    return "yes"
