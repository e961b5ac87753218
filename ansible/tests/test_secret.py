"""Passwords by name: made once, kept from others, and never a wrong one silently."""

from __future__ import annotations

import stat
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

sys.path.insert(0, str(Path(__file__).parents[1] / "lookup_plugins"))
import secret  # noqa: E402


def look_up(name: str, **variables) -> str:
    plugin = secret.LookupModule(loader=DataLoader(), templar=Templar(DataLoader(), variables))
    return plugin.run([name], variables)[0]


def generated(directory: str) -> str:
    return secret.generated(Path(directory), "kafka-weather")


def test_a_password_is_made_once_and_nobody_else_may_read_it(tmp_path):
    directory = tmp_path / "secrets"
    first = look_up("kafka-weather", millstream_secrets_dir=str(directory))
    assert len(first) == 32 and first.isalnum()
    assert look_up("kafka-weather", millstream_secrets_dir=str(directory)) == first
    assert look_up("kafka-health", millstream_secrets_dir=str(directory)) != first
    assert stat.S_IMODE((directory / "kafka-weather").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in directory.iterdir()) == ["kafka-health", "kafka-weather"]


def test_of_many_at_once_all_get_the_same(tmp_path):
    with ProcessPoolExecutor(8) as pool:
        assert len(set(pool.map(generated, [str(tmp_path / "secrets")] * 32))) == 1


def test_what_others_may_read_is_refused(tmp_path):
    path = tmp_path / "kafka-weather"
    path.write_text("known\n")
    path.chmod(0o644)
    with pytest.raises(AnsibleLookupError, match="chmod 600"):
        look_up("kafka-weather", millstream_secrets_dir=str(tmp_path))


def test_an_empty_file_is_no_password(tmp_path):
    path = tmp_path / "kafka-weather"
    path.touch(mode=0o600)
    with pytest.raises(AnsibleLookupError, match="is empty"):
        look_up("kafka-weather", millstream_secrets_dir=str(tmp_path))


@pytest.mark.parametrize("name", ["../passwd", "Kafka", "", "a b", "a\n"])
def test_a_name_is_no_path(tmp_path, name):
    with pytest.raises(AnsibleLookupError, match="names of passwords"):
        look_up(name, millstream_secrets_dir=str(tmp_path))


def test_of_a_vault_only_what_is_in_it():
    given = {"millstream_secrets_from": "vault", "millstream_secrets": {"kafka-weather": "a"}}
    assert look_up("kafka-weather", **given) == "a"
    with pytest.raises(AnsibleLookupError, match="ansible-vault edit"):
        look_up("kafka-health", **given)


def test_an_unknown_source_is_refused():
    with pytest.raises(AnsibleLookupError, match="expected generated, vault or ssm"):
        look_up("kafka-weather", millstream_secrets_from="paper")
