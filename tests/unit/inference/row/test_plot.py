import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from inference.domain.action import SetBrake, SetCap
from inference.domain.request import Priority
from inference.row.plot import BAND_S, capped_share, day_svg
from inference.row.simulator import simulate
from tests.support.rows import SECOND_NS, HandServer, Scripted, hand_row

HOUR_S = 3600


def test_a_day_is_a_document_that_stands_alone_and_does_not_change() -> None:
    script = {100: [SetBrake(server, True, 5 * SECOND_NS) for server in range(4)]}
    run = simulate(hand_row(days=1), HandServer(), Scripted(script))
    drawn = day_svg(run, 0)
    assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert "4 servers" in drawn
    assert drawn == day_svg(run, 0)
    with pytest.raises(ValueError, match="expected one of 1 whole days"):
        day_svg(run, 1)


def test_bands_tell_when_a_priority_was_capped_and_how_deeply() -> None:
    script = {
        HOUR_S - 40: (SetCap(0, 1050, 40 * SECOND_NS),),
        2 * HOUR_S - 40: (SetCap(0, 700, 40 * SECOND_NS),),
        3 * HOUR_S - 40: (SetCap(0, 0, 40 * SECOND_NS),),
    }
    run = simulate(hand_row(days=1), HandServer(), Scripted(script))
    share = capped_share(run, Priority.LOW, 0)
    hours = share.reshape(24, HOUR_S // BAND_S).mean(axis=1)
    np.testing.assert_allclose(hours[:5], [0.0, 0.5, 1.0, 0.0, 0.0])
    assert not capped_share(run, Priority.HIGH, 0).any()
