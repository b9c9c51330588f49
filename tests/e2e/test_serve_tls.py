"""`./scripts/serve --tls`: https on this machine, for clients that speak nothing else.

测试本机的 https 服务。
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import httpx
import pytest

from infra.local.standins.tripo import Standin
from tests.local import Command, environment, until

SERVE = "infra.local.cli.serve"
READY = r"API\s+(https://127\.0\.0\.1:\d+)/api/v1"
TRUST = r"SSL_CERT_FILE=(\S+)"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_that_trust_the_authority_are_served_by_https(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    with Standin(seconds=0.5) as tripo:
        env = environment(
            tmp_path,
            TRIPO_API_KEY="tsk_test",
            TRIPO_BASE_URL=tripo.url,
            MAQUETTE_POLL_FIRST_SECONDS="0.3",
        )
        arguments = ("--tls", "--port", "0", "--workers", workers)
        with Command(SERVE, *arguments, env=env) as command:
            url = command.wait_for(READY)[1]
            authority = Path(command.wait_for(TRUST)[1])
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                httpx.get(f"{url}/health")
            # Nothing but the variable: how a client is told that cannot be told otherwise.
            monkeypatch.setenv("SSL_CERT_FILE", str(authority))
            for host in ("127.0.0.1", "localhost"):
                assert httpx.get(f"{url}/health".replace("127.0.0.1", host)).status_code == 200
            job = httpx.post(f"{url}/api/v1/models", json={"prompt": "a chair"}).json()
            assert job["urls"]["self"].startswith(url)
            until(lambda: httpx.get(job["urls"]["self"]).json()["status"] == "succeeded")
            model = httpx.get(job["urls"]["self"]).json()["artifacts"][0]
            answer = httpx.get(model["url"], follow_redirects=True)
            assert answer.url.scheme == "https"
            assert hashlib.sha256(answer.content).hexdigest() == model["sha256"]
            assert "strict-transport-security" not in answer.history[0].headers


def test_the_certificate_stays_from_start_to_start(tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        with Command(SERVE, "--tls", "--port", "0", env=environment(tmp_path)) as command:
            command.wait_for(READY)
            kept.append(Path(command.wait_for(TRUST)[1]).read_bytes())
    assert kept[0] == kept[1]
    assert ssl.PEM_cert_to_DER_cert(kept[0].decode())


def test_a_host_that_no_certificate_can_name_is_told(tmp_path: Path) -> None:
    env = environment(tmp_path, MAQUETTE_PUBLIC_URL="https://my_host:8000")
    with Command(SERVE, "--tls", "--port", "0", env=env) as command:
        assert command.wait() == 2
    assert command.said == "--tls: no certificate can name 127.0.0.1, my_host."
