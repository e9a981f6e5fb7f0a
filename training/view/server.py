"""Rerun's own server of its viewer and of the data, in a process beside this one.

The library's server listens on all interfaces of the machine; that of the command can be told to listen on one.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from substep_bringup.child_process import die_with_parent

HERE = "127.0.0.1"
PATIENCE = 30.0  # s
KEPT = "50%"  # of this machine's memory, for browsers that come late; more than that drops the oldest


class ViewerServer:
    """Serves the page at ``port`` and the data at ``port + 1``, to this machine alone; it ends with this process.

    Attributes:
        data: where a recording connects to.
        page: what a browser opens.

    Raises:
        OSError: a port is taken, or the server ends at once.
    """

    def __init__(self, port: int) -> None:
        for number in (port, port + 1):
            _check_free(number)
        self.data = f"rerun+http://{HERE}:{port + 1}/proxy"
        self.page = f"http://{HERE}:{port}/?url={self.data}"
        told = ["--bind", HERE, "--port", str(port + 1), "--web-viewer-port", str(port), "--hide-welcome-screen"]
        told += ["--server-memory-limit", KEPT]
        # Not by its Python wrapper, which would leave it behind.
        program = Path(import_module("rerun_cli").__file__).with_name("rerun")
        self._said = tempfile.TemporaryFile("w+")
        silent = {"stdout": subprocess.DEVNULL, "stderr": self._said, "stdin": subprocess.DEVNULL}
        # Out of the terminal's reach: a Ctrl-C would end it before it has got all that is on its way to it.
        apart = {"start_new_session": True, "preexec_fn": die_with_parent()}
        self._process = subprocess.Popen([program, "--serve-web", *told], **apart, **silent)
        self._wait_for(port)

    def close(self) -> None:
        """By SIGKILL: it keeps nothing, and where SIGTERM is ignored by who started this process, it ignores it too."""
        self._process.kill()
        self._process.wait()
        self._said.close()

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection((HERE, port), timeout=1.0):
                return
            time.sleep(0.05)
        self._said.seek(0)
        said = self._said.read().strip().splitlines()
        self.close()
        raise OSError(f"Rerun's server did not come up at port {port}: {said[-1] if said else 'it said nothing'}")


def _check_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HERE, port))
        except OSError as error:
            raise OSError(
                f"port {port} is taken: choose another with --port, which takes two, one after the other"
            ) from error
