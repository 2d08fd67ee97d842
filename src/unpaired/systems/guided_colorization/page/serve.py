"""The page of `unpaired ui`: Python's own HTTP server, on this machine alone.

Whoever does not know the token in the address gets nothing. Requests with another Host (a page
elsewhere whose name points at this machine) or another Origin are refused, bodies are limited
before they are read, and nothing that is sent names a path.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.hints import parse_points
from unpaired.imaging.finding import find_pictures
from unpaired.learning.seen_pictures import doubt_about
from unpaired.learning.weights import read_about
from unpaired.systems.guided_colorization.page.studio import KINDS, Missing, Studio, Wish

REMEDY = "unpaired import-weights local_hints FILE.pth (docs/hints.md says where it is)"
PAGE = Path(__file__).with_name("page.html")
LOOPBACK = "127.0.0.1"
JSON_BYTES_MAX = 2_000_000
UPLOAD_BYTES_MAX = 300_000_000
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def serve(
    pictures: Sequence[Path],
    model: Path,
    *,
    port: int = 0,
    open_browser: bool = True,
    device: str = "auto",
    precision: str = "auto",
) -> None:
    """Serve the page until it is interrupted.

    Raises UnpairedError, before anything is loaded, for a model that takes no hints, pictures that
    are not there, and a port that is taken.
    """
    doubt = check_model(model)
    found = find_pictures(pictures) if pictures else []
    page = start(found, model, port=port, device=device, precision=precision)
    print(f"{page.address}\nOpen this address in a browser of this machine; Ctrl-C ends it.")
    if doubt:
        print(f"warning: {doubt}", file=sys.stderr)
    sys.stdout.flush()
    if open_browser:
        webbrowser.open(page.address)
    try:
        page.serve_forever()
    except KeyboardInterrupt:
        print("ended")
    finally:
        page.close()


def check_model(model: Path) -> str:
    """Return what to doubt of a model's colors; raises UnpairedError if it takes no hints."""
    about = read_about(model)
    entry = catalog.methods().get(about["method"])
    if not (entry and entry.gives_colors_by):
        known = [name for name, one in catalog.methods().items() if one.gives_colors_by]
        raise UnpairedError(
            f"{model}: a model of '{about['method']}', which takes no hints; name one of "
            f"{', '.join(known)}"
        )
    return doubt_about(model, about, REMEDY)


def start(
    pictures: Sequence[Path],
    model: Path,
    *,
    port: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> Page:
    """Return a page that listens, and answers once its ``serve_forever`` is called.

    Raises UnpairedError for a bad model, and for a port that is taken.
    """
    studio = Studio(Path(model), device, precision)
    studio.add(pictures)
    try:
        return Page(port, studio, check_model(model))
    except OSError as error:
        studio.close()
        raise UnpairedError(
            f"port {port}: {(error.strerror or str(error)).lower()}; leave --port out"
        ) from None


class Page(ThreadingHTTPServer):
    """The server; ``token`` is part of every address that it answers."""

    daemon_threads = True

    def __init__(self, port: int, studio: Studio, doubt: str) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.studio, self.doubt = studio, doubt
        self.token = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """What a browser of this machine may call it."""
        return tuple(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))

    def start_in_background(self) -> threading.Thread:
        """Answer in another thread; for tests and notebooks."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Stop listening, and remove what was sent."""
        self.server_close()
        self.studio.close()


class Refused(Exception):
    """An answer that is none."""

    def __init__(self, status: HTTPStatus, message: str = "") -> None:
        super().__init__(message or status.phrase)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One request. What goes wrong is told as JSON with one line under "error"."""

    server: Page
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Give the page, or what it begins with."""
        self._answer({"": self._page, "state": self._state})

    def do_POST(self) -> None:
        """Do what the page asks for."""
        self._answer(
            {
                "open": self._open,
                "color": self._color,
                "check": self._check,
                "save": self._save,
                "result": self._result,
                "upload": self._upload,
                "reference": self._reference,
            }
        )

    def log_message(self, *_: Any) -> None:
        """Say nothing of single requests."""

    # ---- What may ask, and what for -------------------------------------------------------------

    def _answer(self, actions: dict[str, Any]) -> None:
        try:
            action = actions.get(self._name())
            if action is None:
                raise Refused(HTTPStatus.NOT_FOUND)
            action()
        except Refused as refused:
            self._refuse(refused.status, str(refused))
        except Missing as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        except UnpairedError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True

    def _name(self) -> str:
        """Return what is asked for; raises Refused for whoever may not ask."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if host not in self.server.hosts or origin not in (None, f"http://{host}"):
            raise Refused(HTTPStatus.FORBIDDEN)
        _, token, name = (*self.path.split("?")[0].split("/", 2), "", "")[:3]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "another address; take the one that was printed")
        return name

    def _body(self, kind: str, most: int) -> bytes:
        if self.headers.get("Content-Type", "").split(";")[0] != kind:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            raise Refused(HTTPStatus.LENGTH_REQUIRED) from None
        if not 0 <= length <= most:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the file is too large for the page")
        content = self.rfile.read(length)
        if len(content) < length:
            raise Refused(HTTPStatus.BAD_REQUEST)
        return content

    def _asked(self) -> dict[str, Any]:
        try:
            content = json.loads(self._body("application/json", JSON_BYTES_MAX))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST) from None
        if not isinstance(content, dict):
            raise Refused(HTTPStatus.BAD_REQUEST)
        return content

    def _number(self, asked: dict[str, Any], key: str) -> int:
        value = asked.get(key)
        if type(value) is not int or not 0 <= value < 2**53:
            raise Refused(HTTPStatus.BAD_REQUEST, f"{key} must be a whole number")
        return value

    def _real(self, asked: dict[str, Any], key: str) -> float | None:
        value = asked.get(key)
        if value is not None and type(value) not in (int, float):
            raise Refused(HTTPStatus.BAD_REQUEST, f"{key} must be a number")
        return None if value is None else float(value)

    def _wish(self, asked: dict[str, Any]) -> Wish:
        height, width = self.server.studio.open(self._number(asked, "picture")).size
        content = {"height": height, "width": width, "points": asked.get("points", [])}
        points, _ = parse_points(content, "the page")
        query = None
        if asked.get("query") is not None:
            place = (
                dict(zip("yx", asked["query"], strict=False)) if _is_pair(asked["query"]) else {}
            )
            y, x = (self._real(place, axis) for axis in "yx")
            if y is None or x is None or not (0 <= y < height and 0 <= x < width):
                raise Refused(HTTPStatus.BAD_REQUEST, "query must be a place in the picture")
            query = (y, x)
        reference = self._number(asked, "reference") if asked.get("reference") is not None else None
        temperature, saturation = (self._real(asked, key) for key in ("temperature", "saturation"))
        return Wish(points, query, temperature, reference, saturation)

    # ---- Answers --------------------------------------------------------------------------------

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        text = PAGE.read_text(encoding="utf-8").replace("{{nonce}}", nonce)
        policy = {"Content-Security-Policy": POLICY.format(nonce=nonce)}
        self._send(text.encode(), "text/html; charset=utf-8", policy)

    def _state(self) -> None:
        studio = self.server.studio
        self._json(
            {
                "pictures": [entry.name for entry in studio.entries],
                "method": studio.method_name,
                "takes": studio.takes,
                "doubt": self.server.doubt,
                "kinds": KINDS,
            }
        )

    def _open(self) -> None:
        self._json(self.server.studio.describe(self._number(self._asked(), "picture")))

    def _color(self) -> None:
        asked = self._asked()
        page, turn = str(asked.get("page", ""))[:64], self._number(asked, "turn")
        number, wish = self._number(asked, "picture"), self._wish(asked)
        made = self.server.studio.color(page, turn, number, wish)
        self._json(made if made is not None else {"overtaken": True})

    def _check(self) -> None:
        """Check points of a file that the browser has read."""
        asked = self._asked()
        points, size = parse_points(asked.get("content"), "the file")
        if size != self.server.studio.open(self._number(asked, "picture")).size:
            raise UnpairedError(
                f"the file has points of a picture of {size[1]} x {size[0]} pixels, not of this one"
            )
        self._json({"points": [vars(point) for point in points]})

    def _save(self) -> None:
        asked = self._asked()
        number, wish = self._number(asked, "picture"), self._wish(asked)
        overwrite = asked.get("overwrite") is True
        saved = self.server.studio.save_points(number, wish.points, overwrite=overwrite)
        self._json({"saved": saved})

    def _result(self) -> None:
        asked = self._asked()
        number, wish = self._number(asked, "picture"), self._wish(asked)
        name, content = self.server.studio.result(number, wish, str(asked.get("kind")))
        told = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        self._send(content, "application/octet-stream", told)

    def _upload(self) -> None:
        content = self._body("application/octet-stream", UPLOAD_BYTES_MAX)
        number = self.server.studio.receive(self._file_name(), content)
        self._json({"picture": number, "name": self.server.studio.entry(number).name})

    def _reference(self) -> None:
        content = self._body("application/octet-stream", UPLOAD_BYTES_MAX)
        self._json({"reference": self.server.studio.receive_reference(self._file_name(), content)})

    def _file_name(self) -> str:
        return unquote(self.headers.get("X-File-Name", "picture"))[:1000]

    def _json(self, content: dict[str, Any]) -> None:
        self._send(json.dumps(content).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        # What was sent may still lie in the connection: the next request must not begin with it.
        self.close_connection = True
        self._send(json.dumps({"error": message}).encode(), "application/json", {}, status)

    def _send(
        self,
        content: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if self.close_connection:
            fixed["Connection"] = "close"
        for name, value in (fixed | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2
