"""Dialplan arguments: no value can become more than one argument, or an expression."""

import re
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_peers import unhurried

from ivr.asterisk.dialplan import (
    ChannelVariable,
    DialplanArgumentError,
    app_arguments,
    assignments,
    audiosocket_argument,
    dial_argument,
    literal,
    name,
    number,
)

DANGEROUS = ",\"'$&|{}()[]\\;^!?*<>=~` \t\r\n\0ł"
text_with_traps = st.text(st.sampled_from(DANGEROUS + "aZ9_.@:/+-") | st.characters())


def arguments_as_asterisk_reads_them(text: str) -> list[str]:
    """Split at commas outside quotes and parentheses; a backslash keeps the next character."""
    arguments, quoted, depth = [""], False, 0
    characters = iter(text)
    for character in characters:
        if character == "\\":
            arguments[-1] += next(characters, "")
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted and depth == 0:
            arguments.append("")
        else:
            depth += (character == "(") - (character == ")")
            arguments[-1] += character
    return arguments


@pytest.mark.parametrize("value", ["PJSIP/101", "sip:112@10.0.0.1", "a_b.c-d+e", "0"])
def test_names_pass(value: str) -> None:
    assert name(value) == value


@pytest.mark.parametrize("character", DANGEROUS)
def test_a_name_has_none_of_these(character: str) -> None:
    for value in (character, f"a{character}b", f"a{character}"):
        with pytest.raises(DialplanArgumentError):
            name(value)


@unhurried
@given(st.lists(text_with_traps, min_size=1, max_size=5))
def test_app_arguments_arrive_as_they_are_or_not_at_all(values: list[str]) -> None:
    try:
        joined = app_arguments(*values)
    except DialplanArgumentError:
        return
    assert arguments_as_asterisk_reads_them(joined) == values


@unhurried
@given(text_with_traps)
def test_a_literal_is_one_argument_and_no_expression(text: str) -> None:
    try:
        escaped = literal(text)
    except DialplanArgumentError:
        assert "${" in text or "$[" in text or re.search(r"[\x00-\x1f\x7f]", text)
        return
    assert "${" not in escaped
    assert arguments_as_asterisk_reads_them(f"{escaped},end") == [text, "end"]


@unhurried
@given(text_with_traps, st.integers(-5, 100), text_with_traps)
def test_dial_has_three_arguments(endpoint: str, timeout_s: int, options: str) -> None:
    try:
        argument = dial_argument(f"PJSIP/{endpoint}", timeout_s, options)
    except DialplanArgumentError:
        return
    parts = arguments_as_asterisk_reads_them(argument)
    assert parts == [f"PJSIP/{endpoint}", str(timeout_s), options]
    assert not set("&$|") & set(argument)


def test_dial_of_a_consultant() -> None:
    assert dial_argument("PJSIP/101", 15, "gU(survey^1)") == "PJSIP/101,15,gU(survey^1)"
    for endpoint, seconds, options in [
        ("PJSIP/101&PJSIP/102", 15, ""),
        ("101", 15, ""),
        ("PJSIP/", 15, ""),
        ("PJSIP/101", 0, ""),
        ("PJSIP/101", 15, "g,b"),
        ("PJSIP/101", 15, "b(${X})"),
        ("PJSIP/101", 15, "b(x"),
    ]:
        with pytest.raises(DialplanArgumentError):
            dial_argument(endpoint, seconds, options)


def test_places_may_stay_empty() -> None:
    assert app_arguments("fallback", "", "", "", 90) == "fallback,,,,90"


def test_numbers_are_not_negative() -> None:
    assert number(0) == "0"
    with pytest.raises(DialplanArgumentError):
        app_arguments(-1)


def test_audiosocket() -> None:
    uuid = UUID(int=7)
    assert audiosocket_argument(uuid, "127.0.0.1", 9092) == f"{uuid},127.0.0.1:9092"
    assert audiosocket_argument(uuid, "::1", 9092) == f"{uuid},[::1]:9092"
    for host, port in [("a,b", 1), ("", 1), ("127.0.0.1", 0), ("127.0.0.1", 65_536)]:
        with pytest.raises(DialplanArgumentError):
            audiosocket_argument(uuid4(), host, port)


@pytest.mark.parametrize("good", ["X", "_CASE", "__CASE_ID", "CHANNEL(language)", "CDR(a)"])
def test_variable_names(good: str) -> None:
    assert str(ChannelVariable(good)) == good


def test_a_reference_has_no_inheritance_marks() -> None:
    assert ChannelVariable("__CASE").reference == "${CASE}"


@pytest.mark.parametrize(
    "bad",
    [
        *("", "___X", "1X", "A B", "A}", "${A}", "A=1", "A,B", "X\n", "Ł"),
        *("SHELL(ls)", "FILE(/etc/passwd)", "CDR()", "CDR(a,)", "CDR(${SHELL(ls)})", "CDR(a)b"),
    ],
)
def test_no_variable_names(bad: str) -> None:
    with pytest.raises(DialplanArgumentError):
        ChannelVariable(bad)


@unhurried
@given(text_with_traps)
def test_an_assignment_sets_one_variable(value: str) -> None:
    try:
        ((key, header),) = assignments([(ChannelVariable("CASE"), value)])
    except DialplanArgumentError:
        return
    assert (key, header) == ("Variable", f"CASE={value}")
    assert not set(',"\r\n\0') & set(value)
    assert "${" not in value
