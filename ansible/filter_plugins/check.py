"""What check.yml found, a line each."""

from __future__ import annotations

import json


def line(state: str, host: str, what: str, text: str) -> str:
    return f"{state:<4} {host:<14} {what:<26} {text}"


def doctor(told: dict) -> list[tuple[str, str, str]]:
    """Of `millstream doctor --json`: what is good counts together, the rest is told one by one."""
    if told.get("skipped"):
        return []
    try:
        apps = json.loads(told.get("stdout") or "")["apps"]
    except (ValueError, KeyError):
        return [("bad", "doctor", f"it said nothing that can be read: {(told.get('stderr') or told.get('msg') or '')[-300:]}: run worker.yml")]
    rows = []
    for app, findings in apps.items():
        wrong = [one for one in findings if one.get("state") == "bad"]
        rows += [("bad", f"doctor {app}", " ".join(str(one.get(key) or "") for key in ("what", "told", "remedy")).strip()) for one in wrong]
        if not wrong:
            rows.append(("ok", f"doctor {app}", f"all {len(findings)} that its settings name can be used"))
    return rows


def of_host(host: str, variables: dict) -> list[str]:
    told = variables.get("check_host", {})
    rows = [tuple(row.split("\t", 2)) for row in told.get("stdout_lines", []) if row.count("\t") >= 2]
    if not rows:
        # By ssh it is unreachable; by docker, what was to be run there fails.
        why = " ".join(str(told.get(key) or "") for key in ("msg", "stderr", "module_stderr")).strip() or "no answer"
        return [line("bad", host, "ssh", f"it can't be asked: {' '.join(why.split())[-300:]}: see whether it runs, and `ansible -m ping {host}`")]
    if told.get("rc", 0) != 0:
        rows.append(("bad", "check", f"the script that asks ended with {told['rc']}: {told.get('stderr', '')[-300:]}"))
    if kafka := variables.get("check_kafka"):
        rows.append((kafka["state"], "kafka", kafka["text"]))
    rows += doctor(variables.get("check_doctor", {"skipped": True}))
    return [line(state, host, what, text) for state, what, text in rows]


def lines(hosts: list[str], variables: dict) -> list[str]:
    return [row for host in hosts for row in of_host(host, variables[host])]


class FilterModule:
    def filters(self):
        return {"check_lines": lines}
