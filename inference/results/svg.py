"""Figures of matplotlib as SVG in the colours of the page around it; same data, same bytes.

Matplotlib draws with stand-in colours; in the SVG they become CSS variables, so that one drawing is
readable on a light and on a dark page. No global state: figures are made without pyplot, and
settings hold only while one is drawn, over matplotlib's defaults and not the user's.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

SERIES_MAX = 8
INK = "#010203"
FAINT = "#040506"
SERIES = tuple(f"#0a0b{place:02x}" for place in range(SERIES_MAX))

_VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{stand_in: f"var(--series-{place})" for place, stand_in in enumerate(SERIES)},
}
_STAND_IN = re.compile("|".join(_VARIABLES))
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "junctiond",
    "font.size": 10,
    "text.parse_math": False,  # a name with dollar signs is no formula
    "path.simplify": True,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.45,
    "grid.linewidth": 0.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "axes.formatter.useoffset": False,
}


def draw(
    plot: Callable[[Axes], None],
    *,
    width_in: float = 5.6,
    height_in: float = 3.0,
    left_in: float = 0.75,
) -> str:
    """An SVG element, without XML head, of what a function draws on one pair of axes.

    Margins are fixed, `left_in` the one for the labels of y: a layout made to measure takes as long
    as the drawing. Colours must be `INK`, `FAINT` or of `SERIES`; others would not follow the page.
    """
    with style.context(["default", _SETTINGS]), warnings.catch_warnings():
        # The page's fonts have the glyphs that the font which only measures text lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width_in, height_in))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        figure.subplots_adjust(
            left=left_in / width_in,
            right=1 - 0.15 / width_in,
            bottom=0.52 / height_in,
            top=1 - 0.1 / height_in,
        )
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        plot(axes)
        written = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nothing)
    return _themed(written.getvalue())


def _themed(document: str) -> str:
    element = document[document.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>\s*", "", element, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]+)', element))
    element = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", element)
    element = re.sub(r"<!--.*?-->\s*", "", element, flags=re.DOTALL)
    # Fixed sizes would not shrink with a narrow page; the view box keeps the proportions.
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    return _STAND_IN.sub(lambda found: _VARIABLES[found[0]], element)
