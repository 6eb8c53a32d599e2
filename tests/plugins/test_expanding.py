"""Environment variables in options: what they become, and that nothing they hold gets into messages."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from deepdream_engine.errors import BadOption
from deepdream_plugins.expanding import expanded, expanded_where_set, redacted, secrets_of, unset_variables

SECRET = "s3cret/ü 'x'\\"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("LONGER", f"{SECRET} and more")
    monkeypatch.setenv("DIGIT", "7")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)


def test_a_variable_is_replaced_and_one_that_is_not_set_is_named() -> None:
    assert expanded("url", "a${DIGIT}/${DIGIT}${EMPTY}$DIGIT") == "a7/7$DIGIT"
    with pytest.raises(BadOption, match=r"^url: the environment variable UNSET is not set"):
        expanded("url", "${DIGIT}${UNSET}")


def test_what_is_not_set_stays_where_that_does_no_harm() -> None:
    assert expanded_where_set("/a${DIGIT}/${UNSET}/${EMPTY}b") == "/a7/${UNSET}/b"


def test_what_is_not_set_is_found_in_all_options() -> None:
    options = {"url": "${UNSET}${TOKEN}", "headers": ("A: ${OTHER_UNSET}", "B: ${UNSET}"), "n": 3, "flag": True}
    assert unset_variables(options) == ("UNSET", "OTHER_UNSET")
    assert unset_variables({"url": "plain"}) == ()


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        repr(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1],
        str(SECRET.encode())[2:-1],
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_shown_as_its_variable_in_whatever_form_it_comes(form: str) -> None:
    secrets = secrets_of({"n": 3, "headers": ("X: 1", "Authorization: Bearer ${TOKEN}")})
    assert redacted(f"ValueError: bad <{form}>!", secrets).rstrip("=>!") == "ValueError: bad <${TOKEN}"


def test_the_longer_of_two_secrets_is_not_shown_by_halves() -> None:
    secrets = secrets_of({"a": "${TOKEN}", "b": "${LONGER}"})
    assert redacted(f"{SECRET} and more, {SECRET}", secrets) == "${LONGER}, ${TOKEN}"


def test_what_is_too_short_to_be_a_secret_leaves_messages_readable() -> None:
    secrets = secrets_of({"a": "${DIGIT}${EMPTY}${UNSET}"})
    assert redacted("17 dreams, ${UNSET}", secrets) == "17 dreams, ${UNSET}"


def test_the_password_of_an_address_is_hidden_however_it_got_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "https://me:p%40ss%20word@example.org")
    basic = base64.b64encode(b"me:p@ss word").decode()
    for url in ("https://me:p%40ss%20word@example.org/x", "${PLACE}/x"):
        told = redacted(f"p%40ss%20word, p@ss word, Basic {basic}", secrets_of({"url": url}))
        assert told.rstrip("=") == "***, ***, Basic ***"
    assert secrets_of({"url": "https://me@example.org/x", "text": "http://[broken"}) == {}
