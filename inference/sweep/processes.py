"""Many runs side by side, one process for each core. A thin adapter: what to run and what to do with it is elsewhere."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")

IN_FLIGHT_PER_JOB = 2
"""Tasks handed to the pool ahead of need, so that an interrupt leaves little that has begun."""


class ProcessLost(Exception):
    """A worker process ended in the middle of a task, as when memory ran out."""


class Processes(Generic[Task, Answer]):
    """Runs one function over many tasks, in worker processes or, with one job, in this process.

    The function is one of a module's top level and never raises: what went wrong is part of its answer. Use as a context;
    leaving it ends all workers, whatever they are at.
    """

    def __init__(self, work: Callable[[Task], Answer], jobs: int) -> None:
        assert jobs >= 1, "a task needs at least one process"
        self._work = work
        self._jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Processes[Task, Answer]":
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is None:
            return
        before_shutdown = multiprocessing.active_children()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if error[0] is not None:
            # A run may take minutes yet, and nobody wants its answer any more.
            for child in before_shutdown:
                child.terminate()
        for child in before_shutdown:
            child.join()

    def run(
        self,
        tasks: Sequence[Task],
        done: Callable[[int, Answer], None] = lambda index, answer: None,
    ) -> list[Answer]:
        """Answers in the order of the tasks.

        Args:
            tasks: what the function is called with.
            done: told of each answer as it comes, with its task's index; earlier answers are kept by whoever asks when
                a later task is interrupted.

        Raises:
            ProcessLost: a worker ended in the middle of a task.
        """
        if self._jobs == 1 or len(tasks) == 0:
            return self._here(tasks, done)
        answers: dict[int, Answer] = {}
        running: dict[Future[Answer], int] = {}
        waiting = iter(enumerate(tasks))
        pool = self._started()
        try:
            while True:
                while len(running) < self._jobs * IN_FLIGHT_PER_JOB:
                    following = next(waiting, None)
                    if following is None:
                        break
                    running[pool.submit(self._work, following[1])] = following[0]
                if not running:
                    return [answers[index] for index in range(len(tasks))]
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=running.__getitem__):
                    index = running.pop(future)
                    answers[index] = future.result()
                    done(index, answers[index])
        except BrokenProcessPool:
            raise ProcessLost("a worker process was ended from outside") from None

    def _here(self, tasks: Sequence[Task], done: Callable[[int, Answer], None]) -> list[Answer]:
        answers = []
        for index, task in enumerate(tasks):
            answers.append(self._work(task))
            done(index, answers[-1])
        return answers

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Fresh interpreters: a fork would copy the threads' locks of the progress bar and of Arrow.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._jobs, context, initializer=_quiet)
        return self._pool


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def _quiet() -> None:
    """An interrupt from the terminal ends a worker without a word; the parent says what is kept."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
