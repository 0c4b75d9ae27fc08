"""Copies for looking at: made in the background, served like the file, never trained on."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import psycopg
import pytest
from django.db import connection
from django.test import Client
from PIL import Image, ImageCms

from steelyard.assets import making, runner
from steelyard.assets.blobs import blob_path
from steelyard.assets.models import Asset, Rendition
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from tests.assets.media import decoded, picture, pixels, video
from tests.factories import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_turn_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is long in making one copy, and the next would wait for another turn."""
    monkeypatch.setattr(runner, "_TURN_SECONDS", 600)


def made(asset: Asset) -> dict[str, Rendition]:
    """Everything pending made, as the task makes it; the asset's copies by kind."""
    assert runner.make_pending() is False
    asset.refresh_from_db()
    return {rendition.kind: rendition for rendition in asset.renditions.all()}


def bytes_of(rendition: Rendition) -> bytes:
    return blob_path(rendition.sha256).read_bytes()


def test_it_works(project: Any) -> None:
    asset = store_upload(project=project, data=video(frames=30, rate=12, width=1600, height=900))
    assert (asset.renditions_state, asset.poster_url) == ("pending", "")
    assert asset.playable_url == asset.url

    copies = made(asset)

    assert asset.renditions_state == "ready"
    assert asset.playable_url == f"{asset.url}/proxy"
    assert asset.poster_url == f"{asset.url}/poster"
    assert asset.preview_url == asset.url
    proxy, poster = copies["proxy"], copies["poster"]
    assert (proxy.mime, proxy.width, proxy.height) == ("video/mp4", 1280, 720)
    assert (proxy.frame_rate, proxy.duration) == (12, pytest.approx(2.5, abs=0.01))
    assert (poster.mime, poster.width, poster.height) == ("image/webp", 1280, 720)
    assert proxy.size == len(bytes_of(proxy))


def test_a_proxy_steps_and_seeks_quickly_and_names_no_maker(project: Any) -> None:
    asset = store_upload(project=project, data=video("webm", "libvpx-vp9", frames=40, rate=10))

    data = bytes_of(made(asset)["proxy"])

    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams.video
        frames = list(container.decode(stream))
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    times = [frame.time for frame in frames]
    keys = [frame.time for frame in frames if frame.key_frame]
    assert times == [pytest.approx(n / 10) for n in range(40)]
    assert max(b - a for a, b in pairwise(keys)) <= 0.5
    assert data.index(b"moov") < data.index(b"mdat")
    for word in (b"x264", b"Lavc", b"Lavf"):
        assert word not in data


def test_uneven_frames_are_put_on_an_even_grid(project: Any) -> None:
    """Every second frame of the first half is missing: a player holds the one before it."""
    packed = io.BytesIO()
    kept = [*range(0, 12, 2), *range(12, 24)]
    with av.open(packed, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in kept:
            shade = np.full((48, 64, 3), 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(shade, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    asset = store_upload(project=project, data=packed.getvalue())

    proxy = made(asset)["proxy"]

    shown = decoded(bytes_of(proxy))
    assert [time for time, _ in shown] == [pytest.approx(n / 12, abs=0.001) for n in range(24)]
    assert (proxy.frame_rate, proxy.duration) == (12, pytest.approx(2.0, abs=0.01))
    assert asset.playable_frame_rate == 12
    assert asset.frame_rate is not None
    assert asset.frame_rate < 12
    shades = [frame[0] for _, frame in shown]
    assert shades[2] == pytest.approx(shades[3], abs=2)
    assert shades[13] - shades[12] > 4


def test_sound_stays(project: Any) -> None:
    packed = io.BytesIO()
    with av.open(packed, "w", format="mp4") as container:
        picture_stream = container.add_stream("libx264", rate=10)
        sound = container.add_stream("aac", rate=44_100)
        picture_stream.width, picture_stream.height = 64, 48
        picture_stream.pix_fmt = "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(pixels(64, 48), format="rgb24")
            container.mux(picture_stream.encode(frame))
        wave = np.sin(np.arange(44_100) / 20).astype(np.float32)[None]
        tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        tone.sample_rate = 44_100
        for stream, given in ((picture_stream, None), (sound, tone), (sound, None)):
            container.mux(stream.encode(given))
    asset = store_upload(project=project, data=packed.getvalue())

    data = bytes_of(made(asset)["proxy"])

    with av.open(io.BytesIO(data)) as container:
        (heard,) = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(heard))
    assert samples / 48_000 == pytest.approx(1.0, abs=0.1)


def test_a_large_picture_gets_a_preview_and_a_small_one_none(project: Any) -> None:
    large = store_upload(project=project, data=picture("PNG", width=2000, height=1000))
    small = store_upload(project=project, data=picture("PNG", width=1600, height=1600))
    assert (small.renditions_state, small.preview_url) == ("ready", small.url)

    (preview,) = made(large).values()

    assert (preview.kind, preview.mime) == ("preview", "image/webp")
    assert (preview.width, preview.height) == (1600, 800)
    assert large.preview_url == f"{large.url}/preview"
    assert not small.renditions.exists()
    Asset.objects.update(renditions_state="pending")  # as rows of earlier are
    assert made(small) == {}
    assert small.renditions_state == "ready"


def test_a_preview_is_upright_and_in_the_colours_of_its_profile(project: Any) -> None:
    """A profile in which red and green change places shows whether anybody reads it."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = lab.index(b"rXYZ"), lab.index(b"gXYZ")
    changed = bytearray(lab)
    changed[red : red + 4], changed[green : green + 4] = b"gXYZ", b"rXYZ"
    image = Image.new("RGB", (2000, 1200), (200, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=95, icc_profile=bytes(changed), exif=exif)
    asset = store_upload(project=project, data=packed.getvalue())

    preview = made(asset)["preview"]

    assert (preview.width, preview.height) == (960, 1600)
    with Image.open(io.BytesIO(bytes_of(preview))) as shown:
        r, g, _ = shown.convert("RGB").getpixel((500, 500))
    assert g > 150 > 80 > r


def test_transparency_stays_and_an_animation_gets_no_preview(project: Any) -> None:
    clear, moving = io.BytesIO(), io.BytesIO()
    Image.new("RGBA", (1700, 10), (9, 9, 9, 0)).save(clear, "PNG")
    frames = [Image.new("RGB", (1700, 10), shade) for shade in ("red", "blue")]
    frames[0].save(moving, "WEBP", save_all=True, append_images=frames[1:], duration=50)
    assets = [store_upload(project=project, data=d.getvalue()) for d in (clear, moving)]

    with Image.open(io.BytesIO(bytes_of(made(assets[0])["preview"]))) as shown:
        assert shown.convert("RGBA").getpixel((0, 0))[3] == 0
    assert made(assets[1]) == {}
    assert assets[1].renditions_state == "ready"


def test_the_same_file_in_another_project_is_not_encoded_again(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(store_upload(project=project, data=video()))
    monkeypatch.setattr(runner, "_in_a_process", lambda *_: pytest.fail("encoded again"))
    second = made(store_upload(project=make_project(), data=video()))

    assert {k: r.sha256 for k, r in first.items()} == {k: r.sha256 for k, r in second.items()}
    assert Rendition.objects.count() == 4


def test_what_cannot_be_copied_is_shown_itself_and_says_why(
    project: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = store_upload(project=project, data=video())
    blob_path(lost.sha256).write_bytes(b"\x00" * 100)
    slow = store_upload(project=project, data=video(frames=120, width=640, height=480))

    assert made(lost) == {}
    assert lost.renditions_state == "failed"
    assert "cannot be decoded" in lost.renditions_problem
    assert lost.playable_url == lost.url
    Asset.objects.filter(pk=slow.pk).update(renditions_state="pending", renditions_tries=0)
    Rendition.objects.all().delete()
    monkeypatch.setattr(runner, "TIME_LIMIT", 0.2)
    assert made(slow) == {}
    assert "longer than" in slow.renditions_problem
    assert not list(settings.BLOBS_DIR.glob(".renditions-*"))


def test_a_making_that_is_killed_is_begun_again_three_times(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = store_upload(project=project, data=video())
    real = runner.subprocess.Popen
    killed = []

    def start_and_kill(command: list[str], **options: Any) -> Any:
        process = real(command, **options)
        killed.append(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        return process

    monkeypatch.setattr(runner.subprocess, "Popen", start_and_kill)
    assert made(asset) == {}

    assert len(set(killed)) == 3
    assert asset.renditions_state == "failed"
    assert "3 times" in asset.renditions_problem


def test_a_making_has_limits_of_memory_and_time() -> None:
    asked = (
        "import resource; from steelyard.assets.making import limit_myself; limit_myself(); "
        "print(*(resource.getrlimit(r)[0] for r in (resource.RLIMIT_AS, resource.RLIMIT_CPU)))"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert said.stdout.split() == [str(making.MEMORY_BYTES), str(making.CPU_SECONDS)]


def test_only_one_worker_makes_them_at_a_time(project: Any) -> None:
    asset = store_upload(project=project, data=video())
    known = connection.get_connection_params()
    told = {name: known[name] for name in ("host", "user", "dbname", "port") if name in known}
    with psycopg.connect(**told, autocommit=True) as another:
        another.execute("select pg_advisory_lock(%s)", [runner._LOCK])
        assert made(asset) == {}
        # a connection that is closed keeps its locks until the server has seen it
        another.execute("select pg_advisory_unlock(%s)", [runner._LOCK])
    assert asset.renditions_tries == 0
    assert set(made(asset)) == {"poster", "proxy"}


def test_copies_are_for_those_who_may_see_the_file(
    as_user: Callable[[Any], Client], project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    asset = store_upload(project=project, data=video())
    copies = made(asset)
    places = [
        asset.playable_url,
        f"/api/v1/projects/{project.slug}/assets/{asset.sha256}/renditions/proxy",
    ]
    for place in places:
        for user in (owner, member):
            response = as_user(user).get(place, headers={"range": "bytes=4-7"})
            assert response.status_code == 206
            assert b"".join(response.streaming_content) == b"ftyp"
            assert response["ETag"] == f'"{copies["proxy"].sha256}"'
            assert "immutable" in response["Cache-Control"]
        assert as_user(stranger).get(place).status_code == 404
        assert as_user(owner).get(place.replace("proxy", "preview")).status_code == 404
    assert Client().get(asset.playable_url).status_code == 302


def test_the_api_tells_of_copies(
    as_user: Callable[[Any], Client], project: Any, owner: Any
) -> None:
    asset = store_upload(project=project, data=video())
    made(asset)
    place = f"/api/v1/projects/{project.slug}/assets/{asset.sha256}"

    answer = as_user(owner).get(place).json()

    assert answer["renditions_state"] == "ready"
    assert [one["kind"] for one in answer["renditions"]] == ["poster", "proxy"]
    assert answer["renditions"][1]["url"] == asset.playable_url


def test_urls_of_many_ask_the_database_twice(project: Any, django_assert_num_queries: Any) -> None:
    for frames in (3, 4, 5):
        made(store_upload(project=project, data=video(frames=frames)))

    with django_assert_num_queries(2):
        rows = Asset.objects.select_related("project").with_renditions()
        urls = [url for asset in rows for url in (asset.playable_url, asset.poster_url)]
    assert len(set(urls)) == 6


def test_a_hostile_timestamp_is_no_endless_proxy(tmp_path: Any) -> None:
    packed = io.BytesIO()
    with av.open(packed, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pts in (0, 1, 60 * 3600 * 24):
            frame = av.VideoFrame.from_ndarray(pixels(64, 48), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 60)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = tmp_path / "source"
    source.write_bytes(packed.getvalue())

    with pytest.raises(UserError, match=r"frames|decoded"):
        making.make("video", source, tmp_path)
