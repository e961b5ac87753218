"""Serves hosts their files: the tarballs and packages of directories, by name; and Debian's archive, as a proxy that keeps
what it got, so that the second host doesn't wait for it again.

    python mirror.py --address ADDRESS [--port PORT] DIR…       prints its URL; ends with Ctrl-C

Files whose names are in `tampered` arrive with one byte changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream-ci" / "apt"
# Indexes are asked for anew; what has a version or a hash in its name stays what it is.
KEPT = ("/pool/", "/by-hash/")


class Mirror:
    """A server of `directories` on an address that the hosts reach: their network's gateway."""

    def __init__(self, address: str, *directories: Path, port: int = 0):
        self.directories = [Path(directory) for directory in directories]
        self.tampered: set[str] = set()
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer((address, port), Handler)
        self._server.daemon_threads = True
        self._server.mirror = self
        self._one_each: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self.url = f"http://{address}:{self._server.server_port}"

    def __enter__(self) -> Mirror:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        self._server.serve_forever()

    def find(self, name: str) -> Path | None:
        found = (directory / name for directory in self.directories)
        return next((path for path in found if path.is_file()), None)

    def archived(self, url: str) -> Path:
        """The file of an archive's URL, got once."""
        kept = CACHE / hashlib.sha256(url.encode()).hexdigest()
        with self._guard:
            lock = self._one_each.setdefault(url, threading.Lock())
        with lock:
            if not kept.exists():
                CACHE.mkdir(parents=True, exist_ok=True)
                part = kept.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
                with urllib.request.urlopen(url, timeout=60) as got, part.open("wb") as to:
                    shutil.copyfileobj(got, to)
                part.rename(kept)
        return kept


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        mirror: Mirror = self.server.mirror
        mirror.asked.append(self.path)
        try:
            if self.path.startswith("http://"):
                self.proxy(mirror)
            else:
                name = unquote(urlsplit(self.path).path).strip("/")
                path = None if ".." in name else mirror.find(name)
                self.send(path, name in mirror.tampered)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET

    def proxy(self, mirror: Mirror) -> None:
        try:
            if any(part in self.path for part in KEPT):
                self.send(mirror.archived(self.path))
                return
            with urllib.request.urlopen(self.path, timeout=60) as got:
                self.answer(200, len(body := got.read()))
                self.wfile.write(body)
        except urllib.error.HTTPError as error:
            self.answer(error.code, 0)
        except OSError as error:
            print(f"mirror: {self.path}: {error}", file=sys.stderr)
            self.answer(502, 0)

    def send(self, path: Path | None, tampered: bool = False) -> None:
        if path is None:
            self.answer(404, 0)
            return
        self.answer(200, size := path.stat().st_size)
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            if tampered:
                self.wfile.write(file.read(size - 1))
                self.wfile.write(bytes([file.read(1)[0] ^ 1]))
            else:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

    def answer(self, code: int, size: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(size))
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """A line per request, of hundreds."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves files and Debian's archive to hosts.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("directories", nargs="*", type=Path)
    given = parser.parse_args()
    mirror = Mirror(given.address, *given.directories, port=given.port)
    print(mirror.url, flush=True)
    try:
        mirror.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
