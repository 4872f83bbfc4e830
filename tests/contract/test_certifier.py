"""The certification suite against the provider over the fake host; e2e runs the same cases for real."""

from collections.abc import Callable

import pytest

from tests.contract import certifier
from tests.contract.certifier import CASES, Case
from tests.contract.harness import Gateway
from tests.contract.target import Target

IMAGE = "registry.example/fn/aes:latest"
INVOKING = {
    "certify_invoke_unknown",
    "certify_invoke",
    "certify_invocation_count",
    "certify_scale_from_zero",
    "certify_secret_in_function",
}


@pytest.fixture
def target(shared_gateway: Gateway) -> Target:
    shared_gateway.host.images = {IMAGE}
    account = shared_gateway.account
    url = shared_gateway.url
    return Target(url, account.user, account.password, IMAGE, invokes=False, wait_s=0.05)


@pytest.mark.parametrize("function", [one for one in CASES if one.__name__ not in INVOKING])
def test_case(target: Target, function: Case) -> None:
    function(target)


@pytest.mark.parametrize("function", [one for one in CASES if one.__name__ in INVOKING])
def test_invoking_cases_say_what_they_need(target: Target, function: Case) -> None:
    assert certifier.run(function, target).startswith("skipped: needs a data plane")


def test_a_broken_gateway_fails(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: a suite that passes whatever it sees would prove nothing."""
    real: Callable[..., object] = Target.call

    def without_secrets(self: Target, method: str, path: str, *rest: object, **options: object):
        spoiled = path.replace("/system/secrets", "/system/nosuch")
        return real(self, method, spoiled, *rest, **options)

    monkeypatch.setattr(Target, "call", without_secrets)
    assert certifier.run(certifier.certify_secrets, target).startswith("FAILED")
