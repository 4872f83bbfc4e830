import pytest

from provider.access import call_id_of


@pytest.mark.parametrize("sent", ["7", "a-b-c", "x" * 128])
def test_a_sane_call_id_is_kept(sent: str) -> None:
    assert call_id_of(sent) == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "é", "a\tb", "a\x00"])
def test_any_other_is_replaced(sent: str) -> None:
    assert call_id_of(sent) != sent
    assert len(call_id_of(sent)) == 36
