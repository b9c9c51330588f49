"""Endings and media types: one table, read from both sides."""

from __future__ import annotations

import mimetypes

import pytest

from shared.buckets.names import MEDIA_TYPES, check_media_type, extension, media_type_of


@pytest.mark.parametrize("media_type", sorted(set(MEDIA_TYPES.values())))
def test_what_is_named_after_a_media_type_is_stored_with_it(
    media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the machine's own table says, or does not say.
    monkeypatch.setattr(mimetypes, "guess_extension", lambda _: ".other")
    name = f"model{extension(media_type)}"
    assert media_type_of(name) == media_type
    assert check_media_type(name, media_type) == media_type


def test_a_picture_of_the_commonest_kind_has_its_commonest_ending() -> None:
    assert extension("image/jpeg") == ".jpg"


def test_a_type_of_no_ending_is_just_bytes() -> None:
    assert extension("model/x-unheard-of") == ".bin"
    assert media_type_of("model.bin") == "application/octet-stream"
