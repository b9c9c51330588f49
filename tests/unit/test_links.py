"""Permanent links: a signature holds for its one file of its one job, and never expires.

测试永久链接的签名。
"""

from __future__ import annotations

import re
import string
from urllib.parse import parse_qs, urlsplit

from hypothesis import assume, given
from hypothesis import strategies as st

from shared.links import Links

LINKS = Links("https://maquette.example", b"link-secret-of-thirty-two-characters")
OTHERS = Links("https://maquette.example", b"link-secret-of-thirty-two-charactery")
WRITTEN = string.ascii_letters + string.digits + "._-"

ids = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)
names = st.text(WRITTEN, min_size=1, max_size=40)
anything = st.text(max_size=40)


def signature(links: Links, job_id: str, name: str) -> str:
    return parse_qs(urlsplit(links.artifact(job_id, name)).query)["signature"][0]


@given(ids, names)
def test_a_signature_holds_for_its_job_and_name(job_id: str, name: str) -> None:
    signed = signature(LINKS, job_id, name)
    assert LINKS.allows(job_id, name, signed)
    assert signature(LINKS, job_id, name) == signed


@given(ids, names, ids, names)
def test_a_signature_holds_for_nothing_else(
    job_id: str, name: str, other_id: str, other_name: str
) -> None:
    assume((job_id, name) != (other_id, other_name))
    assert not LINKS.allows(other_id, other_name, signature(LINKS, job_id, name))


@given(ids, names, st.data())
def test_where_the_id_ends_and_the_name_begins_is_signed_as_well(
    job_id: str, name: str, data: st.DataObject
) -> None:
    whole = job_id + name
    cut = data.draw(st.integers(0, len(whole)).filter(lambda place: place != len(job_id)))
    assert not LINKS.allows(whole[:cut], whole[cut:], signature(LINKS, job_id, name))


@given(ids, names, st.data())
def test_a_signature_that_was_tampered_with_never_holds(
    job_id: str, name: str, data: st.DataObject
) -> None:
    signed = signature(LINKS, job_id, name)
    place = data.draw(st.integers(0, len(signed) - 1))
    letter = data.draw(st.characters(exclude_characters=signed[place], exclude_categories=["Cs"]))
    for tampered in (
        signed[:place] + letter + signed[place + 1 :],
        signed[:place] + signed[place + 1 :],
        signed[:place] + letter + signed[place:],
        signed[:place],
        signed + letter,
        signed.swapcase(),
    ):
        assert tampered == signed or not LINKS.allows(job_id, name, tampered)


@given(ids, names, anything)
def test_no_guess_holds(job_id: str, name: str, guess: str) -> None:
    assume(guess != signature(LINKS, job_id, name))
    assert not LINKS.allows(job_id, name, guess)


@given(ids, names)
def test_another_deployments_signature_does_not_hold(job_id: str, name: str) -> None:
    assert not LINKS.allows(job_id, name, signature(OTHERS, job_id, name))


@given(ids, names)
def test_links_of_an_older_secret_still_open_and_the_first_one_signs(
    job_id: str, name: str
) -> None:
    rotated = Links(LINKS.base_url, OTHERS.secret, older=[b"another", LINKS.secret])
    assert rotated.allows(job_id, name, signature(LINKS, job_id, name))
    assert rotated.artifact(job_id, name) == OTHERS.artifact(job_id, name)
    assert not LINKS.allows(job_id, name, signature(rotated, job_id, name))
    assert "secret" not in repr(rotated)


@given(ids, names)
def test_a_link_needs_no_escaping_and_does_not_hold_the_secret(job_id: str, name: str) -> None:
    link = LINKS.artifact(job_id, name)
    path = f"https://maquette.example/api/v1/jobs/{job_id}/artifacts/{name}"
    assert re.fullmatch(re.escape(path) + r"\?signature=[A-Za-z0-9_-]{24}", link)
    assert "link-secret" not in repr(LINKS)


def test_the_links_of_today_are_those_of_yesterday() -> None:
    # A link once given to somebody must work for years: this one may never change.
    assert LINKS.artifact("01JD8G8T3M7XQ4S9Z2V5W6Y1AB", "model.glb") == (
        "https://maquette.example/api/v1/jobs/01JD8G8T3M7XQ4S9Z2V5W6Y1AB/artifacts/model.glb"
        "?signature=ejhT8WNgj89tiRf0n6WLNbqw"
    )


def test_a_job_has_one_address_with_what_hangs_below_it() -> None:
    assert LINKS.job("A") == "https://maquette.example/api/v1/jobs/A"
    assert LINKS.job("A", "/cancel") == "https://maquette.example/api/v1/jobs/A/cancel"
