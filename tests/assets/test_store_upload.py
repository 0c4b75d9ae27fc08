"""Bringing a file in: told by its bytes, kept once, without what its maker wrote into it."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from PIL import Image

from steelyard.assets import images, probing, services, videos
from steelyard.assets.models import Asset
from steelyard.assets.services import blob_path, store_upload
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex
from tests.assets.media import SECRET, decoded, picture, pixels, video
from tests.factories import make_project

FORMS = ["PNG", "JPEG", "WEBP"]


def kept(asset: Asset) -> bytes:
    return blob_path(asset.sha256).read_bytes()


def test_it_works(project: Any) -> None:
    asset = store_upload(project=project, data=picture("PNG"))

    assert (asset.kind, asset.mime) == ("image", "image/png")
    assert (asset.width, asset.height) == (32, 20)
    assert asset.size == len(kept(asset))
    assert asset.sha256 == sha256_hex(kept(asset))
    assert asset.url == f"/assets/{project.slug}/{asset.sha256}"


def test_a_video_is_measured(project: Any) -> None:
    asset = store_upload(project=project, data=video("mp4", frames=30, rate=10))

    assert (asset.kind, asset.mime) == ("video", "video/mp4")
    assert (asset.width, asset.height) == (64, 48)
    assert asset.duration == pytest.approx(3.0, abs=0.05)
    assert asset.frame_rate == pytest.approx(10.0)


def test_a_turned_video_stays_turned(project: Any) -> None:
    """A telephone writes how it was held into the track's matrix and leaves the pixels alone."""
    given = video("mp4")
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    at = given.index(b"tkhd") + 44
    assert struct.unpack_from(">i", given, at) == (1 << 16,)
    turned = given[:at] + quarter + given[at + 36 :]

    asset = store_upload(project=project, data=turned)

    assert (asset.width, asset.height) == (48, 64)
    data = kept(asset)
    assert data[data.index(b"tkhd") :].find(quarter) == 44


def test_webm_stays_webm(project: Any) -> None:
    asset = store_upload(project=project, data=video("webm", "libvpx-vp9"))

    assert asset.mime == "video/webm"
    assert asset.duration == pytest.approx(2.0, abs=0.1)


def test_path_bytes_and_stream_are_the_same_file(project: Any, tmp_path: Path) -> None:
    data = picture("JPEG")
    path = tmp_path / "named-wrongly.txt"
    path.write_bytes(data)

    assets = {store_upload(project=project, data=d).pk for d in (path, data, io.BytesIO(data))}

    assert len(assets) == 1


def test_two_projects_share_the_bytes_and_not_the_row(project: Any) -> None:
    other = make_project()
    first, second = (store_upload(project=p, data=picture()) for p in (project, other))

    assert first.pk != second.pk
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_loses_its_makers_words_and_no_pixel(project: Any, form: str) -> None:
    given = picture(form)
    assert SECRET.encode() in given or form == "PNG"

    data = kept(store_upload(project=project, data=given))

    with Image.open(io.BytesIO(data)) as image:
        assert not dict(image.getexif())
        assert SECRET not in str(image.info)
    assert SECRET.encode() not in data
    before, after = (np.asarray(Image.open(io.BytesIO(d)).convert("RGB")) for d in (given, data))
    assert np.array_equal(before, after)


@pytest.mark.parametrize("form", FORMS)
def test_a_turned_picture_stays_turned(project: Any, form: str) -> None:
    asset = store_upload(project=project, data=picture(form, orientation=6))

    assert (asset.width, asset.height) == (20, 32)
    with Image.open(blob_path(asset.sha256)) as image:
        assert dict(image.getexif()) == {0x0112: 6}


def test_pictures_that_differ_by_metadata_alone_are_one(project: Any) -> None:
    first = store_upload(project=project, data=picture("PNG", secret="model one"))
    second = store_upload(project=project, data=picture("PNG", secret="model two"))

    assert first == second


def test_what_stands_after_the_end_of_a_picture_is_dropped(project: Any) -> None:
    for form in ("PNG", "JPEG"):
        asset = store_upload(project=project, data=picture(form) + SECRET.encode())
        assert SECRET.encode() not in kept(asset)


def test_a_progressive_jpeg_keeps_all_its_scans(project: Any) -> None:
    packed = io.BytesIO()
    Image.fromarray(pixels(200, 120)).save(packed, "JPEG", progressive=True, comment=b"words")

    data = kept(store_upload(project=project, data=packed.getvalue()))

    before = np.asarray(Image.open(packed))
    assert np.array_equal(before, np.asarray(Image.open(io.BytesIO(data))))


def test_transparency_and_colour_profile_stay(project: Any) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgba = np.dstack([pixels(), np.full((20, 32), 90, np.uint8)])
    for form in ("PNG", "WEBP"):
        packed = io.BytesIO()
        Image.fromarray(rgba).save(packed, form, icc_profile=profile, lossless=True)
        data = kept(store_upload(project=project, data=packed.getvalue()))
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode == "RGBA"
            assert image.info["icc_profile"] == profile


@pytest.mark.parametrize(("form", "codec"), [("mp4", "libx264"), ("webm", "libvpx-vp9")])
def test_a_video_loses_its_makers_words_and_no_frame(project: Any, form: str, codec: str) -> None:
    given = video(form, codec)
    assert SECRET.encode() in given

    data = kept(store_upload(project=project, data=given))

    for word in (SECRET.encode(), b"x264 - core", b"Lavc", b"libvpx"):
        assert word not in data
    assert decoded(given) == decoded(data)


def test_the_index_of_an_mp4_stands_in_front(project: Any) -> None:
    data = kept(store_upload(project=project, data=video("mp4")))

    assert data.index(b"moov") < data.index(b"mdat")


def test_a_kept_file_brought_in_again_is_the_same(project: Any) -> None:
    for given in [*(picture(form) for form in FORMS), video("mp4"), video("webm", "libvpx-vp9")]:
        asset = store_upload(project=project, data=given)
        assert store_upload(project=project, data=kept(asset)) == asset


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "no picture or video"),
        (b"GIF89a" + bytes(100), "GIF"),
        (b"%PDF-1.7" + bytes(100), "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\x00\x00\x00\x1cftypavif" + bytes(100), "AVIF"),
        (b"PK\x03\x04" + bytes(100), "ZIP"),
    ],
)
def test_what_is_no_media_is_named_and_told_what_is_wanted(
    project: Any, data: bytes, word: str
) -> None:
    with pytest.raises(UserError, match=word) as caught:
        store_upload(project=project, data=data)

    assert "PNG, JPEG or WebP" in caught.value.message
    assert caught.value.code == "not_media"
    assert caught.value.field == "file"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_picture_cut_off_is_refused(project: Any, form: str, share: float) -> None:
    given = picture(form, width=200, height=120)

    with pytest.raises(UserError) as caught:
        store_upload(project=project, data=given[: int(len(given) * share)])

    assert caught.value.code in {"damaged_media", "not_media"}


def test_a_video_cut_off_is_refused(project: Any) -> None:
    given = video("mp4")

    with pytest.raises(UserError) as caught:
        store_upload(project=project, data=given[: len(given) // 2])

    assert caught.value.code == "damaged_media"


def test_noise_behind_a_right_beginning_is_refused(project: Any) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    for given in (picture("PNG"), picture("JPEG"), picture("WEBP"), video("mp4")):
        with pytest.raises(UserError):
            store_upload(project=project, data=given[:40] + noise)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(project: Any) -> None:
    """20000 × 20000 pixels said by the header of a file of a few bytes."""
    header = (20000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    chunk = b"IHDR" + header
    body = zlib.compress(b"\x00" * 1000)
    given = b"\x89PNG\r\n\x1a\n"
    for part in (chunk, b"IDAT" + body, b"IEND"):
        given += (len(part) - 4).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big")

    with pytest.raises(UserError) as caught:
        store_upload(project=project, data=given)

    assert caught.value.code == "too_many_pixels"


def test_a_bomb_that_claims_to_be_turned_is_not_unpacked_either(project: Any) -> None:
    """EXIF may stand behind the pixels, and looking for it would unpack them."""
    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 6, 0, 0, 0)
    rows = zlib.compress(bytes(12_000 * 4 + 1) * 12_000, 1)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)

    started = time.process_time()
    with pytest.raises(UserError, match="12000 × 12000 pixels are too many"):
        store_upload(project=project, data=bomb + chunk(b"IEND", b""))

    assert time.process_time() - started < 0.5


def test_an_animation_of_too_many_frames_is_refused(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.new("RGB", (100, 100), (n, n, n)) for n in range(0, 250, 10)]
    for form in ("PNG", "WEBP"):
        packed = io.BytesIO()
        frames[0].save(packed, form, save_all=True, append_images=frames[1:], duration=40)
        assert store_upload(project=project, data=packed.getvalue()).kind == "image"
        with monkeypatch.context() as patch:
            patch.setattr(images, "MAX_MOVING_PIXELS", 200_000)
            with pytest.raises(UserError, match="25 frames of 100 × 100 pixels are too many"):
                store_upload(project=project, data=packed.getvalue())


def test_a_picture_with_a_gibibyte_of_packed_words_is_kept_without_them(project: Any) -> None:
    packer = zlib.compressobj(9, wbits=-15)  # the stream alone, so that a part can stand 64 times
    part = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (2**30 % 65521 << 16 | 1).to_bytes(4, "big")  # Adler's, of so many zeros
    words = b"\x78\xda" + part * 64 + packer.flush() + checksum
    given = picture("PNG")
    at = given.index(b"IDAT") - 4
    swollen = given[:at] + chunk(b"zTXt", b"prompt\x00\x00" + words) + given[at:]

    started = time.process_time()
    asset = store_upload(project=project, data=swollen)

    assert asset.sha256 == store_upload(project=project, data=given).sha256
    assert time.process_time() - started < 1


def test_a_video_of_absurd_length_or_size_is_refused(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = video("mp4", frames=12, rate=12)
    monkeypatch.setattr(videos, "MAX_SECONDS", 0.5)
    with pytest.raises(UserError, match="lasts"):
        store_upload(project=project, data=given)
    monkeypatch.setattr(probing, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UserError, match="64 × 48 pixels are too many"):
        store_upload(project=project, data=given)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def test_a_file_too_large_is_refused(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MAX_IMAGE_BYTES", 1000)

    with pytest.raises(UserError, match="larger than") as caught:
        store_upload(project=project, data=picture("PNG", width=400, height=300))

    assert caught.value.code == "too_large"


def test_a_video_that_browsers_do_not_play_is_refused(project: Any) -> None:
    with pytest.raises(UserError, match=r"mpeg4.*H\.264"):
        store_upload(project=project, data=video("mp4", "mpeg4"))


def test_a_refused_file_leaves_nothing_behind(project: Any, settings: Any) -> None:
    with pytest.raises(UserError):
        store_upload(project=project, data=picture("PNG")[:200])

    assert list(Path(settings.BLOBS_DIR).iterdir()) == []
    assert not Asset.objects.exists()


def test_the_project_may_be_rolled_back_without_harm(project: Any) -> None:
    from django.db import transaction

    with transaction.atomic():
        store_upload(project=project, data=picture())
        transaction.set_rollback(True)
    assert not Asset.objects.exists()

    assert store_upload(project=project, data=picture()).pk


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_row(project: Any) -> None:
    data = video("mp4")

    def store(_: int) -> int:
        try:
            return store_upload(project=project, data=data).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        rows = set(pool.map(store, range(8)))

    assert len(rows) == 1
    assert Asset.objects.count() == 1


def test_a_blob_that_is_there_is_left_alone(project: Any) -> None:
    path = blob_path(store_upload(project=project, data=picture()).sha256)
    os.utime(path, (1, 1))

    store_upload(project=project, data=picture())

    assert path.stat().st_mtime == 1
