"""Goal: what goes wrong is answered as the contract says, leaves nothing behind and hurts nobody else."""

import json
import threading

import httpx
import pytest

from tests.e2e.instance import Instance, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def deploy(api: httpx.Client, **fields: object) -> httpx.Response:
    return api.post("/system/functions", json=fields)


def names_of(api: httpx.Client) -> list[str]:
    return [function["name"] for function in api.get("/system/functions").json()]


@pytest.fixture
def api(instance: Instance):
    with instance.api() as client:
        yield client


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"{bad", "invalid character 'b' looking for beginning of object key string"),
        (b"", ""),
        (b'{"service": 3, "image": "x"}', "cannot unmarshal"),
    ],
)
def test_a_bad_document_is_400(api: httpx.Client, content: bytes, text: str) -> None:
    answer = api.post("/system/functions", content=content)
    assert answer.status_code == 400
    assert text in answer.text


def test_a_bad_name_is_400(api: httpx.Client, image) -> None:
    answer = deploy(api, service="Bad_Name", image=image("aes"))
    assert answer.status_code == 400
    assert "Bad_Name" in answer.text


def test_an_unknown_namespace_is_400(api: httpx.Client, image) -> None:
    answer = deploy(api, service="x", image=image("aes"), namespace="nosuch")
    assert (answer.status_code, answer.text.strip()) == (400, "namespace not valid")


def test_wrong_credentials_are_401(instance: Instance) -> None:
    answer = httpx.get(f"{instance.url}/system/functions", auth=("admin", "wrong"))
    assert (answer.status_code, answer.text) == (401, "invalid credentials")
    assert answer.headers["www-authenticate"] == 'Basic realm="Restricted"'


def test_an_unreachable_registry_is_named(api: httpx.Client) -> None:
    answer = deploy(api, service="noregistry", image="127.0.0.1:1/x:v1")
    assert answer.status_code == 400
    assert "127.0.0.1:1/x:v1" in answer.text
    assert "noregistry" not in names_of(api)


def test_bad_limits_are_400(api: httpx.Client, image) -> None:
    answer = deploy(api, service="badlimit", image=image("aes"), limits={"memory": "many"})
    assert answer.status_code == 400
    assert "many" in answer.text
    assert "badlimit" not in names_of(api)


def test_an_unknown_function_is_404(instance: Instance) -> None:
    answer = instance.invoke("nosuch")
    assert answer.status_code == 404
    assert answer.text.startswith("error finding function nosuch.openfaas-fn")


def test_a_function_that_never_listens_fails_with_its_last_words(
    api: httpx.Client, instance: Instance, guest_image
) -> None:
    answer = deploy(
        api, service="mute", image=guest_image("behaviours"), envVars={"NEVER_LISTEN": "1"}
    )
    assert answer.status_code in (400, 500)
    assert "waiting for a database that is not there" in answer.text
    assert "mute" not in names_of(api)
    assert instance.invoke("mute").status_code == 404


def test_a_function_that_ends_at_once_fails_with_its_exit_and_last_words(
    api: httpx.Client, guest_image
) -> None:
    answer = deploy(
        api, service="quitter", image=guest_image("behaviours"), envVars={"EXIT_AT_ONCE": "1"}
    )
    assert answer.status_code in (400, 500)
    assert "configuration missing" in answer.text
    assert "quitter" not in names_of(api)


def test_a_crash_before_the_answer_is_502_and_the_next_request_is_served(
    instance: Instance, guest_deployed
) -> None:
    name = guest_deployed("behaviours")
    answer = instance.invoke(f"{name}/crash")
    assert answer.status_code == 502
    assert answer.headers["x-openfaas-internal"]
    assert instance.invoke(name, b"again").status_code == 200


def test_a_crash_inside_the_answer_cuts_the_connection(instance: Instance, guest_deployed) -> None:
    name = guest_deployed("behaviours")
    with pytest.raises(httpx.RemoteProtocolError):
        instance.invoke(f"{name}/crash?late=1")
    assert instance.invoke(name).status_code == 200


def test_out_of_memory_ends_the_function_and_not_the_host(
    api: httpx.Client, instance: Instance, guest_image
) -> None:
    deployed = deploy(
        api, service="eater", image=guest_image("behaviours"), limits={"memory": "64Mi"}
    )
    assert deployed.status_code == 200, deployed.text
    answer = instance.invoke("eater/eat")
    assert answer.status_code == 502
    assert instance.invoke("eater", b"back").status_code == 200
    api.request("DELETE", "/system/functions", json={"functionName": "eater"})


def test_a_guest_without_descriptors_hurts_only_itself(instance: Instance, guest_deployed) -> None:
    name = guest_deployed("behaviours")
    other = guest_deployed("wall")
    stop = threading.Event()
    failures: list[int] = []

    def ask_the_other() -> None:
        while not stop.is_set():
            status = instance.invoke(other).status_code
            if status != 200:
                failures.append(status)

    thread = threading.Thread(target=ask_the_other)
    thread.start()
    answer = instance.invoke(f"{name}/descriptors")
    stop.set()
    thread.join()
    assert answer.status_code in (200, 502)
    assert not failures
    assert instance.invoke(name).status_code == 200


def test_a_line_of_a_megabyte_is_one_log_line(
    api: httpx.Client, instance: Instance, guest_deployed
) -> None:
    name = guest_deployed("behaviours")
    instance.invoke(f"{name}/shout?size=1048576")

    def longest() -> int:
        answer = api.get("/system/logs", params={"name": name, "follow": "false", "tail": -1})
        return max((len(json.loads(line)["text"]) for line in answer.text.splitlines()), default=0)

    eventually(lambda: longest() >= 1_048_576, message="the line is not in the log")


def test_a_program_that_is_not_in_the_image_is_named(
    api: httpx.Client, instance: Instance, image
) -> None:
    answer = deploy(api, service="lost", image=image("hello"), envProcess="/no/such/program --flag")
    assert answer.status_code in (400, 500)
    assert "/no/such/program" in answer.text
    assert instance.invoke("lost").status_code == 404
