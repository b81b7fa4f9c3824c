# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A git repository as the controller reads it. Credentials in its address stay out of arguments, messages and files."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ansible_collections.slipway.stack.plugins.module_utils.state import secrets

COMMIT = re.compile(r"^[0-9a-f]{40}$")
SECONDS = 600
HIDDEN = "********"
# git asks this one-liner for user and password; they are in the environment, which only the same account can read.
_HELPER = """!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$SLIPWAY_GIT_USER" "$SLIPWAY_GIT_PASSWORD"; }; f"""
# What a server accepts as the password when the token stands in the user's place.
_NO_PASSWORD = "x-oauth-basic"


class GitError(Exception):
    """The repository cannot be read; the message names it without its credentials."""


def public_address(url: str) -> str:
    """`url` without user and password (of ssh only without the password: its user is no secret)."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not parts.scheme or not at:
        return url
    keep = f"{user.partition(':')[0]}@" if parts.scheme in ("ssh", "git+ssh") else ""
    return urlunsplit(parts._replace(netloc=keep + host))


class Repository:
    """One repository and, for its files, a copy below `cache` that the hosts of one run share."""

    def __init__(self, url: str, cache: Path) -> None:
        self.address = public_address(url)
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.query:
            shown = urlunsplit(parts._replace(netloc=urlsplit(self.address).netloc, query=HIDDEN))
            raise GitError(f"source.url: {shown} has a query; write a token as https://user:token@host/path")
        self._secrets = secrets.words_of_values([url])
        self._environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # a question would hang the run
        self._options: list[str] = []
        if parts.scheme in ("http", "https") and parts.username is not None:
            self._environment["SLIPWAY_GIT_USER"] = unquote(parts.username)
            self._environment["SLIPWAY_GIT_PASSWORD"] = unquote(parts.password or "") or _NO_PASSWORD
            self._options = ["-c", "credential.helper=", "-c", f"credential.helper={_HELPER}"]
        self._mirror = cache / hashlib.sha256(self.address.encode()).hexdigest()[:24]

    def commit(self, version: str) -> str:
        """The commit a branch, tag or (full) commit id means right now."""
        if COMMIT.match(version):
            return version
        found: dict[str, str] = {}
        for line in self._git("ls-remote", "--", self.address).decode().splitlines():
            commit, _, reference = line.partition("\t")
            found[reference] = commit
        # An annotated tag is listed twice; the ^{} line is the commit it points to.
        for name in (f"refs/tags/{version}^{{}}", f"refs/tags/{version}", f"refs/heads/{version}", version):
            if name in found:
                return found[name]
        raise GitError(f"source.version: '{version}' is no branch or tag of {self.address}; a commit must be given with all 40 digits")

    def fetch(self, commit: str) -> None:
        """Have the files of `commit` in the copy."""
        self._mirror.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._mirror / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self._mirror / "git").exists():
                self._git("init", "--quiet", "--bare", str(self._mirror / "git"))
            if self._local("cat-file", "-e", f"{commit}^{{commit}}") is not None:
                return
            # Not every server hands out a bare commit id; then all branches and tags are needed.
            try:
                self._remote("fetch", "--quiet", "--depth=1", "--", self.address, commit)
            except GitError:
                self._remote("fetch", "--quiet", "--", self.address, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")

    def has(self, commit: str, path: str) -> bool:
        """Whether the tree of `commit` holds the file `path`."""
        return self._local("cat-file", "-e", f"{commit}:{path}") is not None

    def archive(self, commit: str, folder: str) -> bytes:
        """The folder of that commit as tar."""
        return self._remote("archive", "--format=tar", f"{commit}:{folder}")

    def describe(self, commit: str) -> str:
        """`git describe --long` by tags with a number, empty without one. Needs the history, which is fetched now."""
        with (self._mirror / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shallow = ["--unshallow"] if (self._local("rev-parse", "--is-shallow-repository") or b"").strip() == b"true" else []
            references = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            self._remote("fetch", "--quiet", *shallow, "--", self.address, *references)
        return (self._local("describe", "--tags", "--long", "--match", "*[0-9]*", commit) or b"").decode().strip()

    def _remote(self, *arguments: str) -> bytes:
        return self._git("-C", str(self._mirror / "git"), *arguments)

    def _local(self, *arguments: str) -> bytes | None:
        """Output of a command that only looks; None when it says no."""
        done = subprocess.run(["git", "-C", str(self._mirror / "git"), *arguments], capture_output=True, check=False, env=self._environment)
        return done.stdout if done.returncode == 0 else None

    def _git(self, *arguments: str) -> bytes:
        try:
            done = subprocess.run(
                ["git", *self._options, *arguments],
                capture_output=True, check=False, timeout=SECONDS, env=self._environment,
            )  # fmt: skip
        except FileNotFoundError:
            raise GitError("source.type git needs the program git on the controller") from None
        except subprocess.TimeoutExpired:
            raise GitError(f"source.url: {self.address} did not answer within {SECONDS} s") from None
        if done.returncode != 0:
            said = secrets.mask(done.stderr.decode(errors="replace").strip()[-800:], self._secrets, HIDDEN)
            raise GitError(f"source.url: git cannot read {self.address}: {said}")
        return done.stdout


def described_version(description: str, commit: str) -> str:
    """The version setuptools-scm would find: the tag's, or the next one's development version.

    `description` is `git describe --long`, such as v1.4.0-3-gabc1234."""
    tag, _, rest = description.rpartition("-g")[0].rpartition("-")
    number = re.search(r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)?$", tag)
    if not number:
        return f"0.1.dev0+g{commit[:7]}"
    if rest == "0":
        return number[0]
    upcoming = re.sub(r"\d+$", lambda last: str(int(last[0]) + 1), number[0])
    return f"{upcoming}.dev{rest}+g{commit[:7]}"


def working_tree_version(folder: Path) -> str:
    """The version of a folder that lies in a git working tree, empty when it does not."""

    def ask(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = ask("rev-parse", "HEAD")
    return described_version(ask("describe", "--tags", "--long", "--match", "*[0-9]*"), commit) if commit else ""
