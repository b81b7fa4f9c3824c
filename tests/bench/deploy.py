"""The benchmark's resources for pyinfra."""

from pyinfra.operations import apt, files, server, systemd
from resources import PACKAGES, ROLES, folders
from resources import files as described

for role, package in zip(ROLES, PACKAGES, strict=True):
    apt.packages(packages=[package])
    server.group(group=role, system=True)
    server.user(user=role, group=role, system=True, home=f"/srv/{role}", create_home=False, ensure_home=False)
    for path in folders(role):
        files.directory(path=path, mode="755", user="root", group="root")
    for path, template, mode in described(role):
        files.template(
            src=f"templates/{template}", dest=path, mode=mode[1:], user="root", group="root", role=role, workers=4, secret_word="bench"
        )
    files.link(path=f"/srv/{role}/current", target=f"/etc/{role}")
    systemd.service(service=f"{role}.service", running=True, enabled=True)
