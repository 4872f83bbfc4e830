"""Goal: answers come in the order of their tasks from any number of processes, and a lost worker is no hang."""

import os

import pytest

from inference.sweep.processes import Processes, ProcessLost, cores


def squared(number: int) -> int:
    return number * number


def ended(number: int) -> int:
    os._exit(3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_answers_keep_the_order_of_their_tasks(jobs):
    told: dict[int, int] = {}
    with Processes(squared, jobs) as processes:
        assert processes.run(range(7), told.__setitem__) == [0, 1, 4, 9, 16, 25, 36]
        assert processes.run([]) == []
        assert processes.run([9]) == [81]
    assert told == {index: index * index for index in range(7)}


def test_a_lost_worker_is_an_error():
    with Processes(ended, 2) as processes, pytest.raises(ProcessLost):
        processes.run([1, 2, 3])


def test_an_interrupt_keeps_what_was_told_and_ends_the_workers():
    told: list[int] = []

    def interrupted(index: int, answer: int) -> None:
        told.append(answer)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Processes(squared, 2) as processes:
        processes.run(range(50), interrupted)
    assert len(told) == 1


def test_cores_are_those_of_this_process():
    assert cores() >= 1
