"""What the controller passes on to its hosts: authorities, proxies, indexes; never what only means something here."""

from pathlib import Path

import pytest

from slipway import controller

COMPANY = "-----BEGIN CERTIFICATE-----\ncompany\n-----END CERTIFICATE-----"
PUBLIC = "-----BEGIN CERTIFICATE-----\npublic\n-----END CERTIFICATE-----"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine's files: one certificate that every Debian ships, and no settings."""
    shipped = tmp_path / "usr/share/ca-certificates/mozilla"
    shipped.mkdir(parents=True)
    (shipped / "public.crt").write_text(PUBLIC)
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_a_machine_without_settings_passes_nothing_on(machine: Path) -> None:
    assert controller.collect({}, machine, apt_dump="") == controller.Settings({}, {})


def test_only_the_companys_certificates_are_passed_on(machine: Path) -> None:
    bundle = machine / "bundle.pem"
    bundle.write_text(f"{PUBLIC}\n# a comment\n{COMPANY}\n{COMPANY}\n")
    settings = controller.collect({"SSL_CERT_FILE": str(bundle)}, machine, apt_dump="")
    certificates = {path: text for path, text in settings.files.items() if path.endswith(".crt")}
    assert certificates == {"/usr/local/share/ca-certificates/controller-000.crt": f"{COMPANY}\n"}
    assert settings.environment == dict.fromkeys(["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"], controller.BUNDLE)
    assert settings.files["/etc/pip.conf"] == f"[global]\ncert = {controller.BUNDLE}\n"
    assert settings.files["/etc/uv/uv.toml"] == "system-certs = true\n"


def test_a_certificate_in_the_systems_own_folder_needs_no_variable(machine: Path) -> None:
    folder = machine / "usr/local/share/ca-certificates"
    folder.mkdir(parents=True)
    (folder / "company.crt").write_text(COMPANY)
    assert "/usr/local/share/ca-certificates/controller-000.crt" in controller.collect({}, machine, apt_dump="").files


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://packages.example/simple", "https://packages.example/simple"),
        ("file:///opt/packages/simple", ""),
        ("/opt/packages", ""),
        ("http://localhost:3141/simple", ""),
        ("http://127.0.0.1:3128", ""),
        ("https://a.example/simple file:///opt/x https://b.example/simple", "https://a.example/simple https://b.example/simple"),
    ],
)
def test_what_only_this_machine_can_reach_stays_here(machine: Path, value: str, kept: str) -> None:
    settings = controller.collect({"PIP_EXTRA_INDEX_URL": value}, machine, apt_dump="")
    assert settings.environment.get("PIP_EXTRA_INDEX_URL", "") == kept
    assert (f"extra-index-url = {kept}" in settings.files.get("/etc/pip.conf", "")) == bool(kept)


def test_pips_files_are_read_in_pips_order_and_reach_uv_too(machine: Path) -> None:
    (machine / "etc/pip.conf").write_text("[global]\nindex-url = https://first.example/simple\ntrusted-host = first.example\n")
    own = machine / "home/.config/pip"
    own.mkdir(parents=True)
    (own / "pip.conf").write_text("[global]\nindex-url = https://second.example/simple\n")
    files = controller.collect({"HOME": str(machine / "home")}, machine, apt_dump="").files
    assert files["/etc/pip.conf"] == "[global]\nindex-url = https://second.example/simple\ntrusted-host = first.example\n"
    assert files["/etc/uv/uv.toml"] == 'index-url = "https://second.example/simple"\n'


def test_uvs_own_index_wins_over_pips(machine: Path) -> None:
    environ = {"PIP_INDEX_URL": "https://pip.example/simple", "UV_DEFAULT_INDEX": "https://uv.example/simple"}
    files = controller.collect(environ, machine, apt_dump="").files
    assert files["/etc/uv/uv.toml"] == 'index-url = "https://uv.example/simple"\n'


@pytest.mark.parametrize(
    ("dump", "environ", "expected"),
    [
        ('Acquire::http::Proxy "http://apt.example:3142";\n', {}, 'Acquire::http::Proxy "http://apt.example:3142";\n'),
        ("", {"http_proxy": "http://proxy.example:3128"}, 'Acquire::http::Proxy "http://proxy.example:3128";\n'),
        (
            'Acquire::http::Proxy "http://apt.example:3142";\n',
            {"http_proxy": "http://x.example"},
            'Acquire::http::Proxy "http://apt.example:3142";\n',
        ),
        ('Acquire::http::Proxy "http://localhost:3142";\n', {}, None),
    ],
)
def test_apt_gets_its_own_proxy_or_the_environments(machine: Path, dump: str, environ: dict[str, str], expected: str | None) -> None:
    assert controller.collect(environ, machine, apt_dump=dump).files.get("/etc/apt/apt.conf.d/90controller") == expected
