"""Commands as a person types them: on this machine, and as root on a host of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hosts import Host

# For what takes seconds on a machine that does nothing else.
PATIENCE = 300


def sh(*command: str, cwd: Path | None = None, patience: int = PATIENCE) -> str:
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, timeout=patience, check=False)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Typed:
    """A shell on a host, in /root."""

    def __init__(self, host: Host):
        self.container = host.container

    def put(self, file: Path, to: str) -> None:
        sh("docker", "cp", str(file), f"{self.container}:{to}")

    def _do(self, command: str) -> subprocess.CompletedProcess[str]:
        shell = ["docker", "exec", "-e", "DEBIAN_FRONTEND=noninteractive", "-w", "/root", self.container, "bash", "-c", command]
        return subprocess.run(shell, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)

    def run(self, command: str) -> str:
        done = self._do(command)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        return done.stdout.strip()

    def code(self, command: str) -> int:
        return self._do(command).returncode
