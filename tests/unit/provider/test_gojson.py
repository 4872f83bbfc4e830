"""Go's JSON rules and error texts; the expected texts were printed by Go 1.26 for these inputs."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider import gojson, wire
from provider.gosyntax import syntax_error
from provider.reply import Refusal

SYNTAX = {
    b"": "unexpected end of JSON input",
    b"  ": "unexpected end of JSON input",
    b"{": "unexpected end of JSON input",
    b'{"a"': "unexpected end of JSON input",
    b'{"a":1': "unexpected end of JSON input",
    b'"a': "unexpected end of JSON input",
    b"{bad": "invalid character 'b' looking for beginning of object key string",
    b"{,": "invalid character ',' looking for beginning of object key string",
    b'{"a":1,}': "invalid character '}' looking for beginning of object key string",
    b'{"a" 1}': "invalid character '1' after object key",
    b'{"a":1 "b":2}': "invalid character '\"' after object key:value pair",
    b"[1 2]": "invalid character '2' after array element",
    b"[1,]": "invalid character ']' looking for beginning of value",
    b"bad": "invalid character 'b' looking for beginning of value",
    b"'a'": "invalid character '\\'' looking for beginning of value",
    b"{}x": "invalid character 'x' after top-level value",
    b"01": "invalid character '1' after top-level value",
    b"nul": "invalid character ' ' in literal null (expecting 'l')",
    b"trux": "invalid character 'x' in literal true (expecting 'e')",
    b"-": "invalid character ' ' in numeric literal",
    b"-a": "invalid character 'a' in numeric literal",
    b"1.": "invalid character ' ' after decimal point in numeric literal",
    b"1ex": "invalid character 'x' in exponent of numeric literal",
    b'"\\x"': "invalid character 'x' in string escape code",
    b'"\\u12g4"': "invalid character 'g' in \\u hexadecimal character escape",
    b'"a\nb"': "invalid character '\\n' in string literal",
    b'"\x01"': "invalid character '\\x01' in string literal",
    b"\xff": "invalid character 'ÿ' looking for beginning of value",
}


@pytest.mark.parametrize("text", SYNTAX)
def test_syntax(text: bytes) -> None:
    assert syntax_error(text) == SYNTAX[text]
    with pytest.raises(Refusal) as caught:
        gojson.parse(text)
    assert (caught.value.status, caught.value.text) == (400, SYNTAX[text])


TYPES = {
    b"[]": "json: cannot unmarshal array into Go value of type types.FunctionDeployment",
    b'"x"': "json: cannot unmarshal string into Go value of type types.FunctionDeployment",
    b'{"service":1}': "json: cannot unmarshal number into Go struct field FunctionDeployment.service of type string",
    b'{"labels":{"a":1}}': "json: cannot unmarshal number into Go struct field FunctionDeployment.labels of type string",
    b'{"labels":[]}': "json: cannot unmarshal array into Go struct field FunctionDeployment.labels of type map[string]string",
    b'{"secrets":"x"}': "json: cannot unmarshal string into Go struct field FunctionDeployment.secrets of type []string",
    b'{"secrets":[{}]}': "json: cannot unmarshal object into Go struct field FunctionDeployment.secrets of type string",
    b'{"readOnlyRootFilesystem":"true"}': "json: cannot unmarshal string into Go struct field FunctionDeployment.readOnlyRootFilesystem of type bool",
    b'{"limits":{"memory":5}}': "json: cannot unmarshal number into Go struct field FunctionResources.limits.memory of type string",
    b'{"limits":true}': "json: cannot unmarshal bool into Go struct field FunctionDeployment.limits of type types.FunctionResources",
}  # fmt: skip


@pytest.mark.parametrize("text", TYPES)
def test_types(text: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        gojson.decode(text, wire.FunctionDeployment)
    assert (caught.value.status, caught.value.text) == (400, TYPES[text])


def test_keys_match_without_case_and_the_last_one_wins() -> None:
    body = b'{"SERVICE":"x","Service":"y","EnvVars":{"Key":"kept"},"unknown":[1],"image":null}'
    found = gojson.decode(body, wire.FunctionDeployment)
    assert (found.service, found.env_vars, found.image) == ("y", {"Key": "kept"}, "")


def test_null_is_the_zero_value() -> None:
    body = b'{"secrets":[null],"labels":{"a":null},"limits":null,"readOnlyRootFilesystem":null}'
    found = gojson.decode(body, wire.FunctionDeployment)
    assert (found.secrets, found.labels) == ([""], {"a": ""})
    assert found.limits == wire.FunctionResources()
    assert gojson.decode(b"null", wire.FunctionDeployment) == wire.FunctionDeployment()


@pytest.mark.parametrize("number", ["-1", "1.5", "1e3", str(2**64)])
def test_replicas_are_whole(number: str) -> None:
    with pytest.raises(Refusal, match=r"ScaleServiceRequest\.replicas of type uint64"):
        gojson.decode(f'{{"replicas":{number}}}'.encode(), wire.ScaleServiceRequest)


def test_raw_values_are_base64_and_never_shown() -> None:
    found = gojson.decode(b'{"rawValue":"AAEC/w=="}', wire.Secret)
    assert found.raw_value == b"\x00\x01\x02\xff"
    with pytest.raises(Refusal) as caught:
        gojson.decode(b'{"rawValue":"HIDDEN!"}', wire.Secret)
    assert "HIDDEN" not in caught.value.text


def test_canonical_keeps_values_untouched() -> None:
    document = b'{"Limits":{"memory":"1Gi","nvidia.com/gpu":"1"},"envVars":{"A":"x=y"},"other":1,"labels":null}'
    assert gojson.canonical(document, wire.FunctionDeployment) == {
        "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"},
        "envVars": {"A": "x=y"},
    }


def test_bytes_that_are_not_utf8_become_replacements() -> None:
    found = gojson.decode(b'{"service":"a\xff"}', wire.FunctionDeployment)
    assert found.service == "a\N{REPLACEMENT CHARACTER}"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
))  # fmt: skip
def test_valid_json_has_no_syntax_error(value: object) -> None:
    assert syntax_error(json.dumps(value).encode()) is None
    assert syntax_error(json.dumps(value, indent=1, ensure_ascii=False).encode()) is None


@given(
    st.binary(max_size=40)
    | st.text(alphabet='{}[]",:tfn019.eE+-\\u x', max_size=20).map(str.encode)
)
def test_scanner_and_parser_agree(text: bytes) -> None:
    decoded = text.decode(errors="replace")
    try:
        msgspec.json.decode(decoded)
    except msgspec.DecodeError:
        return
    assert syntax_error(text) is None


def outcome(text: bytes) -> tuple[int, str]:
    try:
        gojson.decode(text, wire.FunctionDeployment)
    except Refusal as refusal:
        return refusal.status, refusal.text
    return 200, "decoded"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_decoded(text: bytes) -> None:
    status, said = outcome(text)
    assert status in (200, 400)
    assert said


def test_a_number_no_float_can_hold() -> None:
    with pytest.raises(Refusal) as caught:
        gojson.decode(b'{"replicas":1e999}', wire.ScaleServiceRequest)
    assert caught.value.status == 400
