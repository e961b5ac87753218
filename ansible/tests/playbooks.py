"""Runs playbooks as a user does, and reads what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"
# A playbook that takes longer hangs.
PATIENCE = 1200
RECAP = re.compile(r"^(\S+)\s+: (.*)$", re.MULTILINE)


@dataclass
class Played:
    code: int
    output: str
    seconds: float

    @property
    def hosts(self) -> dict[str, dict[str, int]]:
        """Of the recap: host → ok, changed, unreachable, failed, skipped, rescued, ignored."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        return {host: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in RECAP.findall(recap)}

    @property
    def changed(self) -> dict[str, int]:
        return {host: counts["changed"] for host, counts in self.hosts.items() if counts["changed"]}

    @property
    def changed_tasks(self) -> list[str]:
        """The tasks that changed something: what to look at when a second run isn't empty."""
        tasks, task = [], ""
        for line in self.output.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.partition("[")[2].partition("] *")[0]
            elif line.startswith("changed: ["):
                tasks.append(f"{task}: {line.partition('[')[2].partition(']')[0]}")
        return tasks


class Playbooks:
    """`ansible-playbook` with an inventory, and with secrets in a directory of its own."""

    def __init__(self, inventory: Path, directory: Path, **variables):
        self.inventory, self.directory = inventory, directory
        self.secrets = directory / "secrets"
        self.variables = variables
        self.log = directory / "ansible.log"

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "AWS_", "MILLSTREAM_SECRETS"))}
        return kept | {
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.directory / "ansible-home"),
            "MILLSTREAM_SECRETS": str(self.secrets),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, playbook: str, *options: str, ok: bool | None = True, patience: float = PATIENCE, **variables) -> Played:
        """Plays it. ok: whether it has to succeed, or (False) to fail; None: either."""
        given = self.directory / "variables.yml"
        given.write_text(yaml.safe_dump({**self.variables, **variables}))
        begun = time.monotonic()
        with self.log.open("a") as log:
            log.write(f"\n==== {playbook} {' '.join(options)} {variables}\n")
        with subprocess.Popen(
            ["ansible-playbook", "-i", str(self.inventory), "-e", f"@{given}", *options, playbook],
            cwd=ANSIBLE, env=self._environment(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            output = self._follow(process, begun + patience)
        played = Played(process.returncode, output, time.monotonic() - begun)
        print(f"{playbook} {' '.join(options)}: {played.code}, {played.seconds:.0f} s, changed {sum(played.changed.values())}", flush=True)
        if ok is not None:
            assert (played.code == 0) == ok, f"{playbook} ended with {played.code}:\n{shortened(output)}"
        return played

    def _follow(self, process: subprocess.Popen, deadline: float) -> str:
        """Its output, which is also in the log while it runs."""
        lines = []
        with self.log.open("a", buffering=1) as log:
            while line := process.stdout.readline():
                lines.append(line)
                log.write(line)
                if time.monotonic() > deadline:
                    process.kill()
                    raise AssertionError(f"the playbook took too long; its last lines:\n{''.join(lines[-60:])}")
        process.wait()
        return "".join(lines)


def shortened(output: str) -> str:
    """What failed, and the end."""
    found = [m.start() for m in re.finditer(r"^(fatal|failed|\[ERROR\]|ERROR)", output, re.MULTILINE)]
    first = output[max(0, found[0] - 300) : found[0] + 3500] if found else ""
    return f"{first}\n…\n{output[-1500:]}"
