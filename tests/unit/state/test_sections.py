"""A section that one list of the engine forgets would fail on a host only, or leave `when` and `each` unanswered."""

from pathlib import Path

from ansible_collections.slipway.stack.plugins.action import state
from ansible_collections.slipway.stack.plugins.module_utils.state import spec
from ansible_collections.slipway.stack.plugins.plugin_utils import desired_state

ON_THE_CONTROLLER = {"__init__", "spec", "sandbox"}


def test_the_items_of_every_section_are_evaluated() -> None:
    sections = {name for name, rule in spec.ARGUMENT_SPEC.items() if rule["type"] == "list"}
    assert set(desired_state.SECTIONS) == sections, "SECTIONS of plugin_utils/desired_state.py are the lists of module_utils/state/spec.py"


def test_every_file_of_the_engine_travels() -> None:
    files = {path.stem for path in Path(str(spec.__file__)).parent.glob("*.py")} - ON_THE_CONTROLLER
    assert set(state.MODULES) == files, "MODULES of plugins/action/state.py are the files of module_utils/state that a host needs"
