"""The benchmark's resources, ten roles of twelve, and the same as Ansible tasks and as calls of the engine."""

import re
from typing import Any

ROLES = [f"bench{number}" for number in range(10)]
PACKAGES = ["openssh-server", "sudo", "python3", "tzdata", "iproute2", "procps", "ca-certificates", "dbus", "systemd", "bash"]
COUNT = 12 * len(ROLES)
TEMPLATES = {
    "main.conf.j2": "# settings of {{ role }}\nworkers = {{ workers }}\nlisten = 127.0.0.1\n"
    + "".join(f"option_{n} = {n}\n" for n in range(60)),
    "extra.conf.j2": "# more of {{ role }}\n" + "".join(f"extra_{n} = {{{{ workers }}}}\n" for n in range(20)),
    "env.j2": "WORD={{ secret_word }}\nROLE={{ role }}\n",
    "unit.service.j2": "[Unit]\nDescription={{ role }}\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
}


def files(role: str) -> list[tuple[str, str, str]]:
    """(path, template, mode) of a role."""
    return [
        (f"/etc/{role}/main.conf", "main.conf.j2", "0644"),
        (f"/etc/{role}/conf.d/extra.conf", "extra.conf.j2", "0644"),
        (f"/etc/{role}/env", "env.j2", "0640"),
        (f"/etc/systemd/system/{role}.service", "unit.service.j2", "0644"),
    ]


def folders(role: str) -> list[str]:
    return [f"/etc/{role}", f"/etc/{role}/conf.d", f"/srv/{role}"]


def tasks() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for role, package in zip(ROLES, PACKAGES, strict=True):
        found += [
            {"ansible.builtin.apt": {"name": package}},
            {"ansible.builtin.group": {"name": role, "system": True}},
            {"ansible.builtin.user": {"name": role, "group": role, "system": True, "home": f"/srv/{role}", "create_home": False}},
        ]
        found += [{"ansible.builtin.file": {"path": path, "state": "directory", "mode": "0755"}} for path in folders(role)]
        for path, template, mode in files(role):
            found.append({"ansible.builtin.template": {"src": template, "dest": path, "mode": mode}, "vars": {"role": role}})
        found += [
            {"ansible.builtin.file": {"path": f"/srv/{role}/current", "src": f"/etc/{role}", "state": "link"}},
            {"ansible.builtin.systemd_service": {"name": f"{role}.service", "enabled": True, "state": "started"}},
        ]
    return found


def sections(role: str, package: str) -> dict[str, list[Any]]:
    described = [{"path": path, "template": template, "variables": {"role": role}, "mode": mode} for path, template, mode in files(role)]
    restart_on = [path for path, _template, _mode in files(role)]
    return {
        "packages": [package],
        "groups": [{"name": role, "system": True}],
        "users": [{"name": role, "group": role, "system": True, "home": f"/srv/{role}", "create_home": False}],
        "directories": [{"path": path} for path in folders(role)],
        "files": [*described, {"path": f"/srv/{role}/current", "link": f"/etc/{role}"}],
        "units": [{"name": f"{role}.service", "enabled": True, "state": "started", "restart_on": restart_on}],
    }


def role_calls() -> list[dict[str, Any]]:
    return [{"slipway.stack.state": sections(role, package)} for role, package in zip(ROLES, PACKAGES, strict=True)]


def host_call() -> list[dict[str, Any]]:
    merged: dict[str, list[Any]] = {}
    for role, package in zip(ROLES, PACKAGES, strict=True):
        for section, items in sections(role, package).items():
            merged.setdefault(section, []).extend(items)
    return [{"slipway.stack.state": merged}]


def pyinfra_unchanged(output: str) -> bool:
    """pyinfra's last table has a grand total: all operations counted, none with a change."""
    totals = re.findall(r"Grand total\s+(\S+)\s+(\S+)\s+(\S+)", output)
    return bool(totals) and totals[-1][1] in ("-", "0")
