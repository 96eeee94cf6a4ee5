"""Devices over SSH, by the system's OpenSSH client."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from zsq_export.errors import TargetUnavailableError, ZsqError
from zsq_export.remote.address import Address
from zsq_export.remote.processes import Finished
from zsq_export.remote.transport import ShellTransport

_CONNECTION_FAILED = 255
"""Exit code of ssh itself; everything else is that of the command."""
_LONGEST_SOCKET = 80
"""Sockets have short names (104 bytes and less), and ssh appends some letters while it makes one."""

_REASONS = (
    (("REMOTE HOST IDENTIFICATION HAS CHANGED",), "shows another host key than before",
     "find out why; if it is all right, forget the old one with ssh-keygen -R"),
    (("Host key verification failed", "host key is known"), "has a host key that is not known here",
     "compare its fingerprint and connect once with ssh, or add it to known_hosts"),
    (("Permission denied", "Too many authentication failures", "No supported authentication"),
     "does not accept the key", "add your public key there; keys with a passphrase need ssh-agent"),
    (("Could not resolve",), "has a name that cannot be resolved", "check the name"),
    (("Connection refused",), "refuses the connection", "check the port, and that an SSH server runs there"),
    (("timed out", "Connection timeout", "No route to host", "Network is unreachable"), "does not answer",
     "check the address and the network; ?connect-timeout=SECONDS waits longer"),
    (("Bad configuration", "terminating", "Can't open user config"), "cannot be reached with this ssh configuration",
     "check the file given with ?config="),
)  # fmt: skip
"""What ssh says, what that means, what to do."""


class SshTransport(ShellTransport):
    """A device that runs an SSH server.

    All commands share the connection of the first one where the server lets them. Host keys are checked as the user's
    ssh is set up to, which is on by default; nothing asks for a password.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._sockets: Path | None = None

    def command(self, script: str, *, first: bool = False) -> list[str]:
        """``ssh ... host script``."""
        address = self.address
        options = [
            "BatchMode=yes",
            f"ConnectTimeout={max(1, round(address.connect_timeout))}",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "RequestTTY=no",
            "RemoteCommand=none",
            *self._shared(first),
        ]
        return [
            "ssh",
            *(["-F", address.config] if address.config else []),
            *(part for option in options for part in ("-o", option)),
            *(["-p", str(address.port)] if address.port else []),
            *(["-l", address.user] if address.user else []),
            "--",
            address.host,
            script,
        ]

    def connection_error(self, finished: Finished) -> ZsqError | None:
        """Of ssh itself."""
        if finished.code != _CONNECTION_FAILED and finished.code >= 0:
            return None
        for words, reason, hint in _REASONS:
            if any(word in finished.err for word in words):
                return TargetUnavailableError(f"{self.address.name} {reason}", hint=hint)
        detail = " ".join(finished.err.split()[-30:])
        return TargetUnavailableError(
            f"the connection to {self.address.name} was lost{f': {detail}' if detail else ''}",
            hint="the folder there removes itself; try again",
        )

    def remove(self) -> None:
        """Removes the sockets, too."""
        super().remove()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def _shared(self, first: bool) -> list[str]:
        if first:
            self._sockets = Path(tempfile.mkdtemp(prefix="zsq-ssh-"))
        if self._sockets is None or len(str(self._sockets)) > _LONGEST_SOCKET:
            return ["ControlMaster=no", "ControlPath=none"]
        return [f"ControlMaster={'yes' if first else 'no'}", "ControlPersist=no", f"ControlPath={self._sockets}/s"]
