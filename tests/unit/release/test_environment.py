"""Values of an inventory as an application receives them."""

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.environment import InvalidEnvironmentError, file_text, texts


def test_values_are_written_as_programs_read_them() -> None:
    assert texts({"DEBUG": False, "TLS": True, "CORS": ["https://a", "https://b"], "LIMITS": {"a": 1}, "N": 5, "SHARE": 0.5, "E": ""}) == {
        "DEBUG": "false", "TLS": "true", "CORS": '["https://a","https://b"]', "LIMITS": '{"a":1}', "N": "5", "SHARE": "0.5", "E": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"A-B": "x"}, "'A-B' is no name of an environment variable"),
        ({"1A": "x"}, "'1A' is no name"),
        ({"A": None}, "A has no value"),
        ({"A": "x\0y"}, "A holds a NUL character"),
    ],
)
def test_what_no_process_could_receive_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidEnvironmentError, match=message):
        texts(values)


def test_the_file_is_sorted_and_quoted_for_systemd() -> None:
    assert file_text({"B": 'a "quoted" $HOME `id` \\ 100%', "A": True}) == 'A="true"\nB="a \\"quoted\\" \\$HOME \\`id\\` \\\\ 100%"\n'
