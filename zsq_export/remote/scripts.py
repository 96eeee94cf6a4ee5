"""What the POSIX shell of a device is told, and how to read how that ended."""

from __future__ import annotations

import shlex

from zsq_export.remote.processes import Finished

FOLDER, MACHINE, FAILED, REMOVED = "zsq-folder ", "zsq-machine ", "zsq-failed ", "zsq-removed"
"""How lines of :data:`KEEPER` begin."""
_PID = ".pid"

KEEPER = f"""
umask 077
trap '' HUP PIPE TERM
folder=$(mktemp -d "$1/zsq-XXXXXXXXXX" 2>&1) || {{ echo "{FAILED}$folder"; exit 1; }}
echo "{MACHINE}$(uname -m)"
echo "{FOLDER}$folder"
cat > /dev/null
if read -r group child < "$folder/{_PID}"; then kill -9 "-$group" || kill -9 "$group" "$child"; fi 2> /dev/null
for turn in 1 2 3; do rm -rf "$folder"; [ -e "$folder" ] || break; sleep 1; done
[ -e "$folder" ] || echo "{REMOVED}"
"""
"""Makes the temporary folder and waits for the end of its input: this program closes it when it is done, the system
does when the connection is lost or this program is killed. Then it ends what still runs and removes the folder."""

RUN = f"""
cd "$1" || exit 1
shift
TMPDIR=$PWD
export TMPDIR
"$@" < /dev/null &
echo "$$ $!" > {_PID}
wait "$!"
code=$?
rm -f {_PID}
exit "$code"
"""
"""The shell stays, because ssh does not tell a program that the system killed from a connection that was lost."""

_FULL = ("No space left", "Disk quota", "File too large", "File size limit")
_KILLED = 128 + 9
_FULL_CODES = (128 + 25, 25)
"""A process that the system ended because its file grew beyond the limit (SIGXFSZ)."""


def shell_line(script: str, *arguments: str) -> str:
    """A command line that any login shell hands on to a POSIX shell."""
    return " ".join(["exec", "sh", "-c", shlex.quote(script), "sh", *map(shlex.quote, arguments)])


def last_line(finished: Finished) -> str:
    """What a program said last, without the word "error"; or what ended it."""
    if finished.code == _KILLED:
        return "it was killed there, perhaps for want of memory"
    lines = [line.strip() for line in finished.err.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"exit code {finished.code}"


def is_full(finished: Finished) -> bool:
    """Whether a program ended because a disk, or what a file may take, was full."""
    return finished.code in _FULL_CODES or any(words.lower() in finished.err.lower() for words in _FULL)
