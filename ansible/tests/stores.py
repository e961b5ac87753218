"""What the tests of Cassandra, MariaDB and OpenSearch have in common: one host, from bare on."""

from __future__ import annotations

import time

PATIENCE = 120


def install(made, host, playbook: str, port: int):
    """After a dry run on the bare host, one that finds another program at its port, and the first real one. No secret is shown."""
    before = host.changes()
    made.play("pki.yml")
    dry = made.play(playbook, "--check")
    assert dry.changed and not new(host, before), new(host, before)
    host.shell(f"systemd-run -q --unit busy python3 -m http.server {port}")
    busy = made.play(playbook, ok=False)
    assert "Another program has" in busy.output and not new(host, before), busy.output[-2000:]
    host.shell("systemctl stop busy")
    first = made.play(playbook, "--diff")
    secrets = [path.read_text().strip() for path in made.playbooks.secrets.glob("*-*") if path.is_file()]
    assert secrets and not any(secret in dry.output + first.output for secret in secrets)
    return made


def new(host, before: set[str]) -> set[str]:
    """What has changed since, but for the home of whom Ansible comes as."""
    return {line for line in host.changes() - before if not line.startswith("C /home")}


def pid(host, unit: str) -> str:
    return host.shell(f"systemctl show -P MainPID {unit}")


def listening(host) -> set[tuple[str, int]]:
    """Addresses and ports that a program of the host's listens on; not Docker's own names server."""
    lines = host.shell("ss -Hltn").splitlines()
    found = [line.split()[3].rsplit(":", 1) for line in lines]
    return {(address, int(port)) for address, port in found if address != "127.0.0.11"}


def outward(host) -> set[tuple[str, int]]:
    return {(address, port) for address, port in listening(host) if not address.startswith(("127.", "[::1]"))}


def until(what: str, ask, seconds: float = PATIENCE):
    """What `ask` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"{what} didn't come about within {seconds} s; last seen: {found!r}"
        time.sleep(1)
    return found


def refuses(made, host, playbook: str, unit: str, file: str, told: str, **variables) -> None:
    """Settings that the server doesn't take: the file stays, and so does the process."""
    before, running = host.shell(f"sha256sum {file}"), pid(host, unit)
    played = made.play(playbook, ok=False, **variables)
    assert told in played.output, played.output[-3000:]
    assert host.shell(f"sha256sum {file}") == before and pid(host, unit) == running


def restarted_one_by_one(hosts: list, unit: str) -> list[tuple[float, float]]:
    """When each was away last, in seconds of the machine's monotonic clock, which containers and this process share."""
    times = f"for time in ActiveExit ActiveEnter; do systemctl show -P ${{time}}TimestampMonotonic {unit}; done"
    away = sorted(tuple(int(told) / 1e6 for told in host.shell(times).split()) for host in hosts)
    assert all(left < back for left, back in away), away
    assert all(left >= back for (_, back), (left, _) in zip(away, away[1:], strict=False)), f"two were away at once: {away}"
    return away


def tears_down(made, host, unit: str, allowed: tuple[str, ...], gone: tuple[str, ...]) -> None:
    """All that the role put there is gone, `gone` among it, but for the distribution's packages and `allowed`."""
    for path in gone:
        host.run("test", "-e", path)
    made.play("teardown.yml", millstream_delete_data=True)
    assert host.run("systemctl", "is-active", unit, check=False).stdout.strip() != "active"
    ours = [line for line in host.changes() if any(word in line for word in ("millstream", unit)) and not line.startswith("D ")]
    left = [line for line in ours if not any(path in line for path in allowed)]
    assert not left, left
    assert [path for path in gone if host.run("test", "-e", path, check=False).returncode != 1] == []
