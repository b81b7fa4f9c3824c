"""Commands of a build: their output, their end, and what they may write."""

import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release.build import Build, CommandError, Plan, Runner, harden, words

PLAN = Plan(
    kind="archive", requirement="", requirements="requirements.txt", requirements_text="", additional=[], install_project=None,
    python="python3", installer="pip", uv_version="0", post_install=[],
)  # fmt: skip


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner({"PATH": os.environ["PATH"]}, os.open(tmp_path, os.O_RDONLY), 20)


def test_failure_shows_the_command_and_its_last_lines(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        runner.run(["sh", "-c", "seq 100; echo broken >&2; exit 3"], cwd=tmp_path, purpose="installing")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("installing failed with exit code 3: sh -c ")
    assert lines[-1] == "  broken"
    assert "  100" in lines
    assert "  50" not in lines


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    runner = Runner({"PATH": os.environ["PATH"]}, os.open(tmp_path, os.O_RDONLY), 1)
    with pytest.raises(CommandError, match="took longer than 1 s"):
        runner.run(["sh", "-c", "sleep 30 & sleep 30"], cwd=tmp_path, purpose="installing")


def test_the_reason_is_shown_wherever_it_stands(runner: Runner, tmp_path: Path) -> None:
    """pip says first which package fails and why, and then prints a long traceback."""
    said = "echo '  error: subprocess-exited-with-error'; echo \"error: command 'gcc' failed: No such file or directory\"; seq 200; exit 1"
    with pytest.raises(CommandError) as caught:
        runner.run(["sh", "-c", said], cwd=tmp_path, purpose="installing the requirements")
    lines = str(caught.value).splitlines()
    assert lines[2] == "  error: command 'gcc' failed: No such file or directory"
    assert lines[-2] == "  200"
    assert lines[-1] == ("hint: the build lacks Debian packages, name build-essential and python3-dev in packages of the application")


def test_what_takes_too_long_is_asked_to_end_before_it_is_killed(runner: Runner, tmp_path: Path) -> None:
    """A migration that gets SIGTERM lets its database take the transaction back."""
    migration = f"trap 'echo taken back > {tmp_path}/seen; exit 1' TERM; echo started; while :; do sleep 0.1; done"
    with pytest.raises(CommandError, match=r"migrate took longer than 1 s and was ended(.|\n)*started"):
        runner.run(["sh", "-c", migration], cwd=tmp_path, purpose="migrate", seconds=1)
    assert (tmp_path / "seen").read_text() == "taken back\n"


def test_words_come_from_the_virtual_environment_when_it_has_them(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/alembic").touch()
    assert words(["alembic", "upgrade", "head"], tmp_path) == [str(tmp_path / "bin/alembic"), "upgrade", "head"]
    assert words("echo 'a b'", tmp_path) == ["echo", "a b"]


def test_archive_that_leaves_its_folder_is_refused(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x", "../evil")
    with pytest.raises(CommandError, match="unsafe name"):
        Build(tmp_path / "release", PLAN, runner).unpack(tmp_path / "evil.tar.gz")


def test_missing_interpreter_is_named(runner: Runner, tmp_path: Path) -> None:
    plan = Plan(**{**vars(PLAN), "python": "/usr/bin/python9.9"})
    with pytest.raises(CommandError, match=r"no interpreter /usr/bin/python9.9"):
        Build(tmp_path / "release", plan, runner).make_environment()


def test_a_python_that_the_source_does_not_want_is_named(runner: Runner, tmp_path: Path) -> None:
    build = Build(tmp_path / "release", Plan(**{**vars(PLAN), "requirements": ""}), runner)
    build.source.mkdir(parents=True)
    (build.source / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = ">= 3.10, <3.11"\n')
    build.make_environment()
    with pytest.raises(CommandError, match=r"wants Python >=3\.10,<3\.11 \(requires-python in pyproject\.toml\), and python3 is 3\.\d+"):
        build.install(None)


def test_harden_lets_everybody_read_and_nobody_write(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir(mode=0o700)
    (tmp_path / "bin/tool").touch(0o700)
    (tmp_path / "data").touch(0o600)
    (tmp_path / "data").chmod(0o4666)
    harden(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
    assert modes == {"bin": 0o755, "tool": 0o755, "data": 0o644}
