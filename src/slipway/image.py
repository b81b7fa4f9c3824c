# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The base images of the lab: `slipway-host:debian12` and `slipway-host:debian13`, built when their recipe changed."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from slipway import checkout, controller, engine, lock
from slipway.errors import SlipwayError

RELEASES = {"debian12": "bookworm", "debian13": "trixie"}
RECIPE_LABEL = "slipway.recipe"
INSTALLING = threading.Lock()  # two releases are built at once; apt allows one at a time
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def name(distribution: str) -> str:
    """The image of a distribution, or an error that lists the ones there are."""
    if distribution not in RELEASES:
        raise SlipwayError(f"Unknown distribution {distribution!r}. Allowed: {', '.join(RELEASES)}.")
    return f"slipway-host:{distribution}"


def recipe(folder: Path, settings: controller.Settings) -> dict[str, bytes]:
    """The build context: images/ of the checkout and, below controller/, what the controller passes on. Path -> content."""
    sources = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".md"]
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sources}
    return files | {f"controller{path}": text.encode() for path, text in settings.files.items()}


def recipe_hash(files: Mapping[str, bytes]) -> str:
    """Changes when any file of the recipe changes its name or content."""
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def ensure(distributions: Sequence[str], *, rebuild: bool = False) -> None:
    """Build the images that are missing or whose recipe changed; says so before it starts. Unchanged: one call to docker."""
    images = {distribution: name(distribution) for distribution in distributions}
    files = recipe(checkout.root() / "images", controller.current())
    wanted = recipe_hash(files)

    def stale() -> list[str]:
        listed = engine.run(["image", "ls", "--filter", f"label={RECIPE_LABEL}={wanted}", "--format", "{{.Repository}}:{{.Tag}}"])
        return [distribution for distribution, image in images.items() if rebuild or image not in listed.split()]

    if stale():
        # Another Slipway may be building the same.
        with lock.held("image"):
            if missing := stale():
                _build_all(missing, files, wanted, rebuild=rebuild)


def _build_all(stale: Sequence[str], files: Mapping[str, bytes], wanted: str, *, rebuild: bool) -> None:
    print(f"Building the base image of {' and '.join(stale)} (about a minute, once).", flush=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda distribution: _build(distribution, files, wanted, rebuild=rebuild), stale))
    # The images that these replaced have lost their names; Slipway's own label keeps others out of this.
    engine.run(["image", "prune", "--force", "--filter", f"label={RECIPE_LABEL}"])


def _build(distribution: str, files: Mapping[str, bytes], wanted: str, *, rebuild: bool) -> None:
    release = RELEASES[distribution]
    arguments = {"BASE": _base(release), "RELEASE": release} | _mirrors()
    command = ["build", "--quiet", "--tag", name(distribution), "--label", f"{RECIPE_LABEL}={wanted}", *(["--no-cache"] if rebuild else [])]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    # Docker hands these on to RUN without keeping them in the image.
    for variable in controller.PROXY_VARIABLES:
        if os.environ.get(variable):
            command += ["--build-arg", variable]
    engine.run([*command, "-"], stdin=_context(files))
    print(f"  {name(distribution)} is ready.", flush=True)


def _context(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        # COPY wants the folder even where the controller has nothing to pass on.
        folder = tarfile.TarInfo("controller")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _base(release: str) -> str:
    """Debian's official image; where no registry answers, the same made from Debian's packages."""
    official = f"debian:{release}"
    bootstrapped = f"slipway-base:{release}"
    for image in (official, bootstrapped):
        if engine.run(["image", "ls", "--quiet", image]).strip():
            return image
    try:
        engine.run(["pull", "--quiet", official])
    except SlipwayError:
        print(f"  No registry gives {official}; making it from Debian's packages.", flush=True)
        _bootstrap(release, bootstrapped)
        return bootstrapped
    return official


def _bootstrap(release: str, image: str) -> None:
    with INSTALLING:
        if not shutil.which("mmdebstrap"):
            engine.apt_install("mmdebstrap", "a base image without a registry")
    keyring = [f"--keyring={KEYRING}"] if KEYRING.is_file() else []
    mirror = _mirrors().get("MIRROR")
    with TemporaryDirectory() as folder:
        archive = Path(folder) / "root.tar"
        command = ["mmdebstrap", "--variant=minbase", "--quiet", *keyring, release, str(archive), *([mirror] if mirror else [])]
        engine.program(command)
        engine.run(["import", str(archive), image])


def _mirrors() -> dict[str, str]:
    """The mirrors of a controller that is a Debian itself; elsewhere Debian's public ones (the Dockerfile's defaults)."""
    if not shutil.which("apt-get"):
        return {}
    command = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    return mirrors_from(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def mirrors_from(targets: str) -> dict[str, str]:
    """Build arguments from lines `label address` of `apt-get indextargets`. Only plain http: a bare Debian has no trust store."""
    arguments = {"Debian": "MIRROR", "Debian-Security": "SECURITY_MIRROR"}
    found = re.findall(r"^(\S+) (http://\S+?)/?$", targets, re.MULTILINE)
    return {arguments[label]: address for label, address in found if label in arguments}
