"""scripts/artifacts: checksums as publishers give them, and tarballs that are the same each time."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256, sha512
from pathlib import Path

import pytest
import yaml
from mirror import Mirror
from playbooks import ANSIBLE, ROOT

HELD = b"a tarball"
SHA512 = sha512(HELD).hexdigest()
APACHE = "a.tgz: " + "\n       ".join(" ".join(SHA512.upper()[i + j : i + j + 8] for j in range(0, 32, 8)) for i in range(0, 128, 32)) + "\n"


@pytest.fixture
def publisher(tmp_path):
    (tmp_path / "files").mkdir()
    with Mirror("127.0.0.1", tmp_path / "files") as server:
        yield server


def pin(publisher: Mirror, directory: Path, known: str, **beside: str) -> tuple[subprocess.CompletedProcess, str]:
    """What is written for a.tgz, beside which lie files with these endings."""
    (publisher.directories[0] / "a.tgz").write_bytes(HELD)
    for ending, text in beside.items():
        (publisher.directories[0] / f"a.tgz.{ending.replace('_', '.')}").write_text(text)
    versions = directory / "versions.yml"
    versions.write_text(f'artifacts:\n  a:\n    "1":\n      url: {publisher.url}/a.tgz\n      sha512: {known}\n')
    done = subprocess.run(
        [ROOT / "scripts/artifacts", "--pin", versions], env=os.environ | {"PIN_PROTOCOLS": "=http"}, text=True, capture_output=True
    )
    return done, yaml.safe_load(versions.read_text())["artifacts"]["a"]["1"]["sha512"]


@pytest.mark.parametrize("text", [APACHE, f"{SHA512}\n", f"{SHA512}  a.tgz\n"], ids=["Apache", "digits", "sha512sum"])
def test_a_missing_checksum_is_the_publishers(publisher, tmp_path, text):
    done, written = pin(publisher, tmp_path, '""', sha512=text)
    assert (done.returncode, written) == (0, SHA512), done.stderr


def test_of_a_sha256_a_sha512_is_made(publisher, tmp_path):
    done, written = pin(publisher, tmp_path, '""', sha256_txt=f"{sha256(HELD).hexdigest()}  a.tgz\n")
    assert (done.returncode, written) == (0, SHA512), done.stderr


def test_a_download_without_its_sha256_is_not_taken(publisher, tmp_path):
    done, written = pin(publisher, tmp_path, '""', sha256_txt=f"{sha256(b'another').hexdigest()}  a.tgz\n")
    assert (done.returncode, written) == (1, "")
    assert "Nothing was changed" in done.stderr


def test_another_checksum_than_the_publishers_is_not_overwritten(publisher, tmp_path):
    done, written = pin(publisher, tmp_path, "0" * 128, sha512=f"{SHA512}\n")
    assert done.returncode == 1 and int(written) == 0
    assert "gives another sha512" in done.stderr


def test_without_a_checksum_the_remedy_is_named(publisher, tmp_path):
    done, written = pin(publisher, tmp_path, '""')
    assert (done.returncode, written) == (1, "")
    assert "by hand" in done.stderr


def test_versions_are_those_of_the_images_and_have_checksums():
    table = dict(line.split("=", 1) for line in (ROOT / "infra/images/images.env").read_text().splitlines() if "=" in line and line[0] != "#")
    artifacts = yaml.safe_load((ANSIBLE / "group_vars/all/versions.yml").read_text())["artifacts"]
    for name in ("kafka", "cassandra", "opensearch"):
        known = artifacts[name][table[f"{name.upper()}_VERSION"]]
        assert len(known["sha512"]) == 128 and known["url"].startswith("https://"), name


def test_stand_ins_are_complete_and_made_once(artifacts):
    listed = yaml.safe_load((artifacts / "artifacts.yml").read_text())["artifacts"]
    before = (artifacts / "artifacts.yml").stat().st_mtime_ns
    assert set(listed) == {"kafka", "cassandra", "opensearch", "java"} and set(listed["kafka"]) == {"4.3.1", "4.2.1"}
    for versions in listed.values():
        for known in versions.values():
            with (artifacts / known["file"]).open("rb") as file:
                digest = sha512()
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            assert digest.hexdigest() == known["sha512"], known["file"]
    again = subprocess.run([ROOT / "scripts/artifacts", artifacts], text=True, capture_output=True, check=True)
    assert again.stderr == "" and (artifacts / "artifacts.yml").stat().st_mtime_ns == before
