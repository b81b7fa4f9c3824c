"""When the program of the role certificates asks for a new certificate, and in what words it says why there is none."""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles/certificates/files/slipway_certificates.py"
NAMES = ["shop.example.org", "www.shop.example.org"]
HOUR = 3600


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slipway_certificates", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["slipway_certificates"] = module
    spec.loader.exec_module(module)
    return module


program = load()


@pytest.fixture
def certificates(tmp_path: Path) -> Any:
    """Of one site, with an authority that is not there."""
    served = tmp_path / "tls/served/shop/fullchain.pem"
    configuration = {
        "sites": [{"name": "shop", "names": NAMES, "acme": True, "certificate": str(served)}],
        "folder": str(tmp_path),
        "tls_folder": str(tmp_path / "tls"),
        "webroot": str(tmp_path / "acme"),
        "directory_url": "https://127.0.0.1:9/dir",
        "ca_bundle": "",
        "check_names": True,
        "challenge": "http",
    }
    return program.Certificates(configuration, now_too=False)


def issued(lived: float, left: float, *names: str) -> Any:
    """A certificate that has lived so many hours and has so many left."""
    now = time.time()
    return program.Certificate(int(now - lived * HOUR), int(now + left * HOUR), frozenset(names or NAMES), "ab" * 32, "01", "AA:BB")


@pytest.mark.parametrize("days", [90, 45, 6])
def test_two_thirds_of_any_lifetime(days: int, certificates: Any) -> None:
    """Thirty days before the end would be all the time for one of six days."""
    hours = days * 24
    site = certificates.sites[0]
    assert certificates.due(site, issued(hours * 0.66, hours * 0.34)) == ""
    assert certificates.due(site, issued(hours * 0.67, hours * 0.33)) == "two thirds of its lifetime are over"


def test_the_authority_decides_where_it_says_so(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site, young, old = certificates.sites[0], issued(1, 100), issued(90, 10)
    monkeypatch.setattr(certificates, "suggested", lambda _: time.time() - 1)
    assert certificates.due(site, young) == "the authority wants it renewed"
    monkeypatch.setattr(certificates, "suggested", lambda _: time.time() + HOUR)
    assert certificates.due(site, old) == ""


def test_other_names_and_another_authority_are_due(certificates: Any) -> None:
    site = certificates.sites[0]
    assert certificates.due(site, None) == "there is none"
    assert certificates.due(site, issued(1, 100, "shop.example.org")) == "it is for shop.example.org"
    assert certificates.due(site, issued(100, -1)) == "it has expired"
    certificates.state["shop"] = {"authority": "https://staging/dir"}
    assert certificates.due(site, issued(1, 100)) == "it comes from https://staging/dir"


def test_each_failure_waits_longer_and_a_person_need_not_wait(certificates: Any) -> None:
    site = certificates.sites[0]
    waits = []
    for _attempt in range(7):
        certificates.ask(site)
        waits.append(round((certificates.state["shop"]["next"] - time.time()) / HOUR))
    assert waits == [1, 2, 4, 8, 16, 24, 24]
    site.action, site.reason = "issue", "there is none"
    certificates.hold_back(site)
    assert (site.action, len(site.warnings)) == ("", 1)
    assert "the ACME server https://127.0.0.1:9/dir does not answer" in site.warnings[0]
    certificates.now_too, site.action = True, "issue"
    certificates.hold_back(site)
    assert site.action == "issue"
    certificates.state["shop"]["until"] = time.time() + HOUR  # the authority's own word binds everybody
    certificates.hold_back(site)
    assert site.action == ""


def test_a_rate_limit_says_until_when() -> None:
    said = "An unexpected error occurred:\nError creating new order :: too many certificates (5) already issued for this exact set of "
    error = program.refusal(
        said + "identifiers in the last 168h0m0s, retry after 2031-05-06 07:08:09 UTC: see https://letsencrypt.org/docs/"
    )
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(error.until)) == "2031-05-06T07:08:09"
    assert str(error).startswith("the ACME server limits the rate of requests: ")
    assert program.refusal("  Detail: 192.0.2.7: Connection refused").until == 0
