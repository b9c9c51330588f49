"""Files are fetched from URLs of callers as they are, within bounds, and from nowhere inside."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from shared.clock import Deadline
from shared.inputs.fetch import Limits, WebFetcher
from shared.inputs.remote import FetchFailed, FileTooLarge
from shared.outbound.url_policy import Policy
from tests import receivers
from tests.hostile_urls import HOSTILE
from tests.receivers import Behaviour, Receiver, answer, give, redirect

FILE = bytes(range(256)) * 500
MOST = 200_000
HOUR = Deadline.after(3600)
TRUST = ssl.create_default_context()
PUBLIC = WebFetcher(Policy(), verify=TRUST)


def fetcher(
    resolver: Callable[[str, int], Sequence[str]] | None = None, **limits: float
) -> WebFetcher:
    """One that may call this machine, as in stage `local`."""
    policy = Policy(stage_is_local=True)
    if resolver is not None:
        policy = Policy(stage_is_local=True, resolver=resolver)
    within = Limits(**{"total": 10.0, **limits})  # type: ignore[arg-type]
    return WebFetcher(policy, limits=within, verify=TRUST)


def fetched(url: str, by: WebFetcher | None = None, most: int = MOST) -> bytes:
    with (by or fetcher()).fetch("caller", url, most, HOUR) as chunks:
        return b"".join(chunks)


def failure(url: str, by: WebFetcher | None = None, most: int = MOST) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        fetched(url, by, most)
    return caught.value


@pytest.fixture
def serving() -> Iterator[Callable[..., Receiver]]:
    """Starts servers, and stops them at the end."""
    started: list[Receiver] = []

    def start(*behaviours: Behaviour) -> Receiver:
        started.append(Receiver(*behaviours))
        return started[-1].__enter__()

    yield start
    for server in started:
        server.__exit__()


Serving = Callable[..., Receiver]


def test_a_file_comes_as_it_is(serving: Serving) -> None:
    server = serving(give(FILE))
    assert fetched(server.url("/photo.jpg?token=a%20b")) == FILE
    (seen,) = server.requests
    assert seen.path == "/photo.jpg?token=a%20b"
    assert seen.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "Maquette/0.1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_a_file_in_chunks_or_without_a_length_is_whole_at_its_end(serving: Serving) -> None:
    pieces = b"".join(
        b"%x\r\n%s\r\n" % (1000, FILE[at : at + 1000]) for at in range(0, 128000, 1000)
    )
    pieces = pieces.replace(b"1000\r\n", b"3e8\r\n")
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
    assert fetched(serving(receivers.raw(chunked)).url()) == FILE
    until_closed = b"HTTP/1.0 200 OK\r\n\r\n" + FILE
    assert fetched(serving(receivers.raw(until_closed)).url()) == FILE


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_not_fetched(url: str) -> None:
    failed = failure(url, PUBLIC)
    assert failed.reason.startswith("its URL ")
    assert not failed.passing
    assert len(url) < 10 or url not in failed.reason


def test_a_redirect_leads_to_no_hostile_url_either(serving: Serving) -> None:
    """What is left of the list once it stands in a header names a path of the same host, maybe."""
    written = [url for url in HOSTILE if url and url.isascii() and url.isprintable()]
    hops = 0

    def resolver(host: str, port: int) -> Sequence[str]:
        nonlocal hops
        hops += 1
        return ["127.0.0.1"] if hops == 1 else ["169.254.169.254"]

    server = serving(*(redirect(url) for url in written))
    policy = Policy(allowed_hosts=frozenset({"public.example"}), resolver=resolver)
    by = WebFetcher(policy, verify=TRUST)
    for number, url in enumerate(written, 1):
        hops = 0
        failed = failure(f"http://public.example:{server.port}/", by)
        assert not failed.passing, url
        assert failed.reason.startswith(("it redirects to a URL that ", "its URL redirects")), url
        assert len(server.requests) == number, url


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_to_a_path_or_another_host(serving: Serving, status: int) -> None:
    file = serving(give(FILE))
    server = serving(redirect("/elsewhere?x=1", status), redirect(file.url("/%E5%9B%BE#top")))
    assert fetched(server.url()) == FILE
    assert [seen.path for seen in server.requests] == ["/hook", "/elsewhere?x=1"]
    assert [seen.path for seen in file.requests] == ["/%E5%9B%BE"]


def test_a_redirect_in_plain_utf_8_is_followed_as_browsers_do(serving: Serving) -> None:
    head = "HTTP/1.1 302 Found\r\nlocation: /图片 1.png\r\ncontent-length: 0\r\n\r\n".encode()
    server = serving(receivers.raw(head), give(FILE))
    assert fetched(server.url()) == FILE
    assert server.requests[1].path == "/%E5%9B%BE%E7%89%87%201.png"


def test_a_redirect_inside_is_refused_though_its_name_looked_public(serving: Serving) -> None:
    def resolver(host: str, port: int) -> Sequence[str]:
        return {"front.example": ["127.0.0.1"], "rebound.example": ["10.0.0.5"]}[host]

    server = serving(redirect("http://rebound.example/"))
    failed = failure(f"http://front.example:{server.port}/", fetcher(resolver))
    assert failed.reason == "it redirects to a URL that leads to an address that is not public"
    assert not failed.passing


def test_a_name_that_is_rebound_between_two_looks_gains_nothing(serving: Serving) -> None:
    """The request goes to the address that was judged: nothing asks for the name again."""
    answers = [["127.0.0.1"], ["10.0.0.5"]]
    server = serving(give(FILE))
    by = fetcher(lambda host, port: answers.pop(0))
    assert fetched(f"http://front.example:{server.port}/", by) == FILE
    assert len(answers) == 1


def test_redirects_come_to_an_end(serving: Serving) -> None:
    server = serving(redirect("/again"))
    failed = failure(server.url(), fetcher(redirects=3))
    assert (failed.reason, failed.passing) == ("its URL redirects too many times", False)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: /a\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://[::1\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_a_redirect_to_nowhere_is_definite(serving: Serving, head: bytes) -> None:
    assert not failure(serving(receivers.raw(head)).url()).passing


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410])
def test_an_answer_without_a_file_is_definite(serving: Serving, status: int) -> None:
    head = b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status
    failed = failure(serving(receivers.raw(head)).url())
    assert (failed.reason, failed.passing) == (f"the server answered {status}", False)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_may_be_another_one_later_is_passing(serving: Serving, status: int) -> None:
    failed = failure(serving(answer(status, retry_after="7")).url())
    assert (failed.passing, failed.retry_after) == (True, 7.0)


def test_a_file_may_have_as_many_bytes_as_allowed_and_no_more(serving: Serving) -> None:
    assert fetched(serving(give(FILE)).url(), most=len(FILE)) == FILE
    until_closed = receivers.raw(b"HTTP/1.1 200 OK\r\n\r\n" + FILE)
    for behaviour in (give(FILE), until_closed):
        failed = failure(serving(behaviour).url(), most=len(FILE) - 1)
        assert isinstance(failed, FileTooLarge)
        assert not failed.passing


def test_of_a_file_that_says_itself_too_large_nothing_is_read(serving: Serving) -> None:
    server = serving(receivers.huge)
    assert isinstance(failure(server.url()), FileTooLarge)
    server.closing.set()
    assert server.sent_bytes < 16 * 2**20


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x"])
def test_what_is_compressed_on_its_way_is_refused(serving: Serving, coding: str) -> None:
    failed = failure(serving(give(FILE, content_encoding=coding)).url())
    assert "compressed" in failed.reason
    assert not failed.passing
    assert fetched(serving(give(FILE, content_encoding="Identity")).url()) == FILE


@pytest.mark.parametrize("behaviour", [receivers.drip_headers, receivers.drip_body, receivers.hang])
def test_a_server_that_drips_or_hangs_has_as_long_as_any(
    serving: Serving, behaviour: Behaviour
) -> None:
    failed = failure(serving(behaviour).url(), fetcher(total=0.3))
    assert (failed.reason, failed.passing) == ("timed out while waiting for the answer", True)


def test_a_read_that_brings_nothing_ends_before_the_whole_fetch_must(serving: Serving) -> None:
    failed = failure(serving(receivers.hang).url(), fetcher(total=3600.0, read=0.2))
    assert (failed.reason, failed.passing) == ("timed out while waiting for the answer", True)


@pytest.mark.timeout(30)
def test_who_is_told_to_stop_in_the_middle_does_not_wait_for_a_server_that_hangs(
    serving: Serving,
) -> None:
    stopped = threading.Event()

    def hang(receiver: Receiver, request: receivers.BaseHTTPRequestHandler) -> None:
        stopped.set()
        receivers.hang(receiver, request)

    deadline = Deadline(lambda: 0.0 if stopped.is_set() else 3600.0)
    patient, url = fetcher(total=3600.0, read=3600.0), serving(hang).url()
    with pytest.raises(FetchFailed), patient.fetch("caller", url, MOST, deadline):
        pass
    assert stopped.is_set()


def interim(receiver: Receiver, request: receivers.BaseHTTPRequestHandler) -> None:
    """Interim answers without end."""
    while not receiver.closing.is_set():
        request.wfile.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 1000)


def crumbs(receiver: Receiver, request: receivers.BaseHTTPRequestHandler) -> None:
    """A body in chunks of one byte, each with a long extension."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"1;" + b"x" * 500 + b"\r\na\r\n"
    while not receiver.closing.is_set():
        request.wfile.write(chunk * 100)


@pytest.mark.parametrize("behaviour", [interim, crumbs])
def test_what_comes_beside_the_file_is_bounded_too(serving: Serving, behaviour: Behaviour) -> None:
    failed = failure(serving(behaviour).url(), fetcher(overhead=50_000), most=1000)
    assert failed.reason == "the server sends too much beside the file itself"


@pytest.mark.parametrize(
    "behaviour",
    [
        receivers.nonsense,
        receivers.reset,
        receivers.cut_off,
        receivers.raw(b""),
        receivers.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort"),
        receivers.raw(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000),
    ],
)
def test_a_broken_answer_is_passing(serving: Serving, behaviour: Behaviour) -> None:
    assert failure(serving(behaviour).url()).passing


def test_a_host_without_an_address_or_a_listener_is_passing() -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("unknown")

    failed = failure("https://nowhere.example/", fetcher(nobody))
    assert (failed.reason, failed.passing) == ("the host name could not be resolved", True)
    with Receiver() as closed:
        url = closed.url()
    failed = failure(url)
    assert (failed.reason, failed.passing) == ("connection refused", True)


def test_a_name_server_that_is_silent_is_waited_for_no_longer_than_a_connection() -> None:
    silent = threading.Event()

    def resolver(host: str, port: int) -> Sequence[str]:
        silent.wait(20)
        return ["127.0.0.1"]

    try:
        failed = failure("https://slow.example/", fetcher(resolver, connect=0.2))
    finally:
        silent.set()
    assert (failed.reason, failed.passing) == ("the host name was not resolved in time", True)


def test_what_the_reader_raises_is_not_laid_at_the_server_s_door(serving: Serving) -> None:
    def read(url: str) -> None:
        with fetcher().fetch("caller", url, MOST, HOUR) as chunks:
            next(chunks)
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        read(serving(give(FILE)).url())


def test_a_fetch_lasts_no_longer_than_its_invocation(serving: Serving) -> None:
    def read(url: str) -> bytes:
        with fetcher(total=60.0).fetch("caller", url, MOST, Deadline.after(0.2)) as chunks:
            return b"".join(chunks)

    with pytest.raises(FetchFailed, match="timed out"):
        read(serving(receivers.hang).url())
