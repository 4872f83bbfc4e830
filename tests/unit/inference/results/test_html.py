"""Goal: one valid file, the same each time, that needs no network and holds every name as text."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import InputError
from inference.models.provenance import Origin, Provenance
from inference.results.html import compare_html, report_html, write_html
from inference.results.plots import POINTS_MAX, active_tokens_plot, cdf, series_plots
from inference.results.run import Status
from inference.results.svg import FAINT, INK, SERIES
from tests.support.runs import ints, one_request, run_of, series_of, whole, with_status

HOSTILE = (
    "</title></svg><script>alert(1)</script>\"'><img src=x onerror=y> $\\frac$ \x00\ud800 日本"
)
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Checks that tags are balanced, and keeps tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def drawings(page):
    return re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)


def assert_alone(page):
    """Nothing in the page is loaded or run."""
    told = Page(page)
    assert not {"script", "img", "link", "iframe", "object", "image"} & set(told.tags)
    for name, value in told.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "action", "formaction")
        if name.endswith("href"):
            assert str(value).startswith("#")
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in page
    assert "default-src 'none'" in page


@pytest.fixture(scope="module")
def run():
    return run_of(10_000)


@pytest.fixture(scope="module")
def page(run):
    return report_html(run, whole(run))


def test_a_report_stands_alone(page):
    assert_alone(page)


def test_drawings_are_valid_and_take_the_pages_colours(page):
    svgs = drawings(page)
    assert len(svgs) == 11
    for svg in svgs:
        ElementTree.fromstring(svg)
        assert "var(--ink)" in svg
        assert not any(stand_in in svg for stand_in in (INK, FAINT, *SERIES))
        colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-fA-F]{6})", svg))
        assert colours == set(), "a fixed colour is unreadable on one of the two pages"
    style = page[page.index("<style>") : page.index("</style>")]
    variables = set(re.findall(r"var\((--[a-z0-9-]+)\)", page))
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for variable in variables:
        assert f"{variable}:" in light
        assert f"{variable}:" in dark


def test_references_inside_drawings_lead_somewhere(page):
    for svg in drawings(page):
        ids = set(re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r'url\(#([^)]+)\)|xlink:href="#([^"]+)"', svg)) <= {
            pair for one in ids for pair in ((one, ""), ("", one))
        }


def test_ids_are_not_shared_between_unlike_drawings(page):
    seen: dict[str, bytes] = {}
    for svg in drawings(page):
        root = ElementTree.fromstring(svg)
        for element in root.iter():
            if "id" in element.attrib:
                body = ElementTree.tostring(element)
                assert seen.setdefault(element.attrib["id"], body) == body


def test_the_page_says_what_the_run_was(page):
    text = " ".join(Page(page).text)
    for word in ("synthetic", "seed", "azure conv 2023", "Warnings", "extrapolated", "10,000"):
        assert word in text
    for plot in (
        "TTFT of completed",
        "TBT of completed",
        "E2E of completed",
        "Power of GPUs",
        "GPUs held by pool",
        "running and waiting",
        "Time by active tokens",
        "TTFT by request class",
        "TPOT by request class",
        "TTFT by priority",
    ):
        assert plot in text


def test_origins_are_told_apart_by_word_border_and_colour(page):
    for origin in Origin:
        assert f'<span class="origin {origin.value}">{origin.value}</span>' in page
    borders = re.findall(
        r"\.(?:measured|modelled|quoted) \{ color: (\S+); border-style: (\w+)", page
    )
    assert len(borders) == len({one for one, _ in borders}) == len({two for _, two in borders}) == 3


def test_the_same_run_makes_the_same_bytes(run, page):
    assert report_html(run, whole(run)) == page


def test_a_users_matplotlib_settings_change_nothing():
    run = run_of(30)
    before = report_html(run)
    with mpl.rc_context({"axes.grid": False, "font.size": 20, "svg.fonttype": "path"}):
        assert report_html(run) == before
        assert mpl.rcParams["font.size"] == 20


def hostile_run():
    return dataclasses.replace(
        run_of(20, name=HOSTILE),
        pools=(HOSTILE, HOSTILE + "2"),
        warnings=(HOSTILE,),
        facts={HOSTILE: HOSTILE},
        provenance={HOSTILE: Provenance(Origin.QUOTED, *[HOSTILE] * 5)},
    )


def hostile_summary(run):
    told = whole(run)
    assert told.attainment
    classes = tuple(dataclasses.replace(one, name=HOSTILE) for one in told.attainment.classes)
    return dataclasses.replace(
        told,
        attainment=dataclasses.replace(told.attainment, classes=classes),
        priorities=tuple(dataclasses.replace(one, name="_" + HOSTILE) for one in told.priorities),
    )


def test_hostile_names_stay_text(tmp_path):
    run = hostile_run()
    told = hostile_summary(run)
    for page in (report_html(run, told), compare_html([run, run], [told, told], title=HOSTILE)):
        assert_alone(page)
        for svg in drawings(page):
            ElementTree.fromstring(svg)
        assert "alert(1)" in "".join(Page(page).text)
        write_html(tmp_path / "out" / "page.html", page)
        assert (tmp_path / "out" / "page.html").read_text(encoding="utf-8") == page


@given(st.text(max_size=30))
def test_any_name_makes_a_page(name):
    run = dataclasses.replace(with_status(run_of(1), r0=Status.REFUSED), series=None, name=name)
    assert_alone(report_html(dataclasses.replace(run, active_tokens_ns={}, facts={name: name})))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_requests_make_a_page(count):
    run = run_of(count)
    page = report_html(run, whole(run))
    assert_alone(page)
    assert ("TTFT of completed" in page) == (count > 0)


def test_what_a_run_lacks_is_left_out():
    page = report_html(one_request())
    assert_alone(page)
    for absent in ("Power of GPUs", "Time by active tokens", "Warnings</h2>", "by priority"):
        assert absent not in page


def test_requests_that_failed_are_told_where_they_leave_the_axis():
    run = with_status(run_of(30), **{f"r{row}": Status.REFUSED for row in range(30)})
    page = report_html(run, whole(run))
    assert_alone(page)
    assert "P99 beyond the axis, by requests that did not complete" in page


def test_pools_of_one_name_are_both_drawn():
    power, gpus, _ = series_plots(dataclasses.replace(run_of(3), pools=("same", "same")))
    assert power.legend == ("all", "pool same (0)", "pool same (1)")
    assert gpus.legend == ("same (0)", "same (1)")


def test_a_series_without_rows_is_not_drawn():
    run = dataclasses.replace(run_of(3), series=series_of(0))
    assert series_plots(run) == ()
    assert_alone(compare_html([run, run]))


def test_a_long_series_is_thinned_and_says_so():
    run = dataclasses.replace(run_of(3), series=series_of(3 * POINTS_MAX + 1))
    power, _, _ = series_plots(run)
    assert power.note == "Each point is the mean of 4 samples."
    assert len(power.svg) < 300_000


def test_only_idle_replicas_have_no_active_tokens():
    run = dataclasses.replace(run_of(1), active_tokens_ns={0: ints(5, 0, 0), 1: ints(7)})
    assert active_tokens_plot(run) is None


@pytest.mark.parametrize(("idle_ns", "told"), [(0, "Idle time left out."), (9, "Idle time incl")])
def test_active_tokens_say_whether_idle_time_is_in_them(idle_ns, told):
    plot = active_tokens_plot(
        dataclasses.replace(run_of(1), active_tokens_ns={0: ints(idle_ns, 5, 0)})
    )
    assert plot is not None
    assert plot.note.startswith(told)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50), st.integers(1, 100))
def test_a_thinned_distribution_keeps_its_extremes(values, repeats):
    array = np.array(values * repeats)
    points, shares = cdf(array)
    assert len(points) <= POINTS_MAX
    if array.max() > 0:
        assert points[-1] == array.max()
        assert shares[-1] == 1
        assert points[0] == array[array > 0].min()
    assert (np.diff(points) >= 0).all()
    for point, share in list(zip(points, shares, strict=True))[:20]:
        assert (array < point).mean() < share + 1e-9
        assert share <= (array <= point).mean() + 1e-9


def test_a_comparison_overlays_runs_and_tells_names_apart():
    runs = [run_of(40, name="same"), run_of(40, seed=2, name="same"), run_of(40, name="other")]
    page = compare_html(runs)
    assert_alone(page)
    assert "same (2)" in page
    assert page.count("<svg") == 4
    ttft = drawings(page)[0]
    assert {place for place in range(4) if f"var(--series-{place})" in ttft} == {0, 1, 2}


def test_more_runs_than_colours_are_tabled_and_said_not_to_be_drawn():
    page = compare_html([run_of(5, name=f"run {place}") for place in range(10)])
    assert "2 more are not drawn." in page
    assert "<th>run 9</th>" in page


def test_a_comparison_needs_runs_and_their_summaries():
    with pytest.raises(ValueError, match="at least one run"):
        compare_html([])
    with pytest.raises(ValueError, match="one summary for each"):
        compare_html([run_of(1), run_of(2)], [whole(run_of(1))])


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: expected one to write to"):
        write_html(tmp_path / "file" / "page.html", "")
