"""What ``--device`` takes."""

from __future__ import annotations

import pytest

from zsq_export.errors import UsageError
from zsq_export.remote.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://pi", Address(scheme="ssh", host="pi")),
        ("ssh://me@pi.local:2222/", Address(scheme="ssh", host="pi.local", user="me", port=2222)),
        ("ssh://me@[fe80::1%25eth0]:22", Address(scheme="ssh", host="fe80::1%25eth0", user="me", port=22)),
        ("ssh://pi?python=/opt/my%20env/python&timeout=60", Address(
            scheme="ssh", host="pi", python="/opt/my env/python", timeout=60.0)),
        ("adb://R58M123ABC", Address(scheme="adb", host="R58M123ABC")),
        ("adb://192.168.1.5:5555?folder=/data/local", Address(
            scheme="adb", host="192.168.1.5:5555", folder="/data/local")),
    ],
)  # fmt: skip
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pi", "neither ssh:// nor adb://"),
        ("http://pi", "neither ssh:// nor adb://"),
        ("ssh://", "names no device"),
        ("ssh://me@pi/folder", "names no device"),
        ("ssh://-oProxyCommand=x", "names no device"),
        ("ssh://-l@pi", "names no device"),
        ("ssh://pi:port", "not valid"),
        ("ssh://pi?pyhton=x", "no option 'pyhton'; did you mean python?"),
        ("ssh://pi?python=-c", "cannot be '-c'"),
        ("ssh://pi?python=", "cannot be ''"),
        ("ssh://pi?timeout=0", "expected seconds"),
        ("ssh://pi?timeout=soon", "expected seconds"),
    ],
)
def test_what_is_no_address(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert message in str(caught.value)


def test_a_password_is_refused_and_not_repeated() -> None:
    for text in ("ssh://me:secret@pi", "http://me:secret@pi"):
        with pytest.raises(UsageError) as caught:
            parse_address(text)
        assert "secret" not in str(caught.value)
