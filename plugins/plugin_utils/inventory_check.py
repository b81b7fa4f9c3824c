# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with an inventory as a whole: names that nobody knows, groups that have no role, pools that do not fit.

Every check returns `Problem`s and raises nothing, so that one message can list them all. Types and secrets are in arguments.py,
values and relations in checks.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.slipway.stack.plugins.plugin_utils.arguments import Problem, one_line

OWN_PREFIXES = ("own_", "secret_", "vault_")
"""An environment names variables of its own with one of these; any other name must be one that a role knows."""

_CONNECTION_VARIABLES = """
    ansible_become ansible_become_exe ansible_become_flags ansible_become_method ansible_become_pass ansible_become_password
    ansible_become_user ansible_check_mode ansible_connection ansible_diff_mode ansible_docker_host ansible_facts ansible_forks ansible_host
    ansible_host_key_checking ansible_password ansible_pipelining ansible_port ansible_private_key_file ansible_python_interpreter
    ansible_remote_tmp ansible_scp_if_ssh ansible_sftp_executable ansible_shell_executable ansible_shell_type ansible_ssh_args
    ansible_ssh_common_args ansible_ssh_executable ansible_ssh_extra_args ansible_ssh_host ansible_ssh_host_key_checking ansible_ssh_pass
    ansible_ssh_password ansible_ssh_pipelining ansible_ssh_port ansible_ssh_private_key_file ansible_ssh_retries ansible_ssh_timeout
    ansible_ssh_transfer_method ansible_ssh_use_tty ansible_ssh_user ansible_sudo_pass ansible_timeout ansible_user
"""
CONNECTION_VARIABLES = frozenset(_CONNECTION_VARIABLES.split())
"""What Ansible and its connections read. A misspelt one is ignored in silence: Ansible then comes as another user, at another port."""


_APPLICATION = {
    "source": "source",
    "python": "python",
    "installer": "installer",
    "uv_version": "uv_version",
    "packages": "packages",
    "post_install_commands": "build.commands",
    "build_environment": "build.environment",
    "build_secrets": "build.secrets",
    "build_strict": "build.strict",
    "verify_imports": "build.imports",
    "keep_releases": "keep_releases",
    "environment": "environment",
    "secrets": "connections, or secrets for what is none",
    "secret_delivery": "secret_delivery",
    "directories": "directories",
}
_PROCESS = {
    "allowed_networks": "networks",
    "runtime_code": "runtime_code",
    "sandbox_exceptions": "sandbox_exceptions",
    "stop_timeout": "stop_timeout",
}
MOVED = {
    **{f"{role}_{old}": f"applications.NAME.{new}" for role in ("api", "celery_workers") for old, new in _APPLICATION.items()},
    **{f"api_{old}": f"applications.NAME.processes.web.{new}" for old, new in _PROCESS.items()},
    **{f"celery_workers_{old}": f"applications.NAME.processes.WORKER.{new}" for old, new in _PROCESS.items()},
    "api_name": "applications.NAME: the name is the key",
    "api_user": "nothing: the account has the application's name",
    "api_unit": "nothing: the units are called NAME-web@PORT",
    "api_module": "applications.NAME.processes.web: {type: asgi, app: ...}",
    "api_command": "applications.NAME.processes.web.command",
    "api_exec_prefix": "applications.NAME.processes.web.exec_prefix",
    "api_port": "applications.NAME.processes.web.port",
    "api_instances": "applications.NAME.processes.web.instances",
    "api_processes": "applications.NAME.processes.web.workers",
    "api_memory_max": "applications.NAME.processes.web.memory_max",
    "api_ready_timeout": "applications.NAME.processes.web.start_timeout",
    "api_ready_settle": "applications.NAME.processes.web.settle",
    "api_health_path": "applications.NAME.health.live",
    "api_ready_path": "applications.NAME.health.ready",
    "api_metrics_path": "applications.NAME.health.metrics",
    "api_migrate_command": "applications.NAME.migrate.command",
    "api_migrate_environment": "applications.NAME.migrate.environment",
    "api_migrate_secrets": "applications.NAME.migrate.connections, or migrate.secrets for what is none",
    "api_migrate_timeout": "applications.NAME.migrate.timeout",
    "api_database_pool_size": "applications.NAME.connections.DATABASE_URL.pool.size, with size_variable for the application",
    "api_database_max_overflow": "applications.NAME.connections.DATABASE_URL.pool.overflow, with overflow_variable for the application",
    "celery_workers_name": "applications.NAME: workers and api are processes of one application",
    "celery_workers_user": "nothing: the account has the application's name",
    "celery_workers_app": "applications.NAME.processes.WORKER: {type: celery, app: ...}",
    "celery_workers_queues": "a process of type celery for each entry: applications.NAME.processes.WORKER: {type: celery, app: ...}",
    "celery_workers_start_timeout": "applications.NAME.processes.WORKER.start_timeout",
    "celery_workers_beat_scheduler": "applications.NAME.processes.beat: {type: celery_beat, app: ..., scheduler: ...}",
    "monitoring_api_metrics": "applications.NAME.health.metrics: empty for an application without metrics",
    "monitoring_api_metrics_path": "applications.NAME.health.metrics",
    "nginx_server_names": "applications.NAME.domains: [{names: [...]}]",
    "nginx_upstreams": "nothing: the instances of applications.NAME.domains[].process, by default the first that answers requests",
    "nginx_tls_certificate": "applications.NAME.domains: [{names: [...], tls_certificate: ...}]",
    "nginx_tls_key": "applications.NAME.domains: [{names: [...], tls_key: ...}]",
}
"""What was one application in an inventory, with what to write in its place."""


def unknown_variables(names: Iterable[str], known: Iterable[str], foreign: Sequence[str] = ()) -> list[Problem]:
    """Names that no role knows, each with the nearest known one; Ansible itself accepts `redis_prot: 1` in silence.

    `foreign`: beginnings of names that belong to somebody else."""
    known = sorted(set(known))
    problems = []
    for name in names:
        if name in known or name.startswith((*OWN_PREFIXES, *foreign)):
            continue
        if name.startswith("ansible_"):
            near = difflib.get_close_matches(name, sorted(CONNECTION_VARIABLES), n=1, cutoff=0.8)
            if name not in CONNECTION_VARIABLES and near:
                problems.append(Problem(name, "a name that Ansible does not know", f"did you mean {near[0]}?"))
            continue
        if name in MOVED:
            problems.append(Problem(name, "a name of an earlier version", f"{MOVED[name]} (docs/applications.md)"))
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}? Otherwise a" if near else "a"
        own = f"name that begins with {', '.join(OWN_PREFIXES)} for variables of your own, or a beginning listed in own_foreign_prefixes"
        problems.append(Problem(one_line(name), "a name that no role knows", f"{hint} {own}"))
    return problems


def unknown_groups(groups: Mapping[str, Sequence[str]], roles: Iterable[str], more: Iterable[str]) -> list[Problem]:
    """Groups whose name is nearly that of a role: their hosts would get nothing. Other groups are the user's own."""
    roles = sorted(set(roles))
    problems = []
    for name in groups:
        near = difflib.get_close_matches(name, roles, n=1, cutoff=0.75) or [role for role in roles if name.startswith(role)]
        if name not in roles and name not in more and near:
            problems.append(Problem(f"group {one_line(name)}", "the name of no role", f"did you mean {near[0]}?"))
    return problems


@dataclass(frozen=True)
class Pools:
    """What the pools of one environment add up to, against what PostgreSQL and the pools take.

    `sizes`: connections of each database's pool, for one user. `clients`: connections that applications and workers may open.
    `direct`: connections that go past the pools (exporter, migration, dump). Without `poolers` the clients go straight to PostgreSQL.
    """

    max_connections: int
    superuser_reserved: int
    users: int
    sizes: Sequence[int]
    reserve_pool_size: int
    poolers: int
    direct: int
    max_client_connections: int
    clients: int

    def server_connections(self) -> int:
        """Connections that may be open to PostgreSQL at a time."""
        if not self.poolers:
            return self.clients + self.direct
        return self.poolers * self.users * sum(size + self.reserve_pool_size for size in self.sizes) + self.direct

    def problems(self) -> list[Problem]:
        """Too many server connections, or more clients than the pools take."""
        found = []
        room = self.max_connections - self.superuser_reserved
        if self.server_connections() > room:
            allowed = f"at most {room} (postgres_max_connections {self.max_connections} - {self.superuser_reserved} reserved)"
            if self.poolers:
                sizes = " + ".join(str(size) for size in self.sizes)
                given = (
                    f"{sizes}: {self.poolers} pgbouncer host(s) x {self.users} user(s) x {len(self.sizes)} database(s) of {sizes}"
                    f" with a reserve of {self.reserve_pool_size} (pgbouncer_reserve_pool_size) each, and {self.direct} direct ="
                    f" {self.server_connections()} connections"
                )
                found.append(
                    Problem("pgbouncer_default_pool_size, pgbouncer_databases[].pool_size", given, allowed + ": smaller pools, or more")
                )
            else:
                given = f"pools of {self.clients} connections straight to PostgreSQL, without pgbouncer, and {self.direct} besides"
                found.append(Problem("applications{}.connections{}.pool", given, allowed))
        if self.poolers and self.clients > self.poolers * self.max_client_connections:
            found.append(
                Problem(
                    "pgbouncer_max_client_conn",
                    f"{self.max_client_connections} on {self.poolers} pgbouncer host(s), while the applications may open {self.clients}",
                    f"at least {-(-self.clients // self.poolers)}, or smaller pools (pool, instances,"
                    " workers and concurrency in applications)",
                )
            )
        return found


def merge(problems: Sequence[tuple[str, Problem]]) -> list[Problem]:
    """The same problem on several hosts, once, with the hosts."""
    merged: dict[tuple[str, str, str, str], Problem] = {}
    for host, problem in problems:
        key = (problem.variable, problem.given, problem.allowed, problem.where)
        entry = merged.setdefault(key, Problem(problem.variable, problem.given, problem.allowed, problem.where))
        if host and host not in entry.hosts:
            entry.hosts.append(host)
    return list(merged.values())
