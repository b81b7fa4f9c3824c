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
                found.append(Problem("api_database_pool_size, api_database_max_overflow", given, allowed))
        if self.poolers and self.clients > self.poolers * self.max_client_connections:
            found.append(
                Problem(
                    "pgbouncer_max_client_conn",
                    f"{self.max_client_connections} on {self.poolers} pgbouncer host(s), while api and workers may open {self.clients}",
                    f"at least {-(-self.clients // self.poolers)}, or smaller pools (api_instances, api_processes, api_database_pool_size,"
                    " api_database_max_overflow, concurrency in celery_workers_queues)",
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
