"""The server of the page: who gets nothing, what is refused, and what is given."""

from __future__ import annotations

import http.client
import io
import json
import threading
import urllib.error
import urllib.request

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.color import rgb2lab

from tests.systems.guided_colorization.made import make_model, write_scene
from tests.waiting import wait_for
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.systems.guided_colorization.page import serve as serving
from unpaired.systems.guided_colorization.page import studio
from unpaired.systems.guided_colorization.page.serve import check_model, start

POINT = {"x": 60, "y": 40, "size_px": 5, "a": 30, "b": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("page")
    write_scene(path / "a.png")
    return path


@pytest.fixture(scope="module")
def model(folder):
    return make_model(folder / "model.safetensors")


@pytest.fixture(scope="module")
def page(folder, model):
    started = start([folder / "a.png"], model, device="cpu", precision="fp32")
    started.start_in_background()
    yield started
    started.shutdown()
    started.close()


def post(page, name, content, headers=None):
    """Return the status and the decoded answer."""
    is_file = isinstance(content, bytes)
    kind = "application/octet-stream" if is_file else "application/json"
    body = content if is_file else json.dumps(content).encode()
    request = urllib.request.Request(
        page.address + name, body, {"Content-Type": kind} | (headers or {}), method="POST"
    )
    try:
        with urllib.request.urlopen(request) as answer:
            found = answer.read()
            status = answer.status
    except urllib.error.HTTPError as error:
        found, status = error.read(), error.code
    try:
        return status, json.loads(found)
    except ValueError:
        return status, found


def wish(**more):
    return {"picture": 0, "page": "p", "turn": 1, "points": [POINT]} | more


def raw(page, method, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", page.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_who_does_not_know_the_token_or_comes_from_elsewhere_gets_nothing(page):
    host = f"127.0.0.1:{page.server_port}"
    own = f"/{page.token}/"
    assert page.server_address[0] == "127.0.0.1"
    assert raw(page, "GET", own, {"Host": host})[0] == 200
    for path, headers in (
        ("/", {"Host": host}),
        ("/other/", {"Host": host}),
        (f"/{page.token}x/", {"Host": host}),
        (own, {"Host": "example.org"}),
        (own, {}),
        (own, {"Host": host, "Origin": "http://example.org"}),
    ):
        status, _, body = raw(page, "GET", path, headers)
        assert status == 403
        assert b"<html" not in body
    assert raw(page, "GET", own + "nothing", {"Host": host})[0] == 404


def test_the_page_may_load_nothing_from_anywhere(page):
    status, headers, body = raw(
        page, "GET", f"/{page.token}/", {"Host": f"localhost:{page.server_port}"}
    )
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">'.encode() in body
    assert b"http://" not in body
    assert b"https://" not in body


@pytest.mark.parametrize("length", ["-1", "x", str(10**12)])
def test_what_is_too_long_is_refused_before_it_is_read(page, length):
    headers = {
        "Host": f"127.0.0.1:{page.server_port}",
        "Content-Type": "application/json",
        "Content-Length": length,
    }
    status, answered, _ = raw(page, "POST", f"/{page.token}/color", headers)
    assert status in (411, 413)
    assert answered["Connection"] == "close"


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("color", b"{}", 415),
        ("upload", {"a": 1}, 415),
        ("color", [1], 400),
        ("color", {"picture": "0"}, 400),
        ("color", {"picture": True}, 400),
        ("color", wish(picture=99), 404),
        ("color", wish(picture="../a.png"), 400),
        ("color", wish(query=[1]), 400),
        ("color", wish(query=[1, 1000]), 400),
        ("color", wish(temperature=-1), 422),
        ("color", wish(temperature="warm"), 400),
        ("color", wish(points=[POINT | {"x": 9999}]), 422),
        ("color", wish(points=[{}]), 422),
        ("result", wish(kind="exe"), 422),
        ("check", {"picture": 0, "content": 7}, 422),
    ],
)
def test_nonsense_is_told_in_one_line(page, name, content, status):
    found, told = post(page, name, content)
    assert found == status
    assert told["error"]
    assert "\n" not in told["error"]


def test_a_picture_that_is_none_or_too_large_is_refused_and_not_kept(page, monkeypatch):
    before = len(page.studio.entries)
    status, told = post(page, "upload", b"no picture", {"X-File-Name": "..%2F..%2Fevil.png"})
    assert status == 422
    assert told["error"].startswith("evil.png: not a PNG")
    monkeypatch.setattr(studio, "PIXELS_MAX", 100)
    buffer = io.BytesIO()
    Image.new("L", (20, 20)).save(buffer, "PNG")
    status, told = post(page, "upload", buffer.getvalue(), {"X-File-Name": "large.png"})
    assert (status, "20 x 20 pixels" in told["error"]) == (422, True)
    assert len(page.studio.entries) == before


def picture_of(uri):
    import base64

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_colors_depend_on_the_points_and_suggestions_come_with_a_place(page):
    _, plain = post(page, "color", wish(points=[]))
    _, told = post(page, "color", wish(turn=2, query=[40, 60]))
    assert "suggestions" not in plain
    assert plain["result"] != told["result"]
    assert told["suggestions"][0]["kind"] == "current"
    assert 2 <= len(told["suggestions"]) <= 10
    assert len(told["colors"]) == 1
    assert picture_of(told["result"]).shape == (96, 128, 3)  # Nothing is enlarged.
    plane = picture_of(told["gamut"])
    assert plane.shape == (111, 111, 4)
    assert plane[55, 55, 3] == 255  # Gray is always there.
    assert plane[0, 0, 3] == 0


def test_an_overtaken_turn_is_not_computed(page, monkeypatch):
    begun, go_on, computed = threading.Event(), threading.Event(), []
    original = studio.Studio._predicted

    def slow(self, opened, wish):
        computed.append(len(wish.points))
        begun.set()
        go_on.wait(10)
        return original(self, opened, wish)

    monkeypatch.setattr(studio.Studio, "_predicted", slow)
    found = {}

    def ask(turn, points):
        found[turn] = page.studio.color("tab", turn, 0, studio.Wish(points))

    threads = [threading.Thread(target=ask, args=(1, ()))]
    threads[0].start()
    assert begun.wait(10)
    point = studio.Point(**POINT)
    for turn, points in ((2, (point,)), (3, (point, point))):
        threads.append(threading.Thread(target=ask, args=(turn, points)))
        threads[-1].start()
        wait_for(lambda turn=turn: page.studio._latest["tab"] >= turn)
    go_on.set()
    for thread in threads:
        thread.join()
    assert found[2] is None
    assert found[3] is not None
    assert computed == [0, 2]


@pytest.mark.parametrize("kind", ["png8", "png16", "tiff8", "tiff16", "own"])
def test_downloads_have_the_size_and_lightness_of_the_picture(page, folder, kind):
    status, content = post(page, "result", wish(kind=kind))
    assert status == 200
    decode = tifffile.imread if kind.startswith("tiff") else imagecodecs.png_decode
    found = decode(io.BytesIO(content) if kind.startswith("tiff") else content)
    assert found.dtype == (np.uint16 if kind.endswith("16") else np.uint8)
    truth = np.asarray(Image.open(folder / "a.png"))
    assert found.shape == truth.shape
    lightness = [rgb2lab(one)[..., 0] for one in (truth, found)]
    assert np.abs(lightness[0] - lightness[1]).max() < 1
    assert (
        np.abs(found.astype(int) - truth.astype(int) * (257 if kind.endswith("16") else 1)).max()
        > 5
    )


def test_a_turned_photograph_is_shown_upright_and_comes_back_as_it_lies(folder, model):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    write_scene(folder / "turned.jpg", exif=exif, quality=95)
    working = studio.Studio(model, "cpu", "fp32")
    working.add([folder / "turned.jpg"])
    about = working.describe(0)
    assert (about["width"], about["height"]) == (96, 128)
    # A point of the upright picture's upper right corner lies in the stored one's upper left.
    point = studio.Point(x=90, y=5, size_px=9, a=60, b=40)
    name, content = working.result(0, studio.Wish((point,)), "own")
    assert name == "turned_colored.jpg"
    image = Image.open(io.BytesIO(content))
    assert image.size == (128, 96)
    assert (image.getexif()[0x0112], image.getexif()[0x010F]) == (6, "a camera")
    upright = working.result(0, studio.Wish((point,)), "png8")[1]
    turned = np.rot90(imagecodecs.png_decode(upright))
    assert np.abs(turned.astype(int) - np.asarray(image)).mean() < 4
    working.close()


def test_points_are_never_overwritten_without_being_asked(page, folder):
    kept = folder / "a.png.points.json"
    kept.unlink(missing_ok=True)
    assert post(page, "save", wish())[1] == {"saved": "a.png.points.json"}
    first = kept.read_text()
    assert post(page, "save", wish(points=[]))[1] == {"saved": None}
    assert kept.read_text() == first
    assert post(page, "open", {"picture": 0})[1]["points"] == [POINT]
    assert post(page, "save", wish(points=[], overwrite=True))[1]["saved"]
    assert json.loads(kept.read_text())["points"] == []
    kept.write_text("{")
    assert "not JSON" in post(page, "open", {"picture": 0})[1]["note"]
    kept.unlink()


def test_models_without_hints_and_taken_ports_are_told(folder, page, tmp_path):
    save_model(tmp_path / "c.safetensors", "colorization", create("colorization", width=2))
    with pytest.raises(UnpairedError, match="takes no hints; name one of"):
        check_model(tmp_path / "c.safetensors")
    drawn = make_model(tmp_path / "d.safetensors", train_set="color_scenes_train")
    assert "drawn scenes only" in check_model(drawn)
    assert "import-weights local_hints" in check_model(drawn)
    with pytest.raises(UnpairedError, match="leave --port out"):
        start([], drawn, port=page.server_port, device="cpu")


def test_one_command_serves_until_it_is_interrupted(folder, model, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(serving.webbrowser, "open", opened.append)
    monkeypatch.setattr(
        serving.Page, "serve_forever", lambda self: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    serving.serve([folder], model, device="cpu", precision="fp32")
    printed = capsys.readouterr().out
    assert opened[0] in printed
    assert "ended" in printed
