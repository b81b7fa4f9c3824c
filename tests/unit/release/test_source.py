"""What identifies a source, and what travels to the host."""

import base64
import functools
import gzip
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.git import GitError, Repository, described_version
from ansible_collections.slipway.stack.plugins.module_utils.release.source import (
    SourceError,
    described,
    packed,
    public,
)

CACHE = Path("unused")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "application"
    (root / "package").mkdir(parents=True)
    (root / "package/main.py").write_text("app = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    (root / ".env").write_text("SECRET=1\n")
    (root / "package/__pycache__").mkdir()
    (root / "package/__pycache__/main.cpython-311.pyc").write_bytes(b"x")
    return root


def digest(root: Path, **source: object) -> str:
    return described({"type": "directory", "path": str(root), **source}, root, CACHE).digest


def test_digest_ignores_times_owners_caches_and_private_files(tree: Path) -> None:
    before = digest(tree)
    os.utime(tree / "run.sh", (1, 1))
    (tree / "package/main.py").chmod(0o600)
    (tree / ".env").write_text("SECRET=2\n")
    (tree / "package/__pycache__/main.cpython-311.pyc").write_bytes(b"y")
    assert digest(tree) == before


@pytest.mark.parametrize("change", ["content", "name", "executable", "exclude"])
def test_digest_follows_the_source(tree: Path, change: str) -> None:
    before = digest(tree)
    if change == "content":
        (tree / "package/main.py").write_text("app = 2\n")
    elif change == "name":
        (tree / "package/main.py").rename(tree / "package/other.py")
    elif change == "executable":
        (tree / "run.sh").chmod(0o600)
    assert digest(tree, exclude=["run.sh"] if change == "exclude" else []) != before


def test_archive_holds_the_tree_without_secrets(tree: Path) -> None:
    source = {"type": "directory", "path": str(tree)}
    data = packed(source, described(source, tree, CACHE), tree, CACHE).data
    assert data == packed(source, described(source, tree, CACHE), tree, CACHE).data
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        assert archive.getnames() == ["package", "package/main.py", "run.sh"]
        assert archive.getmember("run.sh").mode == 0o755


def test_link_out_of_the_tree_is_refused(tree: Path) -> None:
    (tree / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match="points outside"):
        digest(tree)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"type": "directory", "path": "missing"}, r"source.path: there is no directory .*missing"),
        ({"type": "file", "path": "missing.whl"}, r"source.path: there is no file"),
        ({"type": "package", "requirement": "datasette"}, r"'datasette' names no exact version"),
        ({"type": "package", "requirement": "datasette>=0.6"}, r"names no exact version"),
        ({"type": "package"}, r"source.requirement: '' is not usable"),
        ({"type": "git", "url": "--upload-pack=evil"}, r"source.url: '--upload-pack=evil' is not usable"),
        ({"type": "svn"}, r"'svn' is not one of directory, git, file, package"),
    ],
)
def test_unusable_source(source: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        described(source, tmp_path, CACHE)


def test_package_and_file(tmp_path: Path) -> None:
    package = described({"type": "package", "requirement": "celery[redis] == 5.5.3"}, tmp_path, CACHE)
    assert (package.label, package.digest) == ("celery[redis]-5.5.3", "celery[redis]==5.5.3")
    (tmp_path / "orders-1.2-py3-none-any.whl").write_bytes(b"wheel")
    assert described({"type": "file", "path": "orders-1.2-py3-none-any.whl"}, tmp_path, CACHE).label == "orders-1.2"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tree: Path) -> Path:
    """Two commits; the first is tagged v1."""
    git(tree, "init", "--quiet")
    git(tree, "add", "package/main.py")
    git(tree, "commit", "--quiet", "-m", "one")
    git(tree, "tag", "-a", "v1", "-m", "v1")
    (tree / "package/main.py").write_text("app = 2\n")
    git(tree, "commit", "--quiet", "-am", "two")
    return tree


def content(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers() if member.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def test_git_branch_tag_and_subdirectory(repository: Path, tmp_path: Path) -> None:
    url, cache = repository.as_uri(), tmp_path / "cache"
    assert Repository(url, cache).commit("v1") == git(repository, "rev-parse", "HEAD^")
    assert Repository(url, cache).commit("main") == git(repository, "rev-parse", "HEAD") == Repository(url, cache).commit("HEAD")
    with pytest.raises(GitError, match="'v2' is no branch or tag"):
        Repository(url, cache).commit("v2")
    source = {"type": "git", "url": url, "version": "v1", "subdirectory": "package"}
    assert content(packed(source, described(source, tmp_path, cache), tmp_path, cache).data) == {"main.py": b"app = 1\n"}


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Serves a folder to those who bring the token, as a git server does."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Basic " + base64.b64encode(b"deploy:t0ken/canary-5f1c").decode():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def guarded(repository: Path) -> Iterator[str]:
    """Address of the repository, with its token."""
    git(repository, "update-server-info")
    handler = functools.partial(Guarded, directory=str(repository / ".git"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://deploy:t0ken%2Fcanary-5f1c@127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_token_of_an_address_is_used_and_stands_nowhere(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in arguments (a wrapper writes those of git down), messages, what is sent, or the files of the copy."""
    arguments = tmp_path / "arguments"
    wrapper = tmp_path / "bin/git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {arguments}\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    cache = tmp_path / "cache"
    source = {"type": "git", "url": guarded, "version": "main"}
    assert content(packed(source, described(source, tmp_path, cache), tmp_path, cache).data) == {"package/main.py": b"app = 2\n"}
    with pytest.raises(SourceError) as unknown:
        described({**source, "version": "v9"}, tmp_path, cache)
    with pytest.raises(SourceError, match="git cannot read http://127") as refused:
        described({**source, "url": guarded.replace("deploy", "other")}, tmp_path, cache)
    kept = b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())
    assert "ls-remote" in arguments.read_text()
    assert b"127.0.0.1" in kept
    for text in (arguments.read_text(), str(unknown.value), str(refused.value), str(public(source)), kept.decode(errors="replace")):
        assert "canary" not in text


def test_token_in_a_query_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="write a token as https://user:token@host/path") as caught:
        described({"type": "git", "url": "https://git.example.com/a.git?private_token=canary"}, tmp_path, CACHE)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "version"),
    [
        ("v1.4.0-0-gabcdef0", "1.4.0"),
        ("v1.4.0-3-gabcdef0", "1.4.1.dev3+gabcdef0"),
        ("release-2.0rc1-0-gabcdef0", "2.0rc1"),
        ("", "0.1.dev0+gabcdef0"),
    ],
)
def test_version_of_a_commit(description: str, version: str) -> None:
    assert described_version(description, "abcdef0123") == version


@pytest.mark.parametrize(("version", "expected"), [("v1", "1"), ("main", "2.dev1+g{commit}")])
def test_version_travels_when_the_build_asks_git_for_it(repository: Path, tmp_path: Path, version: str, expected: str) -> None:
    (repository / "pyproject.toml").write_text("[tool.setuptools_scm]\n")
    git(repository, "add", "pyproject.toml")
    git(repository, "commit", "--quiet", "--amend", "--no-edit")
    git(repository, "tag", "-d", "v1")
    git(repository, "tag", "v1", "HEAD" if version == "v1" else "HEAD^")
    source = {"type": "git", "url": repository.as_uri(), "version": version}
    travels = packed(source, described(source, tmp_path, tmp_path / "c"), tmp_path, tmp_path / "c")
    assert travels.version == expected.format(commit=git(repository, "rev-parse", "HEAD")[:7])
    folder = {"type": "directory", "path": str(repository)}
    assert packed(folder, described(folder, tmp_path, CACHE), tmp_path, CACHE).version == travels.version


@pytest.mark.parametrize("kind", ["git", "directory"])
def test_lock_of_the_workspace_brings_the_whole_workspace(repository: Path, tmp_path: Path, kind: str) -> None:
    (repository / "uv.lock").write_text("version = 1\n")
    git(repository, "add", "uv.lock")
    git(repository, "commit", "--quiet", "-m", "lock")
    source = {"git": {"url": repository.as_uri()}, "directory": {"path": str(repository)}}[kind]
    source = {"type": kind, "subdirectory": "package", **source}
    payload = described(source, tmp_path, tmp_path / "c")
    travels = packed(source, payload, tmp_path, tmp_path / "c")
    assert travels.member == "package"
    assert {"uv.lock", "package/main.py"} <= set(content(travels.data))
    (repository / "package/requirements.txt").write_text("")
    git(repository, "add", "package")
    git(repository, "commit", "--quiet", "-m", "its own")
    own = described(source, tmp_path, tmp_path / "c")
    assert own.digest != payload.digest
    assert packed(source, own, tmp_path, tmp_path / "c").member == ""


def test_member_without_its_workspace_is_refused(tree: Path) -> None:
    (tree / "uv.lock").write_text("version = 1\n")
    (tree / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['package']\n")
    with pytest.raises(SourceError, match=f"write path: {tree} and subdirectory: package"):
        digest(tree / "package")


def test_requirements_that_are_named_must_be_there(tree: Path) -> None:
    with pytest.raises(SourceError, match=r"source.requirements: there is no file 'locked.txt' in "):
        digest(tree, requirements="locked.txt")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_requirements_in_any_encoding_that_says_so(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "pins.txt").write_text("idna==3.4\n", encoding=encoding)
    source = {"type": "package", "requirement": "a==1", "requirements": "pins.txt"}
    assert described(source, tmp_path, CACHE).requirements_text == "idna==3.4\n"
    (tmp_path / "pins.txt").write_bytes("idna==3.4  # für uns\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"source.requirements: pins.txt .* is not text in UTF-8"):
        described(source, tmp_path, CACHE)
