"""Profiles: what perf prints becomes samples, and each sample belongs to one kind of work."""

import pytest

from loadtests.anatomy import SAMPLES_HZ, Anatomy, Sample, count, parse, work_of

KERNEL = "[kernel.kallsyms]"
PRINTED = """\
 4242 \n\
\tffffffff81 __schedule ([kernel.kallsyms])
\tffffffff82 do_epoll_wait ([kernel.kallsyms])
\t    7f0000 epoll_pwait (/usr/lib/libc.so.6)

 4243 \n\
\t    561234 <jd_http::Head as core::fmt::Debug>::fmt (/opt/jnetd)

    0 \n\
\tffffffff83 default_idle ([kernel.kallsyms])

"""


def test_what_perf_prints_is_read_sample_by_sample() -> None:
    waiting, own, idle = parse(PRINTED.splitlines(keepends=True))
    assert waiting.pid == 4242
    assert [name for name, _ in waiting.frames] == ["__schedule", "do_epoll_wait", "epoll_pwait"]
    assert own == Sample(4243, (("<jd_http::Head as core::fmt::Debug>::fmt", "/opt/jnetd"),))
    assert idle.pid == 0


@pytest.mark.parametrize(
    ("frames", "work"),
    [
        ((("copy", KERNEL), ("tcp_sendmsg_locked", KERNEL), ("send", "/libc.so.6")), "TCP send"),
        ((("__schedule", KERNEL), ("do_epoll_wait", KERNEL)), "switch"),
        ((("ep_send_events", KERNEL), ("do_epoll_wait", KERNEL)), "wait"),
        ((("try_to_wake_up", KERNEL), ("eventfd_write", KERNEL)), "wake"),
        ((("do_syscall_64", KERNEL), ("read", "/libc.so.6")), "other kernel work"),
        ((("jshim_read", "/lib/libjshim.so"),), "shim"),
        ((("tcp_sendmsg", "/opt/program"),), "own instructions"),
        ((), "other kernel work"),
    ],
)
def test_a_sample_belongs_to_one_kind_of_work(
    frames: tuple[tuple[str, str], ...], work: str
) -> None:
    assert work_of(Sample(1, frames)) == work


def test_the_idle_core_counts_for_nobody_and_strangers_as_others() -> None:
    found = count(parse(PRINTED.splitlines(keepends=True)), {4242: "front door"})
    assert found == {("front door", "switch"): 1, ("others", "own instructions"): 1}


def test_samples_become_time_for_each_invocation() -> None:
    anatomy = Anatomy(invocations=10)
    anatomy.samples["front door", "wait"] = SAMPLES_HZ
    assert anatomy.us_per_invocation() == {("front door", "wait"): pytest.approx(1e5)}
