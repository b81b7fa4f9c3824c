"""`slipway init`: what it reads of a source tree, what it asks, and an inventory that the validator accepts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from slipway import cli, init, proposal
from slipway.errors import SlipwayError

ROOT = Path(__file__).resolve().parents[2]


def tree(folder: Path, **files: str) -> Path:
    """A source tree; `a__b` is the file a/b.py, other names are written as they are."""
    for name, text in files.items():
        path = folder / ("pyproject.toml" if name == "pyproject" else name.replace("__", "/") + ("" if "." in name else ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def entry(folder: Path) -> dict[str, Any]:
    return proposal.application(proposal.read(folder), "shop", {"type": "directory", "path": str(folder)})


def test_the_example_is_read() -> None:
    found = entry(ROOT / "examples/orders")
    assert found["processes"] == {
        "web": {"type": "asgi", "app": "orders.main:app"},
        "worker": {"type": "celery", "app": "orders.worker", "queues": ["default", "reports"], "concurrency": 2},
        "beat": {"type": "celery_beat", "app": "orders.worker"},
    }
    assert {name: connection["to"] for name, connection in found["connections"].items()} == {
        "DATABASE_URL": "pgbouncer",
        "CELERY_BROKER_URL": "redis_broker",
        "REDIS_CACHE_URL": "redis_cache",
    }
    assert found["connections"]["DATABASE_URL"]["scheme"] == "postgresql+asyncpg"
    assert found["migrate"]["command"] == ["alembic", "upgrade", "head"]
    assert list(found["migrate"]["connections"]) == ["DATABASE_ADMIN_URL"]
    assert found["health"] == {"live": "/health/live", "ready": "/health/ready", "metrics": "/metrics"}
    assert "secret_delivery" not in found, "it reads DATABASE_URL_FILE"


@pytest.mark.parametrize(
    ("wanted", "python"),
    [(">=3.14", "3.14"), (">=3.10,<3.13", "3.12"), ("~=3.14", "3.14"), (">=3.11", None), (">=3.10,<4", None), (">=3.10,<3.14", None)],
)
def test_a_python_that_debian_does_not_have_is_named(tmp_path: Path, wanted: str, python: str | None) -> None:
    found = entry(tree(tmp_path, pyproject=f'[project]\nname = "shop"\nversion = "1"\nrequires-python = "{wanted}"\n'))
    assert found.get("python") == python


def test_django(tmp_path: Path) -> None:
    found = entry(
        tree(
            tmp_path,
            shop__wsgi="from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
            shop__asgi="from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n",
            shop__settings='import os\nSECRET_KEY = os.environ["SECRET_KEY"]\nDB = os.environ["DATABASE_URL"]\n',
            shop__celery='from celery import Celery\napp = Celery("shop")\n',
            pyproject='[project]\nname = "shop"\nversion = "1"\ndependencies = ["Django>=5", "psycopg[binary]", "django-celery-beat"]\n',
        )
    )
    assert found["processes"]["web"] == {"type": "wsgi", "app": "shop.wsgi:application", "workers": 2}
    assert found["processes"]["beat"]["scheduler"] == "django_celery_beat.schedulers:DatabaseScheduler"
    assert found["migrate"]["command"] == ["python", "manage.py", "migrate", "--noinput"]
    assert found["migrate"]["check"] == ["python", "manage.py", "migrate", "--check"]
    assert found["build"]["commands"] == ["python manage.py collectstatic --noinput"]
    assert found["secrets"] == {"SECRET_KEY": "{{ secret_shop_secret_key }}"}
    assert found["secret_delivery"] == "environment"
    assert "scheme" not in found["connections"]["DATABASE_URL"]


DJANGO = {
    "manage": "import django\n",
    "shop__wsgi": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
}


def test_a_django_site_that_reads_its_settings_needs_nothing_more(tmp_path: Path, key: str) -> None:
    settings = "import os\n" + "".join(
        f'{name} = os.environ["{name}"]\n'
        for name in ("DJANGO_SECRET_KEY", "DJANGO_ALLOWED_HOSTS", "STATIC_ROOT", "DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME")
    )
    urls = 'urls = ["/healthz"]\n'
    source = tree(
        tmp_path / "shop", **DJANGO, shop__settings=settings, shop__urls=urls, **{"requirements.txt": "Django==5.2\npsycopg==3.2\n"}
    )
    answers = init.ask({"source": str(source), "key": key, **GIVEN}, None)
    told = init.write(tmp_path / "mine", answers)
    assert [line for line in told if line.startswith("to do")] == []
    shop = yaml.safe_load((tmp_path / "mine/group_vars/all/main.yml").read_text())["applications"]["shop"]
    assert shop["source"]["additional"] == ["gunicorn==23.0.0"]
    parts = {"host": "DB_HOST", "port": "DB_PORT", "user": "DB_USER", "password": "DB_PASSWORD", "database": "DB_NAME"}
    assert shop["connections"] == {"DATABASE": {"to": "pgbouncer", "user": "shop_app", "database": "shop", "parts": parts}}
    assert shop["migrate"]["connections"] == {"DATABASE": {"to": "postgres", "user": "shop_owner", "database": "shop", "parts": parts}}
    assert shop["health"] == {"live": "/healthz", "ready": "/healthz", "host": "shop.example.org"}
    assert shop["build"]["environment"] == {"DJANGO_SECRET_KEY": "only-for-the-build", "STATIC_ROOT": "static"}
    assert shop["environment"]["DJANGO_ALLOWED_HOSTS"] == "shop.example.org"
    static = {"path": "/static/", "static": "/opt/shop/current/source/static"}
    assert (shop["environment"]["STATIC_ROOT"], shop["domains"][0]["paths"]) == (static["static"], [static])


def test_what_a_source_does_not_answer_is_told(tmp_path: Path, key: str) -> None:
    settings = "ALLOWED_HOSTS = []\nSTATIC_ROOT = '/srv'\nDATABASES = {}\n"
    source = tree(tmp_path / "shop", **DJANGO, shop__settings=settings, pyproject='[project]\nname = "shop"\ndependencies = ["django"]\n')
    told = init.write(tmp_path / "mine", init.ask({"source": str(source), "key": key, **GIVEN}, None))
    assert [line.removeprefix("to do: ")[:44] for line in told if line.startswith("to do")] == [
        "no lock file: pin the dependencies (uv lock)",
        "no driver of PostgreSQL is a dependency: add",
        "nothing in the source reads DATABASE_URL: ta",
        "no path of health was found: / has to answer",
        "ALLOWED_HOSTS is not read from the environme",
        "STATIC_ROOT is not read from the environment",
    ]


def test_settings_of_pydantic_are_read_by_the_names_of_their_fields(tmp_path: Path) -> None:
    code = "from fastapi import FastAPI\nclass Settings(BaseSettings):\n    POSTGRES_SERVER: str\n    POSTGRES_USER: str\n"
    code += '    postgres_password: str\n    POSTGRES_DB: str = ""\n    redis_url: str\n    SECRET_KEY: str\napp = FastAPI()\n'
    requirements = {"requirements.txt": "sqlalchemy==2\npsycopg==3\n"}
    found = entry(tree(tmp_path, main=code, **requirements))
    assert found["connections"]["DATABASE"]["parts"] == {
        "host": "POSTGRES_SERVER",
        "user": "POSTGRES_USER",
        "password": "POSTGRES_PASSWORD",
        "database": "POSTGRES_DB",
    }
    assert found["connections"]["REDIS_URL"] == {"to": "redis_cache", "user": "shop"}
    assert list(found["secrets"]) == ["SECRET_KEY"]


def test_a_member_of_a_workspace_is_built_from_the_lock_above(tmp_path: Path, key: str) -> None:
    tree(tmp_path / "repo", pyproject='[tool.uv.workspace]\nmembers = ["backend"]\n', **{"uv.lock": "version = 1\n"})
    code = (
        "from fastapi import FastAPI\nclass Settings(BaseSettings):\n    project_name: str\n    SECRET_KEY: str\n    DEBUG: bool = False\n"
    )
    member = tree(tmp_path / "repo/backend", main=code + "app = FastAPI()\n@app.get('/health')\ndef ok(): ...\n")
    told = init.write(tmp_path / "mine", init.ask({"source": str(member), "name": "shop", "key": key, **GIVEN}, None))
    shop = yaml.safe_load((tmp_path / "mine/group_vars/all/main.yml").read_text())["applications"]["shop"]
    assert shop["source"] == {"type": "directory", "path": str(tmp_path / "repo"), "subdirectory": "backend"}
    assert [line for line in told if line.startswith("to do")] == [
        "to do: the settings have no default for PROJECT_NAME: write them into environment or secrets"
    ]


def test_a_package_below_src_without_a_database(tmp_path: Path) -> None:
    files = {"src__shop__web": "from fastapi import FastAPI\napi: FastAPI = FastAPI()\n@api.get('/healthz')\ndef ok(): ...\n"}
    found = entry(tree(tmp_path, tests__test_web="from fastapi import FastAPI\napp = FastAPI()\n", **files))
    assert found["processes"] == {"web": {"type": "asgi", "app": "shop.web:api"}}
    beside = tree(tmp_path / "flat", tests__test_web="from fastapi import FastAPI\napp = FastAPI()\n", web=files["src__shop__web"])
    assert entry(beside)["processes"]["web"]["app"] == "web:api", "what the tests make is not the application"
    assert found["health"] == {"live": "/healthz", "ready": "/healthz"}
    assert not {"connections", "migrate", "secrets"} & set(found)


GIVEN = {"domain": "shop.example.org", "address": "203.0.113.9"}


@pytest.fixture
def key() -> str:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode() + " ada@example.org"


def test_questions_have_answers_of_their_own(tmp_path: Path, key: str) -> None:
    asked: list[str] = []

    def read(question: str) -> str:
        asked.append(question)
        return "shop.example.org" if "the world" in question else "203.0.113.9" if "The server" in question else ""

    answers = init.ask({"source": str(tmp_path), "key": key}, read)
    assert [question.split(":")[0].split(" [")[0] for question in asked] == [
        "Its name",
        "The name that the world calls it by, such as shop.example.org",
        "The server's address",
        "The account of the administrator that Slipway makes there",
        "Your own address or network, which alone may reach ssh; any for everybody",
    ]
    assert (answers.domain, answers.address, answers.admin, answers.admin_network) == ("shop.example.org", "203.0.113.9", "deploy", "any")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "Shop 1"}, "--name is 'Shop 1'; allowed: small letters, digits and -"),
        ({"source": "nowhere"}, "--source is 'nowhere'; allowed: a folder that is there, or the address of a git repository"),
        ({"source": "https://git.example.org/shop.git"}, "--version is ''; allowed: a tag or a commit of the repository"),
        ({"domain": "localhost"}, "--domain is 'localhost'; allowed: a host name in small letters"),
        ({"address": "server1"}, "--address is 'server1'; allowed: an IPv4 or IPv6 address"),
        ({"key": "id_rsa"}, "--key is 'id_rsa'; allowed: a public key"),
        ({"admin_network": "home"}, "--admin-network is 'home'; allowed: an address, a network"),
    ],
)
def test_a_wrong_answer_is_told(given: dict[str, str], message: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(SlipwayError) as error:
        init.ask({"source": str(tmp_path), "name": "shop", "key": key, **GIVEN, **given}, None)
    assert str(error.value).startswith(message)


def test_a_folder_that_is_there_stays(tmp_path: Path, key: str) -> None:
    (tmp_path / "hosts.yml").write_text("mine\n")
    answers = init.ask({"source": str(ROOT / "examples/orders"), "key": key, **GIVEN}, None)
    with pytest.raises(SlipwayError, match="is there already"):
        init.write(tmp_path, answers)
    assert (tmp_path / "hosts.yml").read_text() == "mine\n"


def test_a_source_without_an_application(tmp_path: Path, key: str) -> None:
    answers = init.ask({"source": str(tree(tmp_path / "source", main="print('hello')\n")), "key": key, **GIVEN}, None)
    with pytest.raises(SlipwayError, match="no FastAPI, Starlette, Flask, Django or Celery application"):
        init.write(tmp_path / "inventory", answers)
    assert not (tmp_path / "inventory").exists()


@pytest.fixture(scope="module")
def validator() -> Iterator[subprocess.Popen[str]]:
    settings = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections")}
    argv = [sys.executable, str(ROOT / "tests/unit/inventory/validator.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, text=True, env={**os.environ, **settings}, **pipes) as process:  # type: ignore[call-overload]
        yield process
        process.stdin.close()


def test_what_it_writes_is_valid_and_its_secrets_are_its_owners(
    tmp_path: Path, key: str, validator: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    argv = ["init", str(folder), "--source", str(ROOT / "examples/orders"), "--key", key, "--domain", "shop.example.org"]
    assert cli.main([*argv, "--address", "203.0.113.9", "--name", "shop"]) == 0
    told = capsys.readouterr().out
    assert "  web: asgi orders.main:app\n" in told
    secrets = yaml.safe_load((folder / "group_vars/all/secrets.yml").read_text())
    assert (folder / "group_vars/all/secrets.yml").stat().st_mode & 0o077 == 0
    assert set(secrets) == set(yaml.safe_load((folder / "secret-names.txt").read_text()))
    assert [value for value in secrets.values() if value in told] == []
    assert validator.stdin and validator.stdout
    for stage in ("files", "inventory"):
        validator.stdin.write(json.dumps([str(folder), stage]) + "\n")
        validator.stdin.flush()
        assert json.loads(validator.stdout.readline()) == ""


API_ONLY = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef ok(): ...\n"
WORKER_ONLY = 'from celery import Celery\napp = Celery("jobs", broker="redis://")\n'


@pytest.mark.parametrize(("code", "roles"), [(API_ONLY, {"nginx", "api"}), (WORKER_ONLY, {"celery_workers"})], ids=["api", "worker"])
def test_an_application_of_one_kind_gets_the_groups_that_it_needs(
    code: str, roles: set[str], tmp_path: Path, key: str, validator: subprocess.Popen[str]
) -> None:
    source = tree(tmp_path / "source", jobs=code)
    answers = init.ask({"source": str(source), "name": "shop", "key": key, **GIVEN}, None)
    init.write(tmp_path / "mine", answers)
    groups = set(yaml.safe_load((tmp_path / "mine/hosts.yml").read_text())["all"]["children"])
    assert groups & {"nginx", "api", "celery_workers"} == roles
    assert validator.stdin and validator.stdout
    validator.stdin.write(json.dumps([str(tmp_path / "mine"), "inventory"]) + "\n")
    validator.stdin.flush()
    assert json.loads(validator.stdout.readline()) == ""
