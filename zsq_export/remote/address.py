"""``--device``: where a device is, as one URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from zsq_export.errors import UsageError
from zsq_export.suggestions import did_you_mean

_SCHEMES = ("ssh", "adb")
_OPTIONS = ("python", "folder", "timeout", "connect-timeout", "config")
_EXAMPLE = "expected ssh://user@host[:port][?python=PATH] or adb://SERIAL"
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.:%-]*\Z")
"""What a user, host or serial may look like: nothing that a program could take for an option or a shell for more."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a device is and what is used there.

    Attributes:
        scheme: "ssh" or "adb".
        host: name, address or alias of ~/.ssh/config; for adb the serial number.
        user: on that host; "" for what ssh would take.
        port: None for what ssh would take.
        python: program that runs the bundle there; it has NumPy and the target's runtime.
        folder: in which a temporary folder is made there; "" for the device's own.
        timeout: seconds that one command may take there.
        connect_timeout: seconds until a device counts as unreachable.
        config: configuration file for ssh; "" for the user's own.
    """

    scheme: str
    host: str
    user: str = ""
    port: int | None = None
    python: str = "python3"
    folder: str = ""
    timeout: float = 1800.0
    connect_timeout: float = 15.0
    config: str = ""

    @property
    def name(self) -> str:
        """For people."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host and self.scheme == "ssh" else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{host}{port}"


def parse_address(text: str) -> Address:
    """Reads the URL of a device.

    Raises:
        UsageError: no such URL, an unknown option, or a password in it.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--device {text!r} is not valid: {error}", hint=_EXAMPLE) from error
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"--device {_hidden(text, parts)!r} is neither ssh:// nor adb://", hint=_EXAMPLE)
    if parts.password is not None:
        raise UsageError("--device takes no password", hint="use a key, with ssh-agent if it has a passphrase")
    host = parts.netloc if parts.scheme == "adb" else parts.hostname or ""
    if not _SAFE_NAME.match(host) or not _SAFE_NAME.match(parts.username or "x") or parts.path not in ("", "/"):
        raise UsageError(f"--device {text!r} names no device", hint=_EXAMPLE)
    options = _options(text, parts)
    return Address(
        scheme=parts.scheme,
        host=host,
        user=parts.username or "" if parts.scheme == "ssh" else "",
        port=port if parts.scheme == "ssh" else None,
        python=options.get("python", "python3"),
        folder=options.get("folder", ""),
        timeout=_seconds(options, "timeout", Address.timeout),
        connect_timeout=_seconds(options, "connect-timeout", Address.connect_timeout),
        config=options.get("config", ""),
    )


def _options(text: str, parts: SplitResult) -> dict[str, str]:
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise UsageError(f"--device {text!r}: {error}", hint="options look like ?python=/usr/bin/python3") from error
    for name, value in options.items():
        if name not in _OPTIONS:
            raise UsageError(f"--device has no option {name!r}; {did_you_mean(name, _OPTIONS)}")
        if not value or value.startswith("-") or any(not sign.isprintable() for sign in value):
            raise UsageError(f"the option {name} of --device cannot be {value!r}")
    return options


def _seconds(options: dict[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise UsageError(f"the option {name} of --device is {text!r}, expected seconds")
    return seconds


def _hidden(text: str, parts: SplitResult) -> str:
    """The text without a password that stands in it."""
    return text.replace(f":{parts.password}@", ":...@") if parts.password else text
