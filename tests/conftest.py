"""Makes `ansible_collections.slipway.stack` importable from the checkout, as Ansible itself does."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))
