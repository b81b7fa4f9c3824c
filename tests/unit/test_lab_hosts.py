"""The lab's plan: which hosts, which flags, which network. Nothing here starts a container."""

import ipaddress
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slipway import checkout, demo, host, image, lab, network, scenario
from slipway.errors import SlipwayError

BARE = host.Host("slipway-abc-app1", "debian13", "app1")


def inventory(folder: Path, hosts: str, groups: str = "{}") -> Path:
    (folder / "hosts.yml").write_text(f"all:\n  vars: {{ansible_user: root}}\n  hosts: {hosts}\n  children: {groups}\n")
    return folder


@pytest.fixture(autouse=True)
def lab_folder(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab that has not chosen anything yet, whatever runs in this checkout."""
    folder = tmp_path / "lab"
    folder.mkdir()
    if request.node.originalname != "test_every_lab_of_a_checkout_has_names_and_a_folder_of_its_own":
        monkeypatch.setattr(checkout, "lab_dir", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("environ", "remembered", "first"),
    [
        ({}, "", "10.203.57.11"),
        ({}, "10.203.90\n", "10.203.90.11"),
        ({"SLIPWAY_LAB_NETWORK": "10.9.8"}, "", "10.9.8.11"),
        ({"SLIPWAY_LAB_NETWORK": "10.9.8"}, "10.203.90\n", "10.9.8.11"),
        ({"SLIPWAY_LAB_NETWORK": ""}, "10.203.90\n", "10.203.90.11"),
    ],
)
def test_hosts_addresses_and_groups_are_read(
    tmp_path: Path, lab_folder: Path, environ: dict[str, str], remembered: str, first: str
) -> None:
    (lab_folder / "network").write_text(remembered)
    edge = '{ansible_host: "{{ own_lab_network }}.11", lab_image: debian12}'
    app = '{ansible_host: "{{ own_lab_network }}.12", ansible_user: ada}'
    written = f"{{edge1: {edge}, app1: {app}}}"
    found = lab.read(inventory(tmp_path, written, "{nginx: {hosts: {edge1: }}}"), environ)
    one, two = found.hosts
    assert (one.name, one.address, one.distribution, one.user, one.public) == ("edge1", first, "debian12", "root", True)
    assert (two.name, two.distribution, two.user, two.public) == ("app1", "debian13", "ada", False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{ansible_host: 192.0.2.7}", r"a1 has ansible_host '192\.0\.2\.7'.*\n.*10\.203\.57\.0/24"),
        ("{ansible_host: a.example}", "a1 has ansible_host 'a.example'"),
        ("{}", "a1 has ansible_host ''"),
        ('{ansible_host: "{{ own_lab_network }}.11", lab_image: debian11}', "'debian11'. Allowed: debian12, debian13"),
    ],
)
def test_a_host_the_lab_cannot_make_is_named(tmp_path: Path, values: str, message: str) -> None:
    with pytest.raises(SlipwayError, match=message):
        lab.read(inventory(tmp_path, f"{{a1: {values}}}"), {})


@pytest.mark.parametrize("prefix", ["10.203", "10.203.57.0/24", "300.1.1", "ten"])
def test_a_wrong_network_is_refused(prefix: str) -> None:
    with pytest.raises(SlipwayError, match="SLIPWAY_LAB_NETWORK is"):
        network.subnet(prefix)


@pytest.mark.parametrize(("name", "kind"), [("lab", 3), ("single", 1)])
def test_the_inventories_of_this_checkout_are_labs(name: str, kind: int) -> None:
    assert len(lab.read(checkout.root() / "inventories" / name, {}).hosts) == kind


@pytest.mark.parametrize(
    ("name", "environ", "network"),
    [
        ("lab", {}, "10.203.91"),
        ("lab", {"SLIPWAY_LAB": "tests"}, "10.203.92"),
        ("single", {"SLIPWAY_LAB": "tests", "SLIPWAY_LAB_NETWORK": "10.9.8"}, "10.9.8"),
        ("single", {"SLIPWAY_LAB": "new"}, "10.203.57"),
    ],
)
def test_the_inventories_follow_the_labs_choice(tmp_path: Path, name: str, environ: dict[str, str], network: str) -> None:
    """As Ansible reads them, from a checkout with two labs."""
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / name).symlink_to(checkout.root() / "inventories" / name)
    for folder, prefix in (("main", "10.203.91"), ("tests", "10.203.92")):
        (tmp_path / ".slipway/labs" / folder).mkdir(parents=True)
        (tmp_path / ".slipway/labs" / folder / "network").write_text(f"{prefix}\n")
    cleaned = {key: value for key, value in os.environ.items() if not key.startswith("SLIPWAY_")}
    program = Path(sys.executable).parent / "ansible"
    command = [program, "-i", tmp_path / "inventories" / name, "all", "-m", "ansible.builtin.debug", "-a", "var=ansible_host"]
    done = subprocess.run(command, cwd=tmp_path, env=cleaned | environ, capture_output=True, text=True, check=False)
    addresses = re.findall(r'"?ansible_host"?: "?([\d.]+)', done.stdout)
    assert addresses, done.stdout + done.stderr
    assert {address.rpartition(".")[0] for address in addresses} == {network}


@pytest.mark.parametrize(
    ("taken", "user"),
    [
        ({"a": "10.203.57.0/24"}, "a"),
        ({"a": "10.203.56.0/24", "b": "10.203.0.0/16"}, "b"),
        ({"a": "172.17.0.0/16", "b": "fd00::/64"}, None),
        ({"a": "172.17.0.0/16 10.203.57.128/25"}, "a"),
        ({"a": ""}, None),
    ],
)
def test_an_overlap_names_its_user(taken: dict[str, str], user: str | None) -> None:
    assert network.first_overlap(ipaddress.IPv4Network("10.203.57.0/24"), taken) == user


def test_the_machines_routes_are_read_without_the_default_one() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth0\t0039CB0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert network.routes(table) == {"interface eth0": "192.0.2.0/24 10.203.57.0/24"}


def test_docker_hosts_share_the_machines_cgroup_view_and_are_not_privileged() -> None:
    command = host.run_command(BARE, {}, podman=False, resolv_conf=None)
    assert "--cgroupns=host" in command
    assert "/sys/fs/cgroup:/sys/fs/cgroup:rw" in command
    assert "--privileged" not in command
    assert command[-1] == "slipway-host:debian13"


def test_podman_brings_its_own_support_for_systemd() -> None:
    command = host.run_command(BARE, {}, podman=True, resolv_conf=None)
    assert "--systemd=always" in command
    assert not any("cgroup" in word for word in command)


def test_the_place_of_a_lab_host_is_fixed() -> None:
    edge = host.Host("c", "debian12", "edge1", "net", "10.0.0.1", {"app1": "10.0.0.2"}, ["127.0.0.1:8443:443"], {"slipway.lab": "x"})
    command = " ".join(host.run_command(edge, {"PIP_CERT": "/c"}, podman=False, resolv_conf=Path("/etc/resolv.conf")))
    for part in (
        "--network net --ip 10.0.0.1 --add-host app1:10.0.0.2 --publish 127.0.0.1:8443:443 --label slipway.lab=x",
        "--env PIP_CERT=/c",
        "--volume /etc/resolv.conf:/etc/resolv.conf:ro",
        "--hostname edge1",
    ):
        assert part in command


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["nameserver 10.0.0.1\n", "nameserver 10.0.0.2\n"], 0),
        (["nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.0.0.2\n"], 1),
        (["nameserver 127.0.0.11\n", "nameserver ::1\n"], None),
        (["search example\n", ""], None),
    ],
)
def test_a_resolver_on_loopback_is_not_given_to_a_host(tmp_path: Path, files: list[str], chosen: int | None) -> None:
    paths = [tmp_path / str(number) for number in range(len(files))]
    for path, text in zip(paths, files, strict=True):
        path.write_text(text)
    assert host.real_resolv_conf(paths) == (None if chosen is None else paths[chosen])


@pytest.mark.parametrize(
    ("preferred", "used", "base"),
    [([], set(), 8000), ([], {8080, 8543}, 8200), ([9000], {8080}, 9000), ([9000], {9443}, 8000)],
)
def test_the_first_free_pair_of_ports_is_taken(preferred: list[int], used: set[int], base: int) -> None:
    assert lab.first_free_base(preferred, lambda port: port not in used) == base


@pytest.mark.parametrize("written", ["80", "70000", "x", "-1"])
def test_a_wrong_port_base_is_refused(written: str) -> None:
    with pytest.raises(SlipwayError, match="SLIPWAY_LAB_PORT_BASE is"):
        lab.port_base(written)


@pytest.mark.parametrize(
    ("preferred", "taken", "chosen"),
    [
        (["", "10.203.57"], {}, "10.203.57"),
        (["10.203.90", "10.203.57"], {"a": "10.203.57.0/24"}, "10.203.90"),
        (["10.203.90", "10.203.57"], {"a": "10.203.57.0/24 10.203.90.0/25", "b": "10.203.58.0/23"}, "10.203.60"),
        (["", "10.203.57"], {"a": "10.203.57.0/24", "b": "10.203.58.0/23 10.203.60.0/22 10.203.64.0/18 10.203.128.0/17"}, "10.203.0"),
    ],
)
def test_the_first_free_network_is_taken(preferred: list[str], taken: dict[str, str], chosen: str) -> None:
    assert network.first_free(preferred, taken) == chosen


def test_a_machine_without_a_free_network_says_so() -> None:
    with pytest.raises(SlipwayError, match=r"No network of 10\.203\.0 to 10\.203\.255 is free"):
        network.first_free([""], {"a": "10.0.0.0/8"})


def test_every_lab_of_a_checkout_has_names_and_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_LAB", raising=False)
    plain = (network.name(), checkout.lab_dir(), lab.LabHost("edge1", "10.0.0.1", "debian13", "root", True).container)
    assert plain == (
        f"slipway-{checkout.short_hash()}",
        checkout.root() / ".slipway/labs/main",
        f"slipway-{checkout.short_hash()}-edge1",
    )
    monkeypatch.setenv("SLIPWAY_LAB", "tests")
    other = (network.name(), checkout.lab_dir(), lab.LabHost("edge1", "10.0.0.1", "debian13", "root", True).container)
    assert other == (
        f"slipway-{checkout.short_hash()}-tests",
        checkout.root() / ".slipway/labs/tests",
        f"slipway-{checkout.short_hash()}-tests-edge1",
    )
    monkeypatch.setenv("SLIPWAY_LAB", "../x")
    with pytest.raises(SlipwayError, match=r"SLIPWAY_LAB is '\.\./x'"):
        network.name()


def test_two_checkouts_have_different_names(tmp_path: Path) -> None:
    assert checkout.short_hash(tmp_path / "a") != checkout.short_hash(tmp_path / "b")
    assert checkout.short_hash(tmp_path / "a") == checkout.short_hash(tmp_path / "a")


@pytest.mark.parametrize(("platform", "distribution"), [("debian12", "debian12"), ("app-debian13", "debian13")])
def test_a_platforms_name_says_its_distribution(platform: str, distribution: str) -> None:
    assert scenario.distribution(platform) == distribution


def test_a_platform_without_distribution_is_refused() -> None:
    with pytest.raises(SlipwayError, match="Allowed endings: debian12, debian13"):
        scenario.distribution("ubuntu2404")


def test_the_recipe_changes_with_every_file_but_not_with_the_documentation(tmp_path: Path) -> None:
    from slipway.controller import Settings

    (tmp_path / "Dockerfile").write_text("FROM debian:13\n")
    plain = image.recipe_hash(image.recipe(tmp_path, Settings({}, {})))
    assert image.recipe_hash(image.recipe(tmp_path, Settings({"/etc/pip.conf": "x"}, {}))) != plain
    (tmp_path / "README.md").write_text("words\n")
    assert image.recipe_hash(image.recipe(tmp_path, Settings({}, {}))) == plain
    (tmp_path / "Dockerfile").write_text("FROM debian:12\n")
    assert image.recipe_hash(image.recipe(tmp_path, Settings({}, {}))) != plain


def test_only_plain_http_mirrors_of_debian_are_used() -> None:
    targets = "Debian http://mirror.example/debian/\nDebian-Security https://mirror.example/security/\nOther http://other.example/\n"
    assert image.mirrors_from(targets) == {"MIRROR": "http://mirror.example/debian"}


def test_listeners_are_grouped_by_unit() -> None:
    sockets = (
        'LISTEN 0 4096 10.203.57.13:5432 0.0.0.0:* users:(("postgres",pid=9,fd=6))\n'
        'LISTEN 0 4096 [::1]:5432 [::]:* users:(("postgres",pid=9,fd=7))\n'
        'LISTEN 0 128 *:22 *:* users:(("sshd",pid=5,fd=3),("systemd",pid=1,fd=9))\n'
        'LISTEN 0 128 *:99 *:* users:(("nc",pid=7,fd=3))\n'
        "LISTEN 0 128 0.0.0.0:98 0.0.0.0:*\n"
    )
    cgroups = (
        "/proc/1/cgroup:0::/docker/abc/init.scope\n"
        "/proc/5/cgroup:0::/docker/abc/system.slice/ssh.service\n"
        "/proc/9/cgroup:3:cpu:/docker/abc\n"
        "/proc/9/cgroup:0::/docker/abc/system.slice/system-postgresql.slice/postgresql@17-main.service\n"
    )
    assert demo.listeners(sockets, cgroups) == {
        "postgresql@17-main.service": ["10.203.57.13:5432", "[::1]:5432"],
        "ssh.service": ["*:22"],
        "outside of any unit": ["*:99"],
    }
