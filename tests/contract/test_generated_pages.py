"""The generated parts of the documentation say what the code says."""

import subprocess
import sys

from tests.lab import ROOT


def test_no_page_is_stale() -> None:
    """`make docs` writes them again."""
    done = subprocess.run([sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_page_has_its_module() -> None:
    pages = {page.stem for page in (ROOT / "docs/gcp/modules").glob("*.md")}
    modules = {module.stem for module in (ROOT / "plugins/modules").glob("gcp_*.py")}
    assert sorted(modules - pages) == [], "modules without a page: `make docs` writes it"
    assert sorted(pages - modules) == [], "pages whose module is gone: remove them from docs/gcp/modules, then `make docs`"
