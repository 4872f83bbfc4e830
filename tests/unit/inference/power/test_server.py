"""Goal: servers draw what their sheets and papers say, and the two directions between server and GPUs agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.domain.replica import Gpu
from inference.errors import ProfileError
from inference.models.catalog import GPUS
from inference.models.provenance import Origin
from inference.models.server import server_kind, server_provenance, servers

DGX_A100, DGX_H100 = servers()["dgx-a100"], servers()["dgx-h100"]


def test_provisioned_power_is_that_of_the_data_sheets():
    assert (DGX_A100.provisioned_w, DGX_H100.provisioned_w) == (6500, 10200)


@pytest.mark.parametrize(
    ("kind", "wh", "seconds"),
    [
        (DGX_A100, 1.37, 0.856),
        (DGX_A100, 7.9, 4.957),
        (DGX_H100, 1.37, 0.493),
        (DGX_H100, 9.4, 3.387),
    ],
)
def test_a_loaded_server_draws_what_splitwise_counts_for_it(kind, wh, seconds):
    """Table of Splitwise (SW12): energy and E2E of a single request give the machine's power."""
    assert kind.power_w(kind.gpus_full_w) == pytest.approx(wh * 3600 / seconds, rel=0.01)


@pytest.mark.parametrize("kind", [DGX_A100, DGX_H100])
def test_gpus_are_half_to_three_fifths_of_a_loaded_server(kind):
    assert 0.5 < kind.gpus_full_w / kind.power_w(kind.gpus_full_w) < 0.6


def test_capped_gpus_leave_the_share_that_splitwise_counts():
    """HHcap: 0.70 of the machine's power."""
    assert DGX_H100.provisioned_under_limit_w(350.0) / DGX_H100.provisioned_w == pytest.approx(
        0.70, abs=0.03
    )
    assert DGX_H100.provisioned_under_limit_w(900.0) == DGX_H100.provisioned_w


@given(kind=st.sampled_from(list(servers().values())), share=st.floats(0, 1))
def test_server_and_gpu_power_invert_each_other(kind, share):
    gpus_w = kind.gpus_idle_w + share * (kind.gpus_full_w - kind.gpus_idle_w)
    assert kind.gpus_w(kind.power_w(gpus_w)) == pytest.approx(gpus_w)
    assert kind.power_w(gpus_w) <= kind.provisioned_w


def test_below_idle_the_rest_stays_and_gpus_may_draw_nothing():
    assert DGX_A100.rest_w(0.0) == DGX_A100.rest_idle_w
    assert DGX_A100.gpus_w(100.0) == 0.0


def test_kinds_are_found_by_gpu_and_the_capped_sits_in_the_same():
    assert server_kind(GPUS["a100-80gb"]) is DGX_A100
    assert server_kind(GPUS["h100-80gb-pcap"]) is DGX_H100
    assert all(server_kind(gpu).gpus == 8 for gpu in GPUS.values())
    with pytest.raises(ProfileError, match="expected one of"):
        server_kind(Gpu("tpu-v9", 1, 1.0, 1.0, 1.0, 1.0, 1000, 500, 1.0))


def test_they_are_called_modelled():
    assert server_provenance().origin is Origin.MODELLED
