"""Goal: skopeo's messages become the reasons of the host API."""

import pytest

from junctiond.images.base import ImageError, ImageReason
from junctiond.images.skopeo import Skopeo, classify

SAID = {
    ImageReason.UNKNOWN: [
        "reading manifest v1 in 127.0.0.1:5000/x: manifest unknown: manifest unknown",
        "reading manifest v1 in 127.0.0.1:5000/x: name unknown: repository name not known to registry",
        "stat /nowhere: no such file or directory",
    ],
    ImageReason.DENIED: [
        "reading manifest latest in 127.0.0.1:5000/x: unauthorized: authentication required",
        "requested access to the resource is denied",
        "unable to retrieve auth token: invalid username/password: unauthorized: incorrect username or password",
    ],
    ImageReason.UNREACHABLE: [
        "pinging container registry 127.0.0.1:1: Get http://127.0.0.1:1/v2/: dial tcp 127.0.0.1:1: connect: connection refused",
        "dial tcp: lookup nowhere.invalid: no such host",
        "x509: certificate signed by unknown authority",
        "received unexpected HTTP status: status code 503",
    ],
    ImageReason.CORRUPT: [
        "Digest did not match, expected sha256:aa, got sha256:bb",
        "unexpected end of JSON input",
        "",
    ],
}


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, texts in SAID.items() for text in texts]
)
def test_messages_become_reasons(reason, text):
    assert classify(f'time="2026-01-01T00:00:00Z" level=fatal msg="Error: {text}"') is reason


async def test_a_missing_program_names_the_package():
    with pytest.raises(ImageError, match="install the Debian package skopeo"):
        await Skopeo(program="skopeo-that-is-not-there").manifest(
            "docker://127.0.0.1:1/x:y", plain_http=True
        )
