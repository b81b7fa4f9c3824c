#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""slipway.stack.release: builds one release of a Python application beside the running one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Build one release of a Python application, with its own virtual environment
version_added: "0.1.0"
description:
  - Builds C(<root>/<name>/releases/<id>/) with the folders C(source) and C(venv), and never makes it live.
    Pointing the link C(current) at it and restarting the service is the work of M(slipway.stack.state).
  - The id is computed from the content of the source and from everything that decides what is installed, so the same
    source built twice is built once, and check mode predicts the id exactly.
  - The file C(release.json) is written last. A folder without it is a build that was killed; the next run removes it.
  - Directories and git repositories are read on the controller and sent as one archive. Hosts need neither git nor a deploy key.
  - Files of a release belong to root and only root can write them.
  - Package indexes and certificate authorities are those of the host (C(PIP_*), C(UV_*), C(npm_config_*), C(SSL_CERT_FILE) and
    proxies in C(/etc/environment); C(/etc/pip.conf), for uv as well). Without such a setting the system's certificate bundle is used.
  - A migration runs at most once per release and command, as O(user), with the new code, before anything is live.
  - Submodules and LFS files of git repositories are not fetched.
options:
  application:
    description:
      - One entry of what the filter P(slipway.stack.applications#filter) makes of an inventory, in place of the options below.
      - Either this, or O(name) and O(source).
    type: dict
  stage:
    description:
      - V(build) leaves the migration for a later call, and RV(migration_due) tells whether one is wanted; V(migrate) is that call.
      - So every host can have the new release before any database changes.
    type: str
    choices: [all, build, migrate]
    default: all
  name:
    description: Name of the application; its releases are in C(<root>/<name>/releases).
    type: str
  root:
    description: Folder of all applications.
    type: path
    default: /opt
  source:
    description: Where the application comes from.
    type: dict
    suboptions:
      type:
        description:
          - V(directory) is a folder on the controller, V(git) a repository the controller can read, V(file) a wheel or an sdist on the
            controller, V(package) a pinned requirement from the host's package index.
        type: str
        required: true
        choices: [directory, git, file, package]
      path:
        description: The folder (V(directory)) or the file (V(file)); relative paths start at the playbook's folder.
        type: str
      url:
        description:
          - The repository (V(git)). A user and token in it (C(https://user:token@host/path)) stay on the controller and out of every
            argument and message.
        type: str
      version:
        description: Branch, tag or full commit id (V(git)). What it means is looked up in every run.
        type: str
        default: HEAD
      subdirectory:
        description: The application's folder inside of the tree (V(directory), V(git)).
        type: str
      requirement:
        description: For example C(datasette==0.65.1) (V(package)). A requirement without an exact version is refused.
        type: str
      requirements:
        description:
          - File that decides the versions of all dependencies. Hashes in it are enforced.
          - In a tree the first of C(uv.lock), C(poetry.lock), C(pdm.lock) and C(requirements.txt) decides when nothing is named here,
            or the C(uv.lock) of the workspace to which O(source.subdirectory) belongs. Without any a warning says so.
          - For V(file) and V(package) it is a file on the controller.
        type: str
      additional:
        description: More pinned requirements to install, for example an ASGI server.
        type: list
        elements: str
        default: []
      install_project:
        description:
          - Whether to install the tree itself, as its C(pyproject.toml) says. Without this option it is installed when nothing pins the
            dependencies, and with a lock when C(pyproject.toml) names a build system; else its folder is put on the import path.
        type: bool
      exclude:
        description: Patterns of files to leave out, beside version control, caches, virtual environments and C(.env) files.
        type: list
        elements: str
        default: []
  python:
    description: V(python3) or a path is an interpreter of the host; a version such as V(3.12) is one that uv installs and manages.
    type: str
    default: python3
  installer:
    description: What creates the virtual environment and installs into it.
    type: str
    choices: [uv, pip]
    default: uv
  uv_version:
    description: Version of uv that is installed into C(/opt/slipway/uv) when the host has none.
    type: str
    default: 0.13.9
  post_install:
    description:
      - Commands run in the source folder with the virtual environment active, as part of the build, with O(environment),
        O(build_environment) and O(build_secrets). They do not get O(secrets).
    type: list
    elements: str
    default: []
  build_environment:
    description: Environment of O(post_install) alone, such as a SECRET_KEY that only has to be there. A change makes a new release.
    type: dict
    default: {}
  build_secrets:
    description: More of it, never shown. A change makes no new release.
    type: dict
    default: {}
  strict:
    description: Whether a source that does not compile and packages that contradict each other are errors. Else they are warnings.
    type: bool
    default: false
  imports:
    description: Python modules that must be importable from the new release, as O(user) with O(environment) and O(secrets).
    type: list
    elements: str
    default: []
  migrate:
    description: Command that migrates the database, run once per release, as a list of words. Empty for none.
    type: list
    elements: str
    default: []
  migrate_check:
    description:
      - Command that must succeed after O(migrate), with the same environment, such as C(manage.py migrate --check). Else the release is
        not called migrated, and the next run migrates again.
    type: list
    elements: str
    default: []
  migrate_timeout:
    description:
      - Seconds the migration may take. After that it gets SIGTERM, so that the database takes an open transaction back, and SIGKILL
        20 seconds later.
    type: int
    default: 1800
  migrate_files:
    description:
      - Patterns of the files that are the migrations. Where they differ from those of the release that migrated last, RV(schema_changes)
        says so, and M(slipway.stack.release_info) refuses the way back.
    type: list
    elements: str
    default: ["**/migrations/*.py", "**/migrations/*.sql", "**/versions/*.py"]
  schema:
    description:
      - Whether migrations may take away what the release that is live may still read, such as a column. V(refuse) names file and line, as
        far as they can be read from the text of Alembic's, Django's and SQL migrations; V(accept) is for code that does without already.
    type: str
    choices: [refuse, accept]
    default: refuse
  migrate_database:
    description:
      - URL of the database, straight to PostgreSQL, as the account that migrates. While O(migrate) runs an advisory lock is held there,
        so that nobody else migrates this application, and what is left of it is ended when it fails. Needs psycopg2 on the host.
        Empty for neither.
    type: str
    default: ""
  migrate_lock_timeout:
    description: Seconds that a statement of O(migrate) may wait for a lock; then it is cancelled and the holder named. 0 for any.
    type: int
    default: 10
  migrate_environment:
    description: Environment of O(migrate) alone, added to O(environment).
    type: dict
    default: {}
  migrate_secrets:
    description: Secrets of O(migrate) alone, added to O(secrets); the database is addressed directly here, not through a pooler.
    type: dict
    default: {}
  user:
    description: System user for O(imports) and O(migrate). Without it they run as root.
    type: str
    default: ""
  environment:
    description:
      - Environment of O(imports) and O(migrate), and of O(post_install). V(true) and V(false) are written so, lists and dictionaries as
        JSON.
    type: dict
    default: {}
  secrets:
    description: More of it for O(imports) and O(migrate), never shown and never an argument.
    type: dict
    default: {}
  secret_delivery:
    description:
      - How they get O(secrets), which should be as the running application does. V(environment) as variables; V(files) in files that
        live as long as the command, each named by the variable C(<NAME>_FILE).
    type: str
    choices: [environment, files]
    default: environment
  keep:
    description: How many releases stay. The present and the previous one of every link always do.
    type: int
    default: 5
  timeout:
    description: Seconds a single build command may take, and how long to wait for another run.
    type: int
    default: 1800
  payload:
    description: What the controller found out about the source. Filled in by the action plugin; never set it.
    type: dict
    suboptions:
      kind:
        description: Kind of what travels.
        type: str
      label:
        description: Readable part of the id.
        type: str
      digest:
        description: Changes exactly when the source does.
        type: str
      filename:
        description: Name of a wheel or sdist.
        type: str
      requirements_text:
        description: Content of the controller's requirements file.
        type: str
      path:
        description: Where the payload lies on the host.
        type: str
      member:
        description: The application's folder in an archive that holds its whole workspace.
        type: str
      version:
        description: What the build would ask version control for.
        type: str
attributes:
  check_mode:
    description: The id and every action are predicted; nothing is written.
    support: full
  diff_mode:
    description: Shows which releases come and go.
    support: full
  idempotent:
    description: A second run with the same options, on a host that nobody else has changed, changes nothing.
    support: full
requirements:
  - python3-venv on the host
  - git on the controller, for V(source.type=git)
author:
  - Slipway maintainers (@slipway)
"""

EXAMPLES = r"""
- name: Build the release
  slipway.stack.release:
    name: app
    source:
      type: git
      url: https://git.example.com/orders.git
      subdirectory: backend
      version: v1.4.0
    user: app
    migrate: [alembic, upgrade, head]
    migrate_secrets:
      DATABASE_URL: "{{ vault_database_admin_url }}"
  register: app_release

- name: Build a third-party application from the package index
  slipway.stack.release:
    name: datasette
    source:
      type: package
      requirement: datasette==0.65.1
"""

RETURN = r"""
id:
  description: Name of the release, also in check mode.
  returned: always
  type: str
  sample: datasette-0.65.1-3f2a9c01b7de
path:
  description: Its folder.
  returned: always
  type: str
actions:
  description: What was done, or would be.
  returned: always
  type: list
  elements: str
  sample: ["build datasette-0.65.1-3f2a9c01b7de", "remove datasette-0.64.0-77aa01c2f3d4"]
migration_due:
  description: Whether a migration with this release is wanted that has not been run.
  returned: always
  type: bool
schema_changes:
  description: Whether that migration is another one than the database has seen. Not known in check mode before the build.
  returned: always
  type: bool
live:
  description: The folder that each link of the application means, which is not yet the new release.
  returned: always
  type: dict
  sample: {current: /opt/datasette/releases/datasette-0.64.0-77aa01c2f3d4}
previous:
  description: Per link the release that was live before the present one, for a rollback; empty when there was none.
  returned: always
  type: dict
"""

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.stack.plugins.module_utils.environment import InvalidEnvironmentError, texts
from ansible_collections.slipway.stack.plugins.module_utils.release import schema, settings
from ansible_collections.slipway.stack.plugins.module_utils.release.build import (
    CACHE,
    PYTHON_HOME,
    Build,
    CommandError,
    Plan,
    Runner,
    activated,
    check_user,
    manifest,
    words,
)
from ansible_collections.slipway.stack.plugins.module_utils.release.guard import Guard, GuardError
from ansible_collections.slipway.stack.plugins.module_utils.release.removals import removals
from ansible_collections.slipway.stack.plugins.module_utils.release.store import (
    MANIFEST,
    MIGRATED,
    Store,
    StoreError,
    prunable,
    release_id,
    write_atomic,
)

# In memory, and gone with the command that needs them.
SECRETS_HOME = Path("/run/slipway/release")
MIGRATION_PATIENCE = 60
"""Seconds that a migration waits for another one of the same application to end."""

SOURCE = {
    "type": {"type": "str", "required": True, "choices": ["directory", "git", "file", "package"]},
    "path": {"type": "str"},
    "url": {"type": "str"},
    "version": {"type": "str", "default": "HEAD"},
    "subdirectory": {"type": "str"},
    "requirement": {"type": "str"},
    "requirements": {"type": "str"},
    "additional": {"type": "list", "elements": "str", "default": []},
    "install_project": {"type": "bool"},
    "exclude": {"type": "list", "elements": "str", "default": []},
}
PAYLOAD = {key: {"type": "str"} for key in ("kind", "label", "digest", "filename", "requirements_text", "path", "member", "version")}


def plan_of(params: dict[str, Any]) -> Plan:
    source, payload = params["source"], params["payload"]
    return Plan(
        kind=payload["kind"],
        requirement=source["requirement"] or "",
        requirements=source["requirements"] or "",
        requirements_text=payload["requirements_text"] or "",
        additional=source["additional"],
        install_project=source["install_project"],
        python=params["python"],
        installer=params["installer"],
        uv_version=params["uv_version"],
        post_install=params["post_install"],
        strict=params["strict"],
        member=payload["member"] or "",
        version=payload["version"] or "",
    )


def recipe_of(plan: Plan, digest: str, params: dict[str, Any]) -> dict[str, object]:
    """Everything that decides the content of a release. The interpreter of a new distribution makes a new release."""
    version = plan.python
    if plan.python == "python3":
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = subprocess.run(["/usr/bin/python3", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "digest": digest,
        "requirements": [plan.requirements if plan.kind == "archive" else "", plan.requirements_text],
        "additional": list(plan.additional),
        "install_project": plan.install_project,
        "python": version,
        "installer": plan.installer,
        "post_install": list(plan.post_install),
        "build_environment": digest_of(post_install_environment(params)) if plan.post_install else "",
    }


def digest_of(values: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def post_install_environment(params: dict[str, Any]) -> dict[str, str]:
    """What the commands of the build see beside the virtual environment, without secrets."""
    return texts({**params["environment"], **params["build_environment"]})


def build_environment() -> dict[str, str]:
    def text(path: str) -> str:
        return Path(path).read_text(errors="replace") if Path(path).is_file() else ""

    bundle = settings.SYSTEM_BUNDLE if Path(settings.SYSTEM_BUNDLE).is_file() else ""
    found = settings.index_environment(os.environ, text("/etc/environment"), text("/etc/pip.conf"), bundle)
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_CACHE_DIR": str(CACHE / "pip"),
        "UV_CACHE_DIR": str(CACHE / "uv"),
        "UV_PYTHON_INSTALL_DIR": str(PYTHON_HOME),
        "UV_NO_PROGRESS": "1",
        # Programs of the build may be started from there, which a hardened /tmp does not allow.
        "TMPDIR": str(CACHE / "tmp"),
        **found,
    }


@contextlib.contextmanager
def application_environment(
    params: dict[str, Any], venv: Path, environment: dict[str, Any], secrets: dict[str, Any]
) -> Iterator[dict[str, str]]:
    """The environment of the running application, secrets included, delivered as it gets them, and more of both."""
    given = {**activated(venv), **texts({**params["environment"], **environment})}
    delivered = texts({**params["secrets"], **secrets})
    if params["secret_delivery"] == "environment" or not delivered:
        yield {**given, **delivered}
        return
    folder = SECRETS_HOME / params["name"]
    group = pwd.getpwnam(params["user"]).pw_gid if params["user"] else 0
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    try:
        folder.mkdir(mode=0o750)
        os.chown(folder, 0, group)
        for name, value in delivered.items():
            path = folder / name
            path.touch(0o600)
            os.chown(path, 0, group)
            path.chmod(0o640)
            path.write_text(value)
        yield {**given, **{f"{name}_FILE": str(folder / name) for name in delivered}}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build(params: dict[str, Any], store: Store, identity: str, plan: Plan, recipe: dict[str, object], runner: Runner) -> list[str]:
    """Build the release and write its manifest last; gives what the operator should know."""
    started = time.monotonic()
    payload = Path(params["payload"]["path"]) if params["payload"]["path"] else None
    making = Build(store.path(identity), plan, runner)
    making.unpack(payload)
    making.make_environment()
    making.install(payload)
    installed = making.finish({**post_install_environment(params), **texts(params["build_secrets"]), **activated(making.venv)})
    if params["imports"]:
        code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
        argv = [str(making.venv / "bin/python"), "-c", code, *params["imports"]]
        with application_environment(params, making.venv, {}, {}) as environment:
            runner.run(argv, cwd=making.source, purpose="imports", extra=environment, user=params["user"])
    os.sync()
    content = {"id": identity, "source": describe_source(params), "recipe": recipe, "packages": installed,
               "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
    write_atomic(store.path(identity) / MANIFEST, manifest(content))
    return making.warnings


def describe_source(params: dict[str, Any]) -> dict[str, object]:
    source = {key: value for key, value in params["source"].items() if value not in (None, [], "")}
    return {**source, "digest": params["payload"]["digest"]}


def migrate(params: dict[str, Any], store: Store, identity: str, runner: Runner) -> None:
    folder = store.path(identity)
    venv = folder / "venv"
    guard = Guard(params["migrate_database"], params["name"], MIGRATION_PATIENCE, params["migrate_lock_timeout"])
    try:
        with guard, application_environment(params, venv, params["migrate_environment"], params["migrate_secrets"]) as environment:
            for purpose, argv in (("migrate", params["migrate"]), ("the check after the migration", params["migrate_check"])):
                if argv:
                    runner.run(
                        words(argv, venv),
                        cwd=folder / "source", purpose=purpose, extra=environment, user=params["user"], seconds=params["migrate_timeout"],
                    )  # fmt: skip
    except CommandError as error:
        raise CommandError(f"migrate: {guard.blocked}\n{error}" if guard.blocked else str(error)) from None
    done = {"command": params["migrate"], "migrated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    write_atomic(folder / MIGRATED, manifest(done))
    schema.remember(store, identity, params["migrate_files"])


class SchemaError(Exception):
    """The migrations do not suit the code that runs meanwhile."""


def removed_for_what_runs(params: dict[str, Any], store: Store, identity: str) -> list[str]:
    """What the migration will take away from the releases that are live."""
    new = store.path(identity) / "source"
    live = {store.path(name) / "source" for name in store.live().values()} - {new}
    return sorted({line for folder in live for line in removals(new, folder, params["migrate_files"])})


def actions_of(params: dict[str, Any], store: Store, identity: str) -> dict[str, Any]:
    """What this call has to do, decided before anything is done; check mode reports exactly this."""
    complete = store.complete()
    present = identity in complete
    marker = store.path(identity) / MIGRATED
    migrated = marker.is_file() and json.loads(marker.read_text())["command"] == params["migrate"]
    after = complete if present else [*complete, identity]
    surplus = prunable(after, params["keep"], store.protected() | {identity})
    due = bool(params["migrate"]) and not (present and migrated)
    if params["stage"] == "migrate":  # the rest was done, or predicted, by the call before
        return {"build": False, "migrate": due, "due": due, "clear": [], "prune": [], "after": complete, "before": complete}
    return {
        "build": not present,
        "migrate": due and params["stage"] == "all",
        "due": due,
        "clear": store.unfinished(),
        "prune": surplus,
        "after": [name for name in after if name not in surplus],
        "before": complete,
    }


def perform(params: dict[str, Any], store: Store, identity: str, todo: dict[str, Any], plan: Plan, recipe: dict[str, object],
            lock: int) -> list[str]:  # fmt: skip
    """Do it; gives the warnings of the build."""
    warnings: list[str] = []
    os.umask(0o022)
    # uv's locks are writable for everybody; whoever could hold one would stop every build.
    CACHE.mkdir(parents=True, exist_ok=True)
    CACHE.chmod(0o700)
    (CACHE / "tmp").mkdir(exist_ok=True, mode=0o700)
    runner = Runner(build_environment(), lock, params["timeout"])
    if params["user"]:
        check_user(params["user"])
    for name in [*todo["clear"], *todo["prune"]]:
        store.remove(name)
    if todo["build"]:
        warnings = build(params, store, identity, plan, recipe, runner)
    gone = removed_for_what_runs(params, store, identity) if todo["due"] and params["schema"] == "refuse" else []
    if gone:
        raise SchemaError(
            f"{params['name']}: the migrations of {identity} take away what the release that is live may still read: {'; '.join(gone)}. "
            "Release code that does without it first, and take it away with the release after; or say -e deploy_schema=accept"
        )
    if todo["migrate"]:
        migrate(params, store, identity, runner)
    store.remember()
    return warnings


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "application": {"type": "dict"},
            "stage": {"type": "str", "choices": ["all", "build", "migrate"], "default": "all"},
            "name": {"type": "str"},
            "root": {"type": "path", "default": "/opt"},
            "source": {"type": "dict", "options": SOURCE},
            "python": {"type": "str", "default": "python3"},
            "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
            "uv_version": {"type": "str", "default": "0.13.9"},
            "post_install": {"type": "list", "elements": "str", "default": []},
            "build_environment": {"type": "dict", "default": {}},
            "build_secrets": {"type": "dict", "default": {}, "no_log": True},
            "strict": {"type": "bool", "default": False},
            "imports": {"type": "list", "elements": "str", "default": []},
            "migrate": {"type": "list", "elements": "str", "default": []},
            "migrate_check": {"type": "list", "elements": "str", "default": []},
            "migrate_timeout": {"type": "int", "default": 1800},
            "migrate_files": {"type": "list", "elements": "str", "default": list(schema.FILES)},
            "migrate_environment": {"type": "dict", "default": {}},
            "migrate_database": {"type": "str", "default": "", "no_log": True},
            "migrate_lock_timeout": {"type": "int", "default": 10},
            "schema": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
            "migrate_secrets": {"type": "dict", "default": {}, "no_log": True},
            "user": {"type": "str", "default": ""},
            "environment": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "secret_delivery": {"type": "str", "choices": ["environment", "files"], "default": "environment"},
            "keep": {"type": "int", "default": 5},
            "timeout": {"type": "int", "default": 1800},
            "payload": {"type": "dict", "options": PAYLOAD},
        },
        required_one_of=[["application", "name"]],
        required_together=[["name", "source"]],
        supports_check_mode=True,
    )
    params = module.params
    if not params["payload"]:
        module.fail_json(msg="slipway.stack.release is run through its action plugin, which reads the source on the controller")
    plan = plan_of(params)
    try:
        recipe = recipe_of(plan, params["payload"]["digest"], params)
        texts(params["secrets"] | params["build_secrets"] | params["migrate_secrets"])
        texts(params["migrate_environment"])
    except InvalidEnvironmentError as error:
        module.fail_json(msg=f"environment: {error}")
    identity = release_id(params["payload"]["label"], recipe)
    store = Store(Path(params["root"]), params["name"])
    hidden = [str(value) for values in (params["secrets"], params["build_secrets"], params["migrate_secrets"]) for value in values.values()]
    hidden += [params["migrate_database"]] if params["migrate_database"] else []
    try:
        if module.check_mode:
            todo = actions_of(params, store, identity)
        else:
            with store.locked(params["timeout"]) as lock:
                todo = actions_of(params, store, identity)
                if todo["build"] and plan.kind != "package" and not params["payload"]["path"]:
                    module.exit_json(changed=False, needs_payload=True)
                for warning in perform(params, store, identity, todo, plan, recipe, lock):
                    module.warn(settings.masked(warning, hidden))
    except (CommandError, GuardError, SchemaError, StoreError) as error:
        module.fail_json(msg=settings.masked(str(error), hidden), id=identity)
    actions = [
        *(f"clear away the unfinished {name}" for name in todo["clear"]),
        *([f"build {identity}"] if todo["build"] else []),
        *([f"migrate with {identity}"] if todo["migrate"] else []),
        *(f"remove {name}" for name in todo["prune"]),
    ]
    module.exit_json(
        changed=bool(actions),
        id=identity,
        path=str(store.path(identity)),
        actions=actions,
        migration_due=todo["due"],
        schema_changes=todo["due"] and identity in store.complete() and bool(schema.beyond(store, identity)),
        live={link: str(store.path(name)) for link, name in store.live().items()},
        previous={link: past[-2] for link, past in store.history().items() if len(past) > 1},
        diff={
            "before_header": f"{store.releases}",
            "after_header": f"{store.releases}",
            "before": "".join(f"{name}\n" for name in todo["before"]),
            "after": "".join(f"{name}\n" for name in todo["after"]),
        },
    )


if __name__ == "__main__":
    main()
