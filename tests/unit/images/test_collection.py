"""Goal: collection never takes what a used or a young image needs."""

from hypothesis import given
from hypothesis import strategies as st

from junctiond.images.base import ImageConfig
from junctiond.images.collection import YOUNG_NS, unused
from junctiond.images.records import Record

NAMES = st.sampled_from([f"sha256:{letter}" for letter in "abcdef"])
RECORDS = st.lists(
    st.builds(
        Record,
        digest=NAMES,
        blobs=st.lists(NAMES, max_size=3).map(tuple),
        diff_ids=st.lists(NAMES, max_size=3).map(tuple),
        config=st.just(ImageConfig()),
        stored_at_ns=st.integers(0, 3 * YOUNG_NS),
    ),
    unique_by=lambda record: record.digest,
    max_size=6,
)


@given(RECORDS, st.sets(NAMES), st.sets(NAMES), st.sets(NAMES))
def test_what_is_needed_stays_and_the_rest_goes(records, blobs, layers, used):
    now_ns = 3 * YOUNG_NS
    doomed = unused(records, blobs, layers, used, now_ns)
    kept = [record for record in records if record.digest not in doomed.images]
    assert all(record.digest in used or now_ns - record.stored_at_ns < YOUNG_NS for record in kept)
    assert {record.digest for record in records} & used <= {record.digest for record in kept}
    assert doomed.blobs == blobs - {blob for record in kept for blob in record.blobs}
    assert doomed.layers == layers - {layer for record in kept for layer in record.diff_ids}
