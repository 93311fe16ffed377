"""A hub on this machine, in memory: the routes of the Hugging Face hub that `vireid.interop.hub` uses.

The fixture `hub` of `conftest.py` starts it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_stub_token_that_must_stay_secret"  # has write permission
READ_ONLY = "hf_read_only"
Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits by their hash, and the commit of each branch."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: Files, message: str) -> str:
        content = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        text = json.dumps([len(self.commits), {name: data.hex() for name, data in content.items()}])
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid], self.branches[branch] = content, oid
        self.messages.append(message)
        return oid

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


class HubServer(ThreadingHTTPServer):
    """The server. `failing`: status of all responses; None: as the routes decide. `requests`: what was received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}  # by OWNER/NAME
        self.blobs: Files = {}  # uploaded large files by their SHA-256
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, token
        self.failing: int | None = None
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, name: str, files: dict[str, bytes | str], *, private: bool = False, gated: bool = False) -> None:
        """Make a repository with one commit."""
        self.repositories[name] = Repository(private=private, gated=gated)
        content = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
        self.repositories[name].commit("main", content, "files")

    def files(self, repo: str, revision: str = "main") -> Files:
        found = self.repositories[repo]
        return found.commits[found.branches.get(revision, revision)]

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Refused(Exception):
    """A response that is an error."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Print nothing."""

    @property
    def token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        split = urlsplit(self.path)
        path = unquote(split.path)
        self.server.requests.append((self.command, path, self.token))
        try:
            if self.server.failing:
                raise Refused(self.server.failing, message="maintenance")
            for method, pattern, route in ROUTES:
                if self.command == method and (found := re.fullmatch(pattern, path)):
                    route(self, *found.groups(), body=body, query=parse_qs(split.query))
                    return
            raise Refused(501, message=f"no route {self.command} {path}")
        except Refused as refused:
            names = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self.send(b"{}", status=refused.status, headers={name: text for name, text in names.items() if text})

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def send(self, content: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_json(self, value: Any) -> None:
        self.send(json.dumps(value).encode())

    def require_write(self) -> None:
        if self.token is None:
            raise Refused(401, message="Invalid credentials in Authorization header")
        if self.token != TOKEN:
            raise Refused(403, message="this token has no write permission")

    def repository(self, name: str) -> Repository:
        found = self.server.repositories.get(name)
        if found is None or (found.private and self.token not in (TOKEN, READ_ONLY)):
            raise Refused(404 if self.token else 401, "RepoNotFound", "Repository not found")
        if found.gated and self.token != TOKEN:
            raise Refused(403, "GatedRepo", "Access is restricted")
        return found

    def commit_of(self, name: str, revision: str) -> tuple[str, Files]:
        repository = self.repository(name)
        oid = repository.resolve(revision)
        if oid is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid, repository.commits.get(oid, {})


def create(handler: Handler, *, body: bytes, query: dict) -> None:
    handler.require_write()
    wanted = json.loads(body)
    name = f"{wanted['organization']}/{wanted['name']}"
    if name in handler.server.repositories:
        url = f"{handler.server.endpoint}/{name}"
        handler.send(json.dumps({"url": url, "error": "You already created this model repo"}).encode(), status=409)
        return
    private = wanted.get("private") or wanted.get("visibility") == "private"
    handler.server.add(name, {".gitattributes": "*.safetensors filter=lfs\n"}, private=bool(private))
    handler.send_json({"url": f"{handler.server.endpoint}/{name}", "name": name})


def branch(handler: Handler, name: str, branch: str, *, body: bytes, query: dict) -> None:
    handler.require_write()
    repository = handler.repository(name)
    if branch in repository.branches:
        raise Refused(409, message="Reference already exists")
    repository.branches[branch] = repository.branches["main"]
    handler.send_json({})


def validate(handler: Handler, *, body: bytes, query: dict) -> None:
    handler.send_json({"errors": [], "warnings": []})


def preupload(handler: Handler, name: str, revision: str, *, body: bytes, query: dict) -> None:
    handler.require_write()
    handler.commit_of(name, revision)
    paths = [file["path"] for file in json.loads(body)["files"]]
    modes = ({"path": path, "uploadMode": "lfs" if path.endswith(".safetensors") else "regular"} for path in paths)
    handler.send_json({"files": [{**mode, "shouldIgnore": False} for mode in modes]})


def batch(handler: Handler, name: str, *, body: bytes, query: dict) -> None:
    handler.require_write()
    href = f"{handler.server.endpoint}/upload"
    objects = [
        {**each, "actions": {"upload": {"href": f"{href}/{each['oid']}"}}} for each in json.loads(body)["objects"]
    ]
    handler.send_json({"transfer": "basic", "objects": objects})


def put(handler: Handler, oid: str, *, body: bytes, query: dict) -> None:
    if hashlib.sha256(body).hexdigest() != oid:
        raise Refused(400, message="the content has another SHA-256")
    handler.server.blobs[oid] = body
    handler.send(b"")


def commit(handler: Handler, name: str, revision: str, *, body: bytes, query: dict) -> None:
    handler.require_write()
    handler.commit_of(name, revision)
    lines = [json.loads(line) for line in body.splitlines()]
    files = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        if line["key"] == "file"
        else handler.server.blobs[line["value"]["oid"]]
        for line in lines
        if line["key"] != "header"
    }
    message = next(line["value"]["summary"] for line in lines if line["key"] == "header")
    oid = handler.server.repositories[name].commit(revision, files, message)
    handler.send_json({"commitUrl": f"{handler.server.endpoint}/{name}/commit/{oid}", "commitOid": oid})


def info(handler: Handler, name: str, revision: str | None, *, body: bytes, query: dict) -> None:
    oid, files = handler.commit_of(name, revision or "main")
    siblings = [{"rfilename": path} for path in files]
    private = handler.server.repositories[name].private
    handler.send_json({"id": name, "modelId": name, "sha": oid, "private": private, "siblings": siblings, "tags": []})


def tree(handler: Handler, name: str, revision: str, *, body: bytes, query: dict) -> None:
    _, files = handler.commit_of(name, revision)
    handler.send_json(
        [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in files.items()
        ]
    )


def models(handler: Handler, *, body: bytes, query: dict) -> None:
    (author,), (library,) = query["author"], query["filter"]
    marked = f'library_name: "{library}"'.encode()
    found = [
        name
        for name, repository in handler.server.repositories.items()
        if name.startswith(f"{author}/") and marked in handler.server.files(name).get("README.md", b"")
        if not repository.private or handler.token in (TOKEN, READ_ONLY)
    ]
    handler.send_json([{"id": name, "modelId": name, "tags": [library]} for name in found])


def resolve(handler: Handler, name: str, revision: str, path: str, *, body: bytes, query: dict) -> None:
    oid, files = handler.commit_of(name, revision)
    if path not in files:
        raise Refused(404, "EntryNotFound", "Entry not found")
    etag = hashlib.sha1(files[path]).hexdigest()
    handler.send(
        files[path],
        headers={"ETag": f'"{etag}"', "X-Repo-Commit": oid, "Content-Type": "application/octet-stream"},
    )


_REPO = r"([\w.-]+/[\w.-]+)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("POST", "/api/repos/create", create),
    ("POST", "/api/validate-yaml", validate),
    ("GET", "/api/models", models),
    ("POST", f"/api/models/{_REPO}/branch/(.+)", branch),
    ("POST", f"/api/models/{_REPO}/preupload/(.+)", preupload),
    ("POST", f"/api/models/{_REPO}/commit/(.+)", commit),
    ("POST", f"/{_REPO}\\.git/info/lfs/objects/batch", batch),
    ("PUT", r"/upload/(\w+)", put),
    ("GET", f"/api/models/{_REPO}/tree/(.+)", tree),
    ("GET", f"/api/models/{_REPO}(?:/revision/(.+))?", info),
    *((method, f"/{_REPO}/resolve/([^/]+)/(.+)", resolve) for method in ("HEAD", "GET")),
]
