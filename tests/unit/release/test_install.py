"""What a build installs: a real uv and pip, a package index of files, and sources as users have them."""

import ensurepip
import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.release import build as building
from ansible_collections.slipway.stack.plugins.module_utils.release.build import Build, CommandError, Plan, Runner

UV = Path(sys.executable).parent / "uv"
PLAN: dict[str, Any] = {
    "kind": "archive", "requirement": "", "requirements": "", "requirements_text": "", "additional": [], "install_project": None,
    "python": sys.executable, "installer": "uv", "uv_version": "0", "post_install": [],
}  # fmt: skip
# A build backend without dependencies. It writes the version that it was told into the wheel.
BACKEND = """
import os, zipfile
def build_wheel(folder, settings=None, metadata=None):
    version = os.environ.get("SETUPTOOLS_SCM_PRETEND_VERSION", "0.1")
    name = f"shop-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("shop.py", f"version = {version!r}")
        wheel.writestr(f"shop-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: shop\\nVersion: {version}\\n")
        wheel.writestr(f"shop-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"shop-{version}.dist-info/RECORD", "")
    return name
"""
PROJECT = '[project]\nname = "shop"\nversion = "0.1"\nrequires-python = ">=3.9"\ndependencies = ["colour>=1"]\n'
BUILT = PROJECT + '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    """A package of one module."""
    (folder / name).mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / name / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        needed = f"Requires-Dist: {needs}\n" if needs else ""
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """colour 1.0 and 2.0, paint (which wants colour 1), and what a virtual environment is seeded with."""
    folder = tmp_path_factory.mktemp("index")
    wheels = sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).parent / "_bundled"  # Debian keeps them apart
    for bundled in (found for name in ("pip", "setuptools") for found in Path(wheels).glob(f"{name}-*.whl")):
        (folder / bundled.name.split("-")[0]).mkdir()
        shutil.copy(bundled, folder / bundled.name.split("-")[0])
    wheel(folder, "wheel", "0.45.1")
    wheel(folder, "colour", "1.0")
    wheel(folder, "colour", "2.0")
    wheel(folder, "paint", "1.0", "colour<2")
    return folder


@pytest.fixture(scope="module")
def index(packages: Path) -> Iterator[str]:
    """A package index: a listing of a folder is one."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(packages))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def runner(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(building, "installed_uv", lambda *_: str(UV))
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_DEFAULT_INDEX": index,
        "PIP_INDEX_URL": index, "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip
    return Runner(environment, os.open(tmp_path, os.O_RDONLY), 120)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "backend.py").write_text(BACKEND)
    (folder / "shop.py").write_text("version = 'from the source'\n")
    return folder


def lock(folder: Path, runner: Runner, version: str) -> None:
    """uv.lock with that version of colour, as a developer's machine writes it."""
    argv = [UV, "lock", "--quiet", "--upgrade-package", f"colour=={version}"]
    subprocess.run(argv, cwd=folder, env=runner.environment, check=True)


def installed(tmp_path: Path, runner: Runner, source: Path, **plan: Any) -> tuple[Build, dict[str, str]]:
    """Build a release of the folder; gives it and the versions that it can import."""
    archive = shutil.make_archive(str(tmp_path / "payload"), "gztar", source)
    making = Build(tmp_path / "release", Plan(**{**PLAN, **plan}), runner)
    making.unpack(Path(archive))
    making.make_environment()
    making.install(None)
    listed = making.finish({})
    return making, dict(line.split("==") for line in listed if "==" in line)


def imported(making: Build, module: str) -> str:
    """The version that a program of the release imports."""
    code = f"import {module}; print({module}.version)"
    return subprocess.run([making.venv / "bin/python", "-c", code], cwd="/", check=True, capture_output=True, text=True).stdout.strip()


def test_the_lock_decides(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "pyproject.toml").write_text(PROJECT)
    lock(source, runner, "1.0")
    (source / "requirements.txt").write_text("colour==2.0\n")
    making, versions = installed(tmp_path, runner, source)
    assert versions["colour"] == "1.0"
    assert "uv.lock decides the versions, not requirements.txt" in making.warnings[0]
    assert imported(making, "shop") == "from the source"


def test_requirements_that_are_named_decide(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "pyproject.toml").write_text(PROJECT)
    lock(source, runner, "1.0")
    (source / "pins.txt").write_text("colour==2.0\n")
    assert installed(tmp_path, runner, source, requirements="pins.txt")[1]["colour"] == "2.0"


def test_nothing_that_pins_is_said(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "pyproject.toml").write_text(BUILT)
    making, versions = installed(tmp_path, runner, source)
    assert versions["colour"] == "2.0"
    assert making.warnings == [
        "nothing pins what the application needs: the newest versions were taken. Add uv.lock, poetry.lock, pdm.lock or requirements.txt."
    ]


def test_a_workspace_is_installed_from_the_lock_above(tmp_path: Path, runner: Runner, source: Path) -> None:
    """The application and another member are packages; neither has a hash, colour has."""
    workspace = tmp_path / "workspace"
    application, member = workspace / "apps/shop", workspace / "libraries/till"
    for folder, name, needs in ((application, "shop", '"colour>=1", "till"'), (member, "till", "")):
        folder.mkdir(parents=True)
        (folder / "backend.py").write_text(BACKEND.replace("shop", name))
        project = BUILT.replace('"shop"', f'"{name}"').replace('"colour>=1"', needs)
        (folder / "pyproject.toml").write_text(project + ("[tool.uv.sources]\ntill = {workspace = true}\n" if name == "shop" else ""))
    (workspace / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["apps/*", "libraries/*"]\n')
    lock(workspace, runner, "1.0")
    making, versions = installed(tmp_path, runner, workspace, member="apps/shop")
    assert versions["colour"] == "1.0"
    assert (making.source / "pyproject.toml").read_text().startswith('[project]\nname = "shop"')
    assert (imported(making, "shop"), imported(making, "till")) == ("0.1", "0.1")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_the_build_is_told_the_version(tmp_path: Path, runner: Runner, source: Path, installer: str) -> None:
    (source / "pyproject.toml").write_text(BUILT.replace('version = "0.1"', 'dynamic = ["version"]'))
    making, _ = installed(tmp_path, runner, source, installer=installer, version="1.4.1.dev3+gabc")
    assert imported(making, "shop") == "1.4.1.dev3+gabc"


def test_python_m_pip_works_in_the_environment(tmp_path: Path, runner: Runner, source: Path) -> None:
    """`python -m spacy download` calls it."""
    (source / "requirements.txt").write_text("colour==1.0\n")
    _, versions = installed(tmp_path, runner, source, post_install=["python -m pip install paint"])
    assert versions["paint"] == "1.0"


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_packages_that_contradict_each_other_are_a_warning_or_an_error(
    tmp_path: Path, runner: Runner, source: Path, installer: str
) -> None:
    """As override-dependencies in uv.lock make them."""
    (source / "pyproject.toml").write_text(
        PROJECT.replace('"colour>=1"', '"paint"') + '[tool.uv]\noverride-dependencies = ["colour==2.0"]\n'
    )
    lock(source, runner, "2.0")
    making, versions = installed(tmp_path, runner, source, installer=installer)
    assert versions["colour"] == "2.0"
    assert "the check of the installed packages failed" in making.warnings[0]
    assert "colour" in making.warnings[0]
    if installer == "uv":
        shutil.rmtree(making.folder)
        with pytest.raises(CommandError, match="the check of the installed packages failed"):
            installed(tmp_path, runner, source, strict=True)


def test_a_scaffold_that_does_not_compile_is_a_warning_or_an_error(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "requirements.txt").write_text("")
    (source / "scaffold").mkdir()
    (source / "scaffold/{{cookiecutter.name}}.py").write_text("import {{ cookiecutter.name }}\n")
    making, _ = installed(tmp_path, runner, source)
    assert "byte-compiling the source failed" in making.warnings[0]
    assert "{{cookiecutter.name}}.py" in making.warnings[0]
    shutil.rmtree(making.folder)
    with pytest.raises(CommandError, match="byte-compiling the source failed"):
        installed(tmp_path, runner, source, strict=True)


def test_requirements_in_utf_16_are_read(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "requirements.txt").write_text("colour==1.0\n", encoding="utf-16")
    assert installed(tmp_path, runner, source)[1]["colour"] == "1.0"


def test_requirements_in_an_unknown_encoding_are_named(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "requirements.txt").write_bytes("colour==1.0  # für uns\n".encode("latin-1"))
    with pytest.raises(CommandError, match=r"source.requirements: requirements.txt .* is not text in UTF-8"):
        installed(tmp_path, runner, source)


def test_hashes_are_enforced(tmp_path: Path, runner: Runner, source: Path, packages: Path) -> None:
    right = hashlib.sha256((packages / "colour/colour-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (source / "requirements.txt").write_text(f"colour==1.0 --hash=sha256:{right}\n")
    making, versions = installed(tmp_path, runner, source)
    assert versions["colour"] == "1.0"
    shutil.rmtree(making.folder)
    (source / "requirements.txt").write_text(f"colour==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(CommandError, match=r"(?i)hash"):
        installed(tmp_path, runner, source)


def test_the_commands_of_the_build_see_the_environment(tmp_path: Path, runner: Runner, source: Path) -> None:
    (source / "requirements.txt").write_text("")
    archive = shutil.make_archive(str(tmp_path / "payload"), "gztar", source)
    write = "import json, os; json.dump(dict(os.environ), open('seen.json', 'w'))"
    making = Build(tmp_path / "release", Plan(**{**PLAN, "post_install": [f'python -c "{write}"']}), runner)
    making.unpack(Path(archive))
    making.make_environment()
    making.install(None)
    making.finish({"SECRET_KEY": "only-for-the-build"})
    assert json.loads((making.source / "seen.json").read_text())["SECRET_KEY"] == "only-for-the-build"
