"""A real OpenSSH server on loopback, with keys of its own."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
_START_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        folder: of its files.
        port: on 127.0.0.1.
        pid: of the listening process.
        config: for the client: host "device" with the right key and known host key.
    """

    folder: Path
    port: int
    pid: int
    config: Path

    def client(self, name: str, *, key: str = "user", known: str = "known_hosts", port: int | None = None) -> Path:
        """Another configuration of the client."""
        path = self.folder / f"client-{name}"
        path.write_text(
            f"""Host device
  HostName 127.0.0.1
  Port {port or self.port}
  User {getpass.getuser()}
  IdentityFile {self.folder / key}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {self.folder / known}
  GlobalKnownHostsFile /dev/null
  HashKnownHosts no
"""
        )
        return path

    def end_sessions(self) -> None:
        """Kills the processes that hold the connections, as a crash or a power cut does."""
        for pid in _descendants(self.pid):
            with suppress(OSError):
                if "sshd" in Path(f"/proc/{pid}/comm").read_text():
                    os.kill(pid, signal.SIGKILL)


@contextmanager
def running_server(folder: Path, *settings: str) -> Iterator[Server]:
    """Starts a server for this user; skips where there is none.

    Args:
        folder: empty; for its keys and configuration.
        settings: further lines of sshd_config.
    """
    _require_openssh()
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    host_key = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "unknown_hosts").write_text("")
    (folder / "sshd_config").write_text(
        f"""Port {port}
ListenAddress 127.0.0.1
HostKey {folder / "host"}
AuthorizedKeysFile {folder / "authorized_keys"}
PidFile {folder / "pid"}
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
UsePAM no
"""
        + "\n".join(settings)
        + "\n"
    )
    log = (folder / "log").open("wb")
    process = subprocess.Popen([_SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        server = Server(folder=folder, port=port, pid=process.pid, config=folder / "client-right")
        server = replace(server, config=server.client("right"))
        _wait(server, process)
        yield server
    finally:
        server.end_sessions()
        process.kill()
        process.wait()
        log.close()


def _require_openssh() -> None:
    if not Path(_SSHD).exists() or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH here: apt-get install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    if "nologin" in pwd.getpwuid(os.geteuid()).pw_shell:
        pytest.skip("this user has no login shell")


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        login = ["ssh", "-F", server.config, "-o", "BatchMode=yes", "device", "true"]
        if subprocess.run(login, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.1)
    pytest.skip(f"sshd does not let this user in: {(server.folder / 'log').read_text()[-300:]}")


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, pending = [], [pid]
    while pending:
        new = children.get(pending.pop(), [])
        found += new
        pending += new
    return found
