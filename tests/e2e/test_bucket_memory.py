"""A file of 256 MB, and sixteen files at once, pass through S3 and COS in constant memory.

Over TLS, as on AWS, where botocore treats bodies in a way of its own. An emulator would keep all of
it in memory, so a server that speaks just as much S3 and COS as this needs counts the bytes
instead. Run as a program, this module carries the files and says what that took.

测试大文件经 S3 与 COS 存储读写时内存恒定。
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
import zlib
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from infra.paths import ROOT
from shared.buckets.base import Bucket
from tests.e2e.test_big_artifact import peak

MIB = 2**20
PIECE = MIB // 16
PROGRAM = (sys.executable, "-m", "tests.e2e.test_bucket_memory")


def chunks(size: int) -> Iterator[bytes]:
    """A body in pieces as a provider's come; every one different."""
    for number in range(size // PIECE):
        yield number.to_bytes(8, "big") * (PIECE // 8)


def digest(pieces: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


class Sink(ThreadingHTTPServer):
    """Takes objects of `size` bytes and forgets them but for their digests; gives them back."""

    def __init__(self, size: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), SinkHandler)
        self.size = size
        self.tls = tls
        self.bodies: dict[str, Any] = defaultdict(hashlib.sha256)
        self.stored: dict[str, str] = {}
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls is None:
            return connection, address
        # The handshake is for the connection's own thread.
        wrapped = self.tls.wrap_socket(connection, True, do_handshake_on_connect=False)
        return wrapped, address


class SinkHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: Sink

    @property
    def key(self) -> str:
        return self.path.partition("?")[0]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "?uploads" in self.path:
            self.answer(b"<R><UploadId>upload</UploadId></R>")
        else:
            checksums = body.count(b"<ChecksumCRC32>")
            assert checksums == (body.count(b"<PartNumber>") if self.server.tls else 0)
            self.server.stored[self.key] = self.server.bodies[self.key].hexdigest()
            self.answer(b"<R><ETag>whole</ETag></R>")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.tls:
            told = self.headers["x-amz-checksum-crc32"]
            right = int.from_bytes(b64decode(told), "big") == zlib.crc32(body)
        else:
            right = b64decode(self.headers["Content-MD5"]) == hashlib.md5(body).digest()
        if not right:
            self.send_error(400)
            return
        self.server.bodies[self.key].update(body)
        self.answer(b"", {"ETag": "part"})

    def do_GET(self) -> None:
        self.answer(None)
        for chunk in chunks(self.server.size):
            self.wfile.write(chunk)

    def answer(self, body: bytes | None, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        length = self.server.size if body is None else len(body)
        for name, value in {"Content-Length": str(length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("adapter", "files", "size", "most"),
    [
        ("s3", 1, 256 * MIB, 64),
        ("s3", 16, 20 * MIB, 256),
        ("cos", 3, 40 * MIB, 64),
    ],
)
def test_files_pass_through_in_constant_memory(
    tmp_path: Path, adapter: str, files: int, size: int, most: int
) -> None:
    tls = None
    if adapter == "s3":
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    with Sink(size, tls) as sink:
        serving = threading.Thread(target=sink.serve_forever, args=(0.02,))
        serving.start()
        try:
            done = subprocess.run(
                [*PROGRAM, adapter, str(files), str(size)],
                cwd=ROOT,
                env=environ(sink.url, tmp_path),
                capture_output=True,
                text=True,
                timeout=100,
            )
        finally:
            sink.shutdown()
            serving.join()
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    expected = digest(chunks(size))
    assert list(sink.stored.values()) == [expected] * files
    assert said["files"] == [{"bytes": size, "read": expected}] * files
    print(f"\n{files} files of {size // MIB} MiB: {said['grown']} MiB above {said['before']} MiB")
    assert said["grown"] < most


def environ(url: str, folder: Path) -> dict[str, str]:
    """The environment, leading to `url` only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ENDPOINT_URL": url,
        "AWS_CA_BUNDLE": str(folder / "authority.pem"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "COS_ENDPOINT": url,
        "TENCENTCLOUD_SECRETID": "test",
        "TENCENTCLOUD_SECRETKEY": "test",
    }


def adapter_of(name: str) -> Bucket:
    if name == "s3":
        from shared.buckets.s3 import S3Bucket

        return S3Bucket("large")
    from shared.buckets.cos import CosBucket

    return CosBucket("large-1250000000")


def carry(adapter: str, files: int, size: int) -> None:
    """Put the files, all at once, read them back, and measure."""
    bucket = adapter_of(adapter)
    bucket.presign_get("any", seconds=1)  # makes the client, which is not what is measured
    before = peak()

    def one(number: int) -> dict[str, object]:
        key = f"incoming/{number}.glb"
        info = bucket.put_stream(key, chunks(size), media_type="model/gltf-binary")
        with bucket.open(key) as reader:
            return {"bytes": info.bytes, "read": digest(iter(lambda: reader.read(MIB), b""))}

    with ThreadPoolExecutor(files) as pool:
        results = list(pool.map(one, range(files)))
    grown = peak() - before
    print(json.dumps({"files": results, "before": before // MIB, "grown": grown // MIB}))


if __name__ == "__main__":
    carry(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
