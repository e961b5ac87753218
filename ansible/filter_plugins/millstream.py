"""Filters of more than one role."""

from __future__ import annotations


def names_of(host: str, variables: dict) -> list[str]:
    """Alternative names of a host's certificate: what clients may call it, as community.crypto writes them."""
    addresses = [variables.get("private_ip"), variables.get("public_ip"), "127.0.0.1"]
    names = [host, "localhost", variables.get("tls_name")]
    return list(dict.fromkeys([f"DNS:{name}" for name in names if name] + [f"IP:{address}" for address in addresses if address]))


class FilterModule:
    def filters(self):
        return {"millstream_names_of": names_of}
