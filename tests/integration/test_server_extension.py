"""The server half of the JupyterLab extension in a real Jupyter server under a base URL, spoken to over HTTP."""

from __future__ import annotations

import http.client
import http.cookies
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import pytest

import sbf_kernel
from sbf_kernel import operations
from sbf_kernel.samples import own
from sbf_kernel.server_extension.allowed import ALLOWED
from tests.integration.model_server import Provider, begin, event

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = "/user/ann/"
ROUTES = [
    ("GET", "status"),
    ("GET", "page?source_id=a&page=1"),
    ("POST", "call/ListNotebooks"),
    ("POST", "stream/WatchSources"),
    ("POST", "files"),
    ("POST", "upload"),
]
OTHERS = ("jupyterlab", "notebook", "notebook_shim", "jupyter_lsp", "jupyter_server_terminals")


class Server:
    """A Jupyter server with our extension, and nothing else."""

    def __init__(self, home: Path, place: Path, **environment: str) -> None:
        self.token, self.root = secrets.token_hex(16), place / "root"
        self.root.mkdir()
        self.log = str(place / "log")
        self._log = open(self.log, "w")  # noqa: SIM115 - closed by stop()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        loaded = {"sbf_kernel.server_extension": True, **dict.fromkeys(OTHERS, False)}
        own = {f"JUPYTER_{kind}_DIR": str(place / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}",
             "--ServerApp.port_retries=0", f"--ServerApp.base_url={BASE}", f"--ServerApp.root_dir={self.root}",
             f"--ServerApp.jpserver_extensions={loaded}"],
            env={**os.environ, **own, "JUPYTER_TOKEN": self.token, "SBF_HOME": str(home), "SBF_EMBEDDER": "none", **environment},
            stdout=subprocess.DEVNULL, stderr=self._log)  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                self.request("GET", "status")
                break
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, Path(self.log).read_text()
                time.sleep(0.05)

    def open(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        """Send a request to a path below the base URL and return the response, still to be read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        signed = {} if "Cookie" in headers else {"Authorization": f"token {self.token}"}
        content = b"" if sent is None and method == "POST" else sent
        connection.request(method, BASE + path, content, {"Connection": "close", **signed, **given})
        return connection.getresponse()

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request to our routes and return status and parsed answer."""
        response = self.open(method, "sbf/api/" + path, body, **headers)
        text = response.read()
        return response.status, json.loads(text) if "json" in response.headers.get("Content-Type", "") else text

    def call(self, name: str, /, **fields: Any) -> Any:
        status, answer = self.request("POST", f"call/{name}", fields)
        assert status == 200, answer
        return answer

    def lines(self, path: str, body: Any) -> list[dict[str, Any]]:
        response = self.open("POST", "sbf/api/" + path, body)
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"] == "application/x-ndjson"
        return [json.loads(line) for line in response.read().splitlines() if line]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) in (0, -15)
        self._log.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(home: Path, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    model = {"SBF_MODEL_BASE_URL": provider.url, "SBF_MODEL_API_KEY": "key"}
    started = Server(home, tmp_path_factory.mktemp("jupyter"), **model)
    yield started
    started.stop()


@pytest.fixture
def notebook_id(server: Server) -> str:
    return str(server.call("CreateNotebook", name=f"Notebook {uuid4()}")["id"])


def names(server: Server, notebook_id: str) -> list[str]:
    return sorted(it["name"] for it in server.call("ListSources", notebook_id=notebook_id)["items"])


def test_while_the_workspace_is_being_opened_the_server_answers(server: Server) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(server.call, "ListNotebooks")
        while not first.done():
            began = time.monotonic()
            assert server.request("GET", "status") == (200, {"version": sbf_kernel.__version__})
            assert time.monotonic() - began < 5
    assert first.result()["items"] is not None


def test_what_is_called_is_done(server: Server, notebook_id: str) -> None:
    assert server.call("GetNotebook", notebook_id=notebook_id)["source_count"] == 0
    renamed = server.call("UpdateNotebook", notebook_id=notebook_id, name="Ferns ∧ 'moss'")
    assert renamed["name"] == "Ferns ∧ 'moss'"
    assert server.call("DeleteNotebook", notebook_id=notebook_id) is None


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_in_without_signing_in(server: Server, method: str, path: str) -> None:
    for credentials in ({"Cookie": "a=b"}, {"Authorization": "token wrong"}):
        assert server.request(method, path, {} if method == "POST" else None, **credentials)[0] == 403


def test_a_cookie_alone_changes_nothing_without_the_xsrf_token(server: Server) -> None:
    jar = http.cookies.SimpleCookie()
    for path in ("login", f"login?token={server.token}"):
        response = server.open("GET", path, Cookie="a=b")
        response.read()
        for said in response.headers.get_all("Set-Cookie", []):
            jar.load(said.partition(";")[0])
    cookie = "; ".join(f"{key}={morsel.coded_value}" for key, morsel in jar.items())
    for _, path in ROUTES[2:]:
        assert server.request("POST", path, {}, Cookie=cookie)[0] == 403
        assert server.request("POST", path, {}, Cookie=cookie, Origin="https://evil.example")[0] in (403, 404)
    status, answer = server.request("POST", "call/ListNotebooks", {}, Cookie=cookie, X_XSRFToken=jar["_xsrf"].value)
    assert (status, type(answer["total"])) == (200, int)


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "told"),
    [
        ("call/CreateNotebook", {}, 422, "invalid_input", "name"),
        ("call/CreateNotebook", {"name": "a", "user_id": "other"}, 422, "invalid_input", "user_id"),
        ("call/CreateNotebook", {"name": 3}, 422, "invalid_input", "name"),
        ("call/CreateNotebook", {"name": "a\0b"}, 422, "invalid_input", "NUL"),
        ("call/CreateNotebook", b'{"name": "\\ud800"}', 400, "bad_request", "JSON"),
        ("call/ListNotebooks", b'{"limit": NaN}', 422, "invalid_input", "limit"),
        ("call/ListNotebooks", b"[" * 100_000, 400, "bad_request", "JSON"),
        ("call/ListNotebooks", b"\xff", 400, "bad_request", "JSON"),
        ("call/ListNotebooks", b'"' + b"a" * (2 << 20) + b'"', 413, "request_too_large", "MB"),
        ("call/GetNotebook", {"notebook_id": str(uuid4())}, 404, "not_found", "notebook"),
        ("call/WatchSources", {"source_ids": []}, 400, "bad_request", "streams"),
        ("stream/ListNotebooks", {}, 400, "bad_request", "does not stream"),
        ("call/ListUsers", {}, 403, "forbidden", "ListUsers"),
        ("call/SignIn", {"name": "a", "password": "b"}, 403, "forbidden", "SignIn"),
        ("call/CreateApiToken", {"name": "a"}, 403, "forbidden", "CreateApiToken"),
        ("call/Operation", {}, 403, "forbidden", "Operation"),
        ("call/__class__", {}, 403, "forbidden", "__class__"),
        ("files", {"paths": ["a"]}, 400, "bad_request", "files"),
        ("files", {"notebook_id": "x", "paths": "a"}, 400, "bad_request", "files"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_as_a_problem(
    server: Server, path: str, body: Any, status: int, code: str, told: str
) -> None:
    response = server.open("POST", "sbf/api/" + path, body)
    problem = json.loads(response.read())
    assert (response.status, problem["code"]) == (status, code)
    assert told in problem["message"]
    assert set(problem) == {"code", "message", "hint", "details"}
    assert response.headers["Content-Type"] == "application/problem+json"


def test_every_name_on_the_list_is_an_operation_that_needs_no_administrator() -> None:
    for name in ALLOWED:
        kind = getattr(operations, name)
        assert issubclass(kind, operations.Operation)
        assert not kind.admin and not kind.secretive and not kind.path.startswith(("/auth", "/users", "/me")), name


def test_a_stream_gives_a_line_per_record_and_says_that_it_is_over(server: Server, notebook_id: str) -> None:
    added = server.request("POST", f"upload?notebook_id={notebook_id}&name=fern.txt", b"Ferns grow in shade.")[1]
    lines = server.lines("stream/WatchSources", {"source_ids": [added["id"]]})
    assert lines[-1] == {"end": True}
    assert {line["record"] for line in lines[:-1]} == {"Source"}
    assert lines[-2]["value"]["status"] == "ready"
    asked = server.lines("stream/Ask", {"question": "Where do ferns grow?", "notebook_ids": [notebook_id]})
    assert [line.get("record") for line in asked][-2:] == ["Answer", None]
    assert "shade" in asked[-2]["value"]["text"]


def test_an_error_before_the_first_record_has_a_status_of_its_own(server: Server) -> None:
    status, problem = server.request("POST", "stream/Ask", {"question": "a", "notebook_ids": [str(uuid4())]})
    assert (status, problem["code"]) == (404, "not_found")


def test_files_are_read_by_the_server_and_each_has_its_outcome(server: Server, notebook_id: str) -> None:
    (server.root / "papers").mkdir(exist_ok=True)
    (server.root / "papers" / "a.md").write_text("# Moss\n\nMoss holds water.")
    (server.root / "papers" / ".secret").write_text("hidden")
    (server.root / "ü b.txt").write_text("Lichen is two beings.")
    lines = server.lines("files", {"notebook_id": notebook_id, "paths": ["papers", "/ü b.txt", "absent.txt"]})
    assert [(line.get("record"), line.get("path")) for line in lines[:2]] == [
        ("Source", "papers"),
        ("Source", "/ü b.txt"),
    ]
    assert lines[0]["value"]["origin"] == (server.root / "papers" / "a.md").resolve().as_uri()
    assert (lines[2]["path"], lines[2]["error"]["code"]) == ("absent.txt", "not_found")
    assert lines[3] == {"end": True}
    assert names(server, notebook_id) == ["a.md", "ü b.txt"]


def test_nothing_outside_of_the_folder_and_nothing_hidden_is_read(
    server: Server, notebook_id: str, tmp_path: Path
) -> None:
    (tmp_path / "private.txt").write_text("private")
    (server.root / "inside").mkdir(exist_ok=True)
    (server.root / ".hidden.txt").write_text("hidden")
    for name, target in (
        ("link.txt", tmp_path / "private.txt"),
        ("folder", tmp_path),
        ("plain.txt", server.root / ".hidden.txt"),
    ):
        (server.root / "inside" / name).symlink_to(target)
    (server.root / "loop").symlink_to(server.root / "loop")
    up = os.path.relpath(tmp_path / "private.txt", server.root)
    asked = ["inside/link.txt", "inside/folder", "inside/folder/private.txt", "inside/plain.txt", ".hidden.txt", "loop",
             up, f"inside/../{up}", str(tmp_path / "private.txt"), "inside/../inside/link.txt", "a\0b", "x" * 5_000]  # fmt: skip
    lines = server.lines("files", {"notebook_id": notebook_id, "paths": asked})
    assert [line["path"] for line in lines[:-1]] == asked
    assert {line["error"]["code"] for line in lines[:-1]} == {"not_found", "forbidden"}
    everything = server.lines("files", {"notebook_id": notebook_id, "paths": ["inside"]})
    assert names(server, notebook_id) == [], everything
    assert server.request("POST", "files", {"notebook_id": str(uuid4()), "paths": ["/"]})[0] == 404


def test_a_file_of_the_browsers_computer_becomes_a_source_and_again_a_new_version(
    server: Server, notebook_id: str
) -> None:
    path = f"upload?notebook_id={notebook_id}&name={quote('Ä & b?.txt')}"
    for version, content in ((1, b"First words."), (2, b"Second words.")):
        status, source = server.request("POST", path, content)
        assert (status, source["name"]) == (200, "Ä & b?.txt")
        assert server.lines("stream/WatchSources", {"source_ids": [source["id"]]})[-2]["value"]["version"] == version
    assert names(server, notebook_id) == ["Ä & b?.txt"]
    assert server.request("POST", "upload?notebook_id=x&name=a", b"a")[1]["code"] == "invalid_input"


def test_a_page_is_a_picture_that_a_browser_may_keep(server: Server, notebook_id: str, tmp_path: Path) -> None:
    pdf = next(path for path in own(tmp_path) if path.suffix == ".pdf")
    source = server.request("POST", f"upload?notebook_id={notebook_id}&name=a.pdf", pdf.read_bytes())[1]
    ready = server.lines("stream/WatchSources", {"source_ids": [source["id"]]})[-2]["value"]
    for version, kept in ((f"&version_id={ready['version_id']}", "max-age=31536000, immutable"), ("", "no-cache")):
        response = server.open("GET", f"sbf/api/page?source_id={source['id']}&page=2&width=400{version}")
        assert (response.status, response.headers["Content-Type"]) == (200, "image/webp")
        assert response.headers["Cache-Control"] == f"private, {kept}"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-SBF-Pages"] == str(ready["page_count"])
        assert response.read()[8:12] == b"WEBP"
    for query, status in (("page=0", 422), ("page=x", 422), ("page=900", 404), ("page=1&size=3", 422), ("", 422)):
        response = server.open("GET", f"sbf/api/page?source_id={source['id']}&{query}")
        assert (response.status, response.headers["Cache-Control"] or "") == (status, ""), query
    assert server.request("GET", f"page?source_id={uuid4()}&page=1")[0] == 404
    added = server.request("POST", f"upload?notebook_id={notebook_id}&name=fern.txt", b"Ferns grow in shade.")[1]
    server.lines("stream/WatchSources", {"source_ids": [added["id"]]})
    assert server.request("GET", f"page?source_id={added['id']}&page=1")[1]["code"] == "source_unsupported"


def test_only_addresses_of_services_are_taken(server: Server) -> None:
    for address in ("ftp://a.example", "postgresql://a.example/db", "/etc/passwd", "http://far.example"):
        status, problem = server.request("POST", "call/ListNotebooks", {}, X_SBF_Service=address)
        assert (status, problem["code"]) == (422, "invalid_input"), address
    status, problem = server.request("POST", "call/ListNotebooks", {}, X_SBF_Service="http://127.0.0.1:9")
    assert (status, problem["code"]) == (502, "remote_error")
    others = [f"http://127.0.0.1:{port}" for port in range(1, 6)]
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda it: server.request("POST", "call/ListNotebooks", {}, X_SBF_Service=it)[0], others)
        assert {429, 502} == set(answers)


def endless(handler: BaseHTTPRequestHandler, _: int) -> None:
    """Answer for as long as somebody listens."""
    begin(handler)
    while True:
        event(handler, delta={"content": "and so on "})
        time.sleep(0.02)


def test_what_is_written_for_a_page_stops_when_the_page_goes(
    server: Server, provider: Provider, notebook_id: str
) -> None:
    provider.script = endless
    added = server.request("POST", f"upload?notebook_id={notebook_id}&name=fern.txt", b"Ferns grow in shade.")[1]
    server.lines("stream/WatchSources", {"source_ids": [added["id"]]})
    asked = {"question": "Where do ferns grow?", "notebook_ids": [notebook_id], "model": "openai:fake-1"}
    response = server.open("POST", "sbf/api/stream/Ask", asked)
    assert json.loads(response.readline())["record"] == "AnswerDelta"
    assert provider.open == 1
    response.close()
    assert provider.closed_early.wait(20)
    assert "Traceback" not in Path(server.log).read_text()


@pytest.mark.parametrize("ends", ["by itself", "by somebody", "with the server"])
def test_a_message_is_written_to_its_end_though_the_page_goes(
    server: Server, home: Path, provider: Provider, notebook_id: str, tmp_path: Path, ends: str
) -> None:
    may_end = threading.Event()

    def slow(handler: BaseHTTPRequestHandler, number: int) -> None:
        begin(handler)
        event(handler, delta={"content": "Ferns grow "})
        may_end.wait(20)
        event(handler, delta={"content": "in shade [1]."})
        event(handler, delta={}, finish_reason="stop")

    provider.script = slow if ends == "by itself" else endless
    provider.closed_early.clear()
    added = server.request("POST", f"upload?notebook_id={notebook_id}&name=fern.txt", b"Ferns grow in shade.")[1]
    server.lines("stream/WatchSources", {"source_ids": [added["id"]]})
    chat = server.call("CreateChat", notebook_id=notebook_id, model="openai:fake-1")
    if ends == "with the server":
        model = {"SBF_MODEL_BASE_URL": provider.url, "SBF_MODEL_API_KEY": "key"}
        asked = Server(home, tmp_path, **model)
    else:
        asked = server
    response = asked.open("POST", "sbf/api/stream/SendMessage", {"chat_id": chat["id"], "text": "Where do ferns grow?"})
    place = {"chat_id": chat["id"], "message_id": json.loads(response.readline())["value"]["message_id"]}
    response.close()
    assert not provider.closed_early.wait(1)
    may_end.set()
    if ends == "by somebody":
        server.call("StopMessage", **place)
    elif ends == "with the server":
        asked.stop()
    told = server.lines("stream/FollowMessage", place)[-2]["value"]
    assert told["status"] == ("done" if ends == "by itself" else "stopped"), told
    assert told["text"].startswith("Ferns grow in shade [1]" if ends == "by itself" else "and so on and so on")
    assert ends == "by itself" or provider.closed_early.wait(20)
    assert "Traceback" not in Path(asked.log).read_text()


class _Recorder(BaseHTTPRequestHandler):
    seen: list[str | None]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        body = b'{"items": [], "total": 0, "limit": 20, "offset": 0}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def services() -> Iterator[list[tuple[str, list[str | None]]]]:
    """Two services that note who asks."""
    running, addresses = [], []
    for _ in range(2):
        seen: list[str | None] = []
        service = ThreadingHTTPServer(("127.0.0.1", 0), type("Recorder", (_Recorder,), {"seen": seen}))
        threading.Thread(target=service.serve_forever, daemon=True).start()
        running.append(service)
        addresses.append((f"http://127.0.0.1:{service.server_port}", seen))
    yield addresses
    for service in running:
        service.shutdown()
        service.server_close()


def test_the_token_goes_to_its_own_service_only_and_never_to_the_page(
    home: Path, tmp_path: Path, services: list[tuple[str, list[str | None]]]
) -> None:
    (own, seen_by_own), (other, seen_by_other) = services
    server = Server(home, tmp_path, SBF_URL=own, SBF_TOKEN="a-secret-token")
    try:
        assert server.call("ListNotebooks")["items"] == []
        assert server.request("POST", "call/ListNotebooks", {}, X_SBF_Service=other)[0] == 200
        assert b"a-secret-token" not in json.dumps(server.request("GET", "status")).encode()
    finally:
        server.stop()
    assert seen_by_own == ["Bearer a-secret-token"]
    assert seen_by_other == [None]
    assert "a-secret-token" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("url", "token", "code", "cure"),
    [
        ("", {"SBF_TOKEN": "sbf_wrong"}, "not_signed_in", "set SBF_URL and SBF_TOKEN where the Jupyter server is started"),
        ("", {}, "not_signed_in", "set SBF_URL and SBF_TOKEN where the Jupyter server is started"),
        ("http://127.0.0.1:9", {"SBF_TOKEN": "sbf_any"}, "remote_error", "check the address, and that the service runs"),
    ],
    ids=("bad token", "no token", "service away"),
)  # fmt: skip
def test_of_a_service_that_cannot_be_used_one_learns_what_to_do(
    home: Path, tmp_path: Path, service: str, url: str, token: dict[str, str], code: str, cure: str
) -> None:
    server = Server(home, tmp_path, SBF_URL=url or service, **token)
    try:
        told = [
            server.request("POST", path, {"question": "a"} if "Ask" in path else {})
            for path in ("call/ListNotebooks", "stream/Ask")
        ]
    finally:
        server.stop()
    for status, problem in told:
        assert (status, problem["code"]) == ({"not_signed_in": 401, "remote_error": 502}[code], code)
        assert problem["hint"].startswith(cure)
        assert "sbf_" not in problem["message"]


def test_loading_it_imports_nothing_heavy() -> None:
    code = """
import sys, jupyter_server.serverapp
before = set(sys.modules)
import sbf_kernel.server_extension as it
from sbf_kernel.server_extension.routes import routes
assert len(routes("/user/ann/")) == 6 and it._jupyter_server_extension_points() == [{"module": it.__name__}]
print(sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['sbf_kernel']"


def test_the_committed_bundle_belongs_to_the_committed_sources() -> None:
    root = Path(__file__).parents[2]
    bundle = root / "sbf_kernel" / "labextension"
    done = subprocess.run(
        [sys.executable, root / "extensions" / "lab" / "fingerprint.py"], capture_output=True, text=True, check=True
    )
    assert (bundle / "sources.sha256").read_text() == done.stdout, "run `make labextension`"
    package = json.loads((bundle / "package.json").read_text())
    assert (bundle / package["jupyterlab"]["_build"]["load"]).is_file()
    version = (root / "extensions" / "lab" / "src" / "version.ts").read_text()
    assert package["version"] == sbf_kernel.__version__ and f"'{sbf_kernel.__version__}'" in version
