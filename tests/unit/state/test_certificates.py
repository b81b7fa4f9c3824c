"""Self-signed pairs: made once, for every name, and never half."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.stack.plugins.module_utils.state import certificates, host, spec

LONG = "a" * 40 + "." + "b" * 28 + ".com"  # 73 characters


def wanted(folder: Path, *names: str) -> dict[str, Any]:
    pair = {"certificate": f"{folder}/x.crt", "key": f"{folder}/x.key", "names": list(names), "mode": "0640"}
    return spec.normalise({"certificates": [pair]})


def openssl(text: str, *command: str) -> str:
    return subprocess.run(["openssl", *command], input=text, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("names", "common", "alternatives"),
    [
        (["api.example.com", "*.example.com"], "api.example.com", "DNS:api.example.com, DNS:*.example.com"),
        (["10.0.0.5", "fd00::5"], "10.0.0.5", "IP Address:10.0.0.5, IP Address:FD00:0:0:0:0:0:0:5"),
        ([LONG], "self-signed", f"DNS:{LONG}"),
    ],
)
def test_a_new_pair_is_for_its_names(names: list[str], common: str, alternatives: str, tmp_path: Path) -> None:
    payload = wanted(tmp_path, *names)
    certificates.add_files(payload)
    certificate, key = payload["files"]
    assert (certificate["mode"], certificate["secret"]) == ("0644", False)
    assert (key["mode"], key["secret"]) == ("0640", True)
    assert openssl(certificate["content"], "x509", "-noout", "-subject", "-nameopt", "multiline").split("= ")[-1].strip() == common
    assert alternatives in openssl(certificate["content"], "x509", "-noout", "-ext", "subjectAltName")
    public = openssl(key["content"], "pkey", "-pubout")
    assert public == openssl(certificate["content"], "x509", "-noout", "-pubkey")


def test_a_pair_that_is_there_stays(tmp_path: Path) -> None:
    for name in ("x.crt", "x.key"):
        (tmp_path / name).write_text("there")
    payload = wanted(tmp_path, "a")
    certificates.add_files(payload)
    assert [(file["force"], file["content"]) for file in payload["files"]] == [(False, ""), (False, "")]


def test_half_a_pair_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "x.key").write_text("there")
    payload = wanted(tmp_path, "a")
    certificates.add_files(payload)
    assert all(file["force"] and file["content"] for file in payload["files"])


def test_openssl_that_comes_with_this_call_makes_it_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = wanted(tmp_path, "a")
    monkeypatch.setattr(certificates, "command", lambda *_: host.Completed(127, "openssl: command not found"))
    certificates.add_files(payload)
    assert [file["content"] for file in payload["files"]] == ["", ""]
    with pytest.raises(host.StepError, match="openssl is not installed; name it among the packages"):
        certificates.complete(payload)
    monkeypatch.undo()
    certificates.complete(payload)
    assert "BEGIN CERTIFICATE" in payload["files"][0]["content"] and "BEGIN PRIVATE KEY" in payload["files"][1]["content"]


def test_a_pair_that_a_command_of_the_call_took_away_is_made_anew(tmp_path: Path) -> None:
    for name in ("x.crt", "x.key"):
        (tmp_path / name).write_text("there")
    payload = wanted(tmp_path, "a")
    certificates.add_files(payload)
    certificates.complete(payload)
    assert [(file["force"], file["content"]) for file in payload["files"]] == [(False, ""), (False, "")]
    (tmp_path / "x.crt").unlink()
    certificates.complete(payload)
    assert all(file["force"] and "BEGIN" in file["content"] for file in payload["files"])


def test_a_failure_shows_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\nreq: no config"
    monkeypatch.setattr(certificates, "command", lambda *_: host.Completed(1, said))
    with pytest.raises(host.StepError) as error:
        certificates.add_files(wanted(tmp_path, "a"))
    assert str(error.value) == f"{tmp_path}/x.crt: openssl made no certificate: req: no config"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"names": []}, "names is empty"),
        ({"names": ["a,DNS:b"]}, "names has 'a,DNS:b'; allowed: host names and addresses"),
        ({"key": "x.key"}, "path 'x.key' must be absolute"),
        ({"mode": "640a"}, "must be quoted octal digits"),
    ],
)
def test_a_mistake_is_said(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(spec.SpecError) as error:
        spec.normalise({"certificates": [{"certificate": "/x.crt", "key": "/x.key", "names": ["a"], **change}]})
    assert sentence in str(error.value)
