"""A trace as the jobs that arrive."""

from collections.abc import Iterator

from inference.domain.request import Priority, Request
from inference.sim.job import Job
from inference.sim.mechanisms import Mechanisms
from inference.traces.trace import Trace

ARRIVALS_AT_ONCE = 65_536
"""Rows of the trace that are turned into Python numbers at a time: bounds memory for traces of millions."""

PRIORITIES = tuple(Priority)


def jobs_of(trace: Trace, mechanisms: Mechanisms) -> Iterator[Job]:
    """Jobs in order of arrival, from slices of the trace's columns."""
    predict = None if mechanisms.predictor is None else mechanisms.predictor.predict
    classify = mechanisms.classify
    for first in range(0, len(trace), ARRIVALS_AT_ONCE):
        part = slice(first, first + ARRIVALS_AT_ONCE)
        columns = (trace.arrival_ns, trace.prompt_tokens, trace.output_tokens)
        numbers = [column[part].tolist() for column in (*columns, trace.model, trace.priority)]
        for row, (arrival, prompt, output, model, priority) in enumerate(
            zip(*numbers, strict=True), first
        ):
            told = output if predict is None else predict(row, prompt, output)
            class_id = -1 if classify is None else classify(prompt, told)
            request = Request(row, arrival, prompt, told, model, PRIORITIES[priority], class_id)
            yield Job(request, output)
