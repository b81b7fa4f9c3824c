#!/usr/bin/python3
# Managed by Ansible (slipway.stack): changes by hand are overwritten
"""One backup job: write, verify, keep, prune, copy elsewhere, and say how it went.

    slipway-backup JOB          reads /etc/slipway/backup/JOB.json, exits with 1 when anything went wrong

A backup is a directory named after its time. It gets that name when it is complete and verified, so whatever
has such a name can be restored. The metrics are written in any case, the failed one too.
"""

from __future__ import annotations

import calendar
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIGURATION = Path("/etc/slipway/backup")
STAMP = "%Y%m%dT%H%M%SZ"
PARTIAL = ".partial-"
NOTHING = Path(os.devnull)
REDIS_PATIENCE = 3600


class BackupError(Exception):
    """Why there is no new backup."""


def run(
    command: list[str], user: str | None = None, stdin: Path | None = None, stdout: Path | None = None, tolerated: tuple[int, ...] = ()
) -> str:
    """Run a command, as another user where wanted, and give its output; BackupError with its last words when it fails.

    `tolerated`: exit codes that are a warning, which is printed."""
    with (stdin or NOTHING).open("rb") as source, (stdout or NOTHING).open("wb") as target:
        account: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        done = subprocess.run(
            command, stdin=source, stdout=target if stdout else subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", check=False, **account
        )
    if done.returncode:
        told = f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[-2000:]}"
        if done.returncode not in tolerated:
            raise BackupError(told)
        print(f"warning: {told}", file=sys.stderr)
    return (done.stdout or b"").decode()


def dump_postgres(job: dict[str, Any], folder: Path) -> None:
    """Each database as a custom-format dump, and the roles. pg_dump reads one consistent snapshot of a database."""
    at = [f"--host={job['socket_directory']}", f"--port={job['port']}"]
    for database in job["databases"]:
        dump = folder / f"{database}.dump"
        run(["pg_dump", *at, "--format=custom", f"--dbname={database}"], user="postgres", stdout=dump)
        listing = run(["pg_restore", "--list"], stdin=dump)
        if "; Archive created at" not in listing:
            raise BackupError(f"pg_restore --list found no archive in {dump.name}")
        # The list is at the front of the file. Only unpacking all of it finds a dump that ends too soon.
        run(["pg_restore", "--file=-"], stdin=dump, stdout=NOTHING)
    run(["pg_dumpall", *at, "--globals-only"], user="postgres", stdout=folder / "globals.sql")


def copy_redis(job: dict[str, Any], folder: Path) -> None:
    """A fresh snapshot of each instance. LASTSAVE moves when the snapshot is complete."""
    for instance in job["instances"]:

        def ask(*words: str, name: str = instance) -> str:
            return run(["/usr/local/sbin/slipway-redis", name, *words]).strip()

        before = ask("LASTSAVE")
        if int(before) == int(time.time()):
            time.sleep(1)  # LASTSAVE counts whole seconds
        ask("BGSAVE", "SCHEDULE")
        limit = time.monotonic() + REDIS_PATIENCE
        while ask("LASTSAVE") == before:
            time.sleep(0.5)
            told = ask("INFO", "persistence")
            busy = "rdb_bgsave_in_progress:1" in told or "aof_rewrite_in_progress:1" in told
            if "rdb_last_bgsave_status:err" in told and not busy and ask("LASTSAVE") == before:
                raise BackupError(f"redis {instance}: BGSAVE failed, its log says why")
            if time.monotonic() > limit:
                raise BackupError(f"redis {instance}: BGSAVE took longer than {REDIS_PATIENCE} s")
        place = ask("CONFIG", "GET", "dir").splitlines()[1]
        name = ask("CONFIG", "GET", "dbfilename").splitlines()[1]
        copy = folder / f"{instance}.rdb"
        shutil.copyfile(Path(place) / name, copy)
        run(["redis-check-rdb", str(copy)])


def pack_files(job: dict[str, Any], folder: Path) -> None:
    """The listed paths as one archive, read back to its end."""
    archive = folder / "files.tar.gz"
    paths = [path.lstrip("/") for path in job["paths"]]
    # 1: a file changed while it was read, as files in use do. Its archive is whole; 2 is an error.
    run(["tar", "--create", "--gzip", f"--file={archive}", "--directory=/", *paths], tolerated=(1,))
    run(["tar", "--list", "--gzip", f"--file={archive}"])


KINDS: dict[str, Callable[[dict[str, Any], Path], None]] = {"postgres": dump_postgres, "redis": copy_redis, "files": pack_files}


def stamps(names: list[str]) -> list[str]:
    """The complete backups among `names`, oldest first."""
    return sorted(name for name in names if re.fullmatch(r"\d{8}T\d{6}Z", name))


def expired(names: list[str], keep_days: int, now: float) -> list[str]:
    """The backups that are older than `keep_days`; never the newest, whatever its age. 0 keeps all."""
    if not keep_days:
        return []
    oldest = time.strftime(STAMP, time.gmtime(now - keep_days * 86400))
    return [name for name in stamps(names)[:-1] if name < oldest]


def make_room(job: dict[str, Any], store: Path, now: float) -> None:
    """Where the disk has less room than the newest backup took, expired ones go first; BackupError when that is not enough.

    With a copy elsewhere, only those go that are there too."""
    names = [path.name for path in store.iterdir()]
    kept = stamps(names)
    if not kept:
        return
    needed = sum(path.stat().st_size for path in (store / kept[-1]).iterdir())
    spare = expired(names, job["keep_days"], now)
    if free_bytes(store) < needed and spare and job["remote"]["path"]:
        spare = [name for name in spare if name in listed_elsewhere(job)]
    for name in spare:
        if free_bytes(store) >= needed:
            return
        shutil.rmtree(store / name)
    if free_bytes(store) < needed:
        raise BackupError(f"{store} has {free_bytes(store)} bytes free, and the last backup took {needed}: nothing was written")


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


def write_backup(job: dict[str, Any], store: Path) -> Path:
    """Make and verify one backup; it gets its name last."""
    for left in store.glob(f"{PARTIAL}*"):  # of a run that was killed: the lock says that nobody works on it
        shutil.rmtree(left)
    while (store / (stamp := time.strftime(STAMP, time.gmtime()))).exists():
        time.sleep(0.1)  # a name counts whole seconds, and the backup before took less than one
    folder = store / f"{PARTIAL}{stamp}"
    folder.mkdir(mode=0o700)
    try:
        KINDS[job["type"]](job, folder)
        sums = "".join(f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
        (folder / "SHA256SUMS").write_text(sums)
        os.sync()
        return folder.rename(store / stamp)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def rclone(*words: str) -> list[str]:
    """A command of rclone with the job's credentials."""
    return ["rclone", f"--config={CONFIGURATION / 'rclone.conf'}", *words]


def place_elsewhere(job: dict[str, Any]) -> str:
    """Where the job's backups are on the other side."""
    return f"{job['remote']['path'].rstrip('/')}/{job['name']}"


def listed_elsewhere(job: dict[str, Any]) -> list[str]:
    """Names of the folders there."""
    return [name.rstrip("/") for name in run(rclone("lsf", "--dirs-only", place_elsewhere(job))).split()]


def copy_elsewhere(job: dict[str, Any], store: Path, backup: Path, now: float) -> None:
    """Copy the new backup and everything the other side lacks, compare, and prune there by the same rule."""
    remote = job["remote"]
    if not remote["path"]:
        return
    target = place_elsewhere(job)
    run(rclone("copy", "--immutable", f"--exclude={PARTIAL}*/**", str(store), target))
    run(rclone("check", "--one-way", str(backup), f"{target}/{backup.name}"))
    for name in expired(listed_elsewhere(job), remote["keep_days"], now):
        run(rclone("purge", f"{target}/{name}"))


def metrics(job: dict[str, Any], store: Path, started: float, code: int) -> None:
    """What the node exporter shows. The newest complete backup on disk is the truth, not this run."""
    kept = stamps([path.name for path in store.iterdir()]) if store.is_dir() else []
    size = sum(path.stat().st_size for path in (store / kept[-1]).iterdir()) if kept else 0
    newest = calendar.timegm(time.strptime(kept[-1], STAMP)) if kept else 0
    values = {
        "slipway_backup_last_success_timestamp_seconds": ("Time of the newest complete and verified backup, 0 for none", newest),
        "slipway_backup_last_run_timestamp_seconds": ("When the job ran last", int(time.time())),
        "slipway_backup_last_run_exit_code": ("0 when the last run succeeded, the copy elsewhere included", code),
        "slipway_backup_duration_seconds": ("How long the last run took", round(time.time() - started, 3)),
        "slipway_backup_size_bytes": ("Size of the newest backup", size),
        "slipway_backup_kept": ("How many backups are kept on this host", len(kept)),
    }
    label = json.dumps(job["name"])
    text = "".join(
        f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name}{{backup={label}}} {value}\n" for name, (meaning, value) in values.items()
    )
    file = Path(job["metrics_directory"]) / f"slipway_backup_{job['name']}.prom"
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.rename(file)


def main(name: str) -> int:
    """Run the job; 0 when there is a new backup, here and elsewhere."""
    os.umask(0o077)
    job = json.loads((CONFIGURATION / f"{name}.json").read_text())
    store = Path(job["directory"]) / name
    started, code = time.time(), 1
    with (Path("/run/lock") / f"slipway-backup-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            make_room(job, store, started)
            backup = write_backup(job, store)
            print(f"{backup} is complete")
            copy_elsewhere(job, store, backup, started)
            # Last: what is pruned here is either expired everywhere, or safe elsewhere.
            for old in expired([path.name for path in store.iterdir()], job["keep_days"], started):
                shutil.rmtree(store / old)
            code = 0
        except (BackupError, OSError) as error:
            print(f"backup {name} failed: {error}", file=sys.stderr)
        finally:
            metrics(job, store, started, code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
