"""What an app needs to be told of the servers, from the inventory and the table of apps."""

from __future__ import annotations

from typing import Any

Settings = dict[str, dict[str, Any]]


def _url(scheme: str, user: str, hosts: list[str], path: str = "", **options: Any) -> str:
    said = "&".join(f"{name}={value}" for name, value in options.items() if value not in (None, ""))
    return f"{scheme}://{user}@{','.join(hosts)}{path}" + (f"?{said}" if said else "")


def _ported(addresses: list[str], port: int) -> list[str]:
    return [f"{address}:{port}" for address in addresses]


def lake_url(variables: dict[str, Any]) -> str:
    """Where the lake is: the inventory's bucket, in a store of one's own if there is one. Empty: a directory of the host."""
    url, endpoint = variables.get("lake_url", ""), variables.get("millstream_lake_endpoint", "")
    if not url or not endpoint:
        return url
    return url + ("&" if "?" in url else "?") + f"endpoint={endpoint}&path_style=on"


def _stores(app: str, uses: dict[str, Any], at: dict[str, list[str]], ca: str, variables: dict[str, Any]) -> dict[str, Any]:
    stores: dict[str, Any] = {}
    if uses["tables"] == "cassandra":
        stores["tables"] = _url("cassandra", app, _ported(at["cassandra"], 9042), ca=ca, replication=min(3, len(at["cassandra"])))
    if uses["tables"] == "mysql":
        stores["tables"] = _url("mysql", app, _ported(at["mysql"][:1], 3306), ca=ca)
    if uses["search"]:
        stores["search"] = _url("https", app, _ported(at["search"], 9200), ca=ca, replicas=min(1, len(at["search"]) - 1))
    if uses["lake"] and (lake := lake_url(variables)):
        stores["lake"] = lake
        if uses["catalog"] and (database := variables.get("glue_database", "")):
            # By registration each commit tells Glue its partitions; by projection Athena reckons them from the date.
            if variables.get("catalog_mode", "") == "registration":
                stores["catalog"] = f"glue://{database}?region={variables['lake_region']}"
    return stores


def settings(app: str, variables: dict[str, Any], at: dict[str, list[str]], ca: str) -> Settings:
    """The settings of an app: what follows from the inventory, then the user's own."""
    uses = variables["millstream_apps"][app]
    told: Settings = {
        "topics": {"url": _url("kafka", app, _ported(at["kafka"], 9092), ca=ca, sasl="scram-sha-512", replication=min(3, len(at["kafka"])))},
        "stores": _stores(app, uses, at, ca, variables),
        "worker": {"memory_mb": int(variables["worker_memory_mb"])},
        "console": {"listen": variables["millstream_console"]},
    }
    if app == "health":
        told["demographics"] = {"url": _url("mysql", app, _ported(at["mysql"][:1], 3306), f"/{uses['mysql'][0]}", ca=ca)}
    if uses["serve"]:
        domain = variables.get("domain", "")
        told["serve"] = {"listen": variables["millstream_pages"][app], "hosts": [domain] if domain else []}
    for section, values in variables["worker_settings"].get(app, {}).items():
        told.setdefault(section, {}).update(values)
    # Glue's readers find files on S3 only.
    if not told["stores"].get("lake", "").startswith("s3://"):
        told["stores"].pop("catalog", None)
    return {section: values for section, values in told.items() if values}


def passwords(app: str, uses: dict[str, Any]) -> dict[str, str]:
    """Which variable of the app's environment holds which server's password."""
    begins = app.upper()
    named = {f"{begins}_TOPICS__PASSWORD": "kafka"}
    if uses["tables"]:
        named[f"{begins}_STORES__TABLES_PASSWORD"] = uses["tables"]
    if uses["search"]:
        named[f"{begins}_STORES__SEARCH_PASSWORD"] = "search"
    if app == "health":
        named[f"{begins}_DEMOGRAPHICS__URL_PASSWORD"] = "mysql"
    return named


def behind(overview: dict[str, Any], app: str, uses: dict[str, Any], lag: int) -> list[str]:
    """Why the app's pipelines don't stand so that one of its workers may be restarted, by the console's overview."""
    found = {one["id"]: one for one in overview.get("pipelines", [])}
    why = []
    for topic in uses["topics"]:
        for pipeline in topic["pipelines"]:
            name = f"{app}.{pipeline}"
            one = found.get(name)
            if one is None:
                why.append(f"{name}: nobody tells of it")
            elif one["state"]["is"] not in ("running", "starting", "standby"):
                why.append(f"{name}: {one['state']['is']}: {one['state']['why']}")
            # The topic's own partitions, and the one of the topic that dead letters come back by.
            elif one["partitions"] < topic["partitions"] + 1:
                why.append(f"{name}: {one['partitions']} of {topic['partitions'] + 1} partitions are worked on")
            elif one["lag"] > lag:
                why.append(f"{name}: {one['lag']} records behind")
    return why


def problems(told: dict[str, Any], groups: dict[str, list[str]]) -> list[str]:
    """What is wrong with the role's variables, each with its remedy."""
    apps, here = told["millstream_apps"], told["here"]
    why = [f"there is no app {app}: choose from {', '.join(sorted(apps))}, or add it to millstream_apps" for app in here if app not in apps]
    wanted = {"kafka"} if here else set()
    for uses in (apps[app] for app in here if app in apps):
        wanted |= {server for server in ("cassandra", "mysql", "search") if uses[server]}
    why += [f"group {server} has no host, and {', '.join(here)} need it: add one to the inventory" for server in sorted(wanted) if not groups.get(server)]
    if not told["package"] and not (told["url"] and told["sha512"]):
        why.append("nobody says what to install: make the package by scripts/package and give -e worker_package=FILE, or worker_package_url and worker_package_sha512")
    if told["package"] and not told["package_exists"]:
        why.append(f"worker_package, {told['package']}, is not on this machine: make it by scripts/package, or correct the path")
    if any(int(count) < 0 for count in told["counts"]):
        why.append("worker_instances is below 0: give the number of workers of each app on a host")
    if not told["lake_url"] and len(groups.get("worker", [])) > 1 and any(apps[app]["lake"] for app in here if app in apps):
        why.append("lake_url is empty, so each worker would write to a lake of its own: give it in the inventory, as Terraform's output does")
    return why


class FilterModule:
    def filters(self):
        return {"worker_settings": settings, "worker_passwords": passwords, "worker_behind": behind, "worker_problems": problems}
