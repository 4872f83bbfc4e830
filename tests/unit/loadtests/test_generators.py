import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests import generators, process_cost
from loadtests.generators import GeneratorFailed


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/function/aes"
    server.shutdown()
    thread.join()
    server.server_close()


def test_sequential_keeps_raw_samples(url: str) -> None:
    measured = generators.sequential(url, requests=40, warmup_requests=3, body_bytes=600)
    assert (measured.requests, measured.failed, len(measured.samples_ns)) == (40, 0, 40)
    assert min(measured.samples_ns) > 0


def test_client_sends_the_body_it_says(url: str) -> None:
    report, samples = generators.run_client(url, "-requests=2", "-body-bytes=1234")
    assert (report.body_bytes, report.codes, len(samples)) == (1234, {"200": 2}, 2)
    assert report.finished_at_ns > report.started_at_ns


@pytest.mark.parametrize("use_wrk", [False, True])
def test_closed_loop(url: str, use_wrk: bool) -> None:
    if use_wrk and not generators.have_wrk():
        pytest.skip("wrk is not installed")
    measured = generators.closed_loop(url, 4, duration_s=1, body_bytes=600, use_wrk=use_wrk)
    assert measured.requests > 0
    assert measured.failed == 0
    assert measured.rps == pytest.approx(measured.requests, rel=0.5)


def test_client_names_a_bad_option(url: str) -> None:
    with pytest.raises(GeneratorFailed, match="rate goes with -mode open"):
        generators.run_client(url, "-mode=open")


def test_wrk_without_a_result() -> None:
    with pytest.raises(GeneratorFailed, match="no result"):
        generators.parse_wrk("unable to connect")


def test_wrk_result() -> None:
    found = generators.parse_wrk("Running\nresult requests=500 duration_us=2000000 failed=3\n")
    assert (found.requests, found.failed, found.rps) == (500, 3, 250)


def test_samples_are_little_endian() -> None:
    assert generators.read_samples((258).to_bytes(8, "little") + (1).to_bytes(8, "little")) == [
        258,
        1,
    ]


def test_process_cost_of_this_process() -> None:
    import os

    family = process_cost.descendants([os.getpid()])
    assert os.getpid() in family
    before = process_cost.cpu_ns(family)
    total = sum(number * number for number in range(400_000))
    assert total > 0
    assert process_cost.cpu_ns(family) > before
    assert process_cost.pss_kib([os.getpid()]) > 1000


def test_process_cost_of_nobody() -> None:
    assert process_cost.descendants([2**22 + 1]) == []
    assert process_cost.cpu_ns([2**22 + 1]) == 0
    assert process_cost.pss_kib([2**22 + 1]) == 0
    assert process_cost.parse_pss_kib("Rss: 5 kB\n") == 0
