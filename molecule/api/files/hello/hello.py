"""The smallest application that shows what the role hands over: environment, credentials, headers, release folder."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

VERSION = Path(__file__).with_name("version.txt").read_text().strip()
TOKEN = Path(os.environ.get("API_TOKEN_FILE", "/nowhere"))
BROKEN = Path(__file__).with_name("broken.txt").exists()


def sandbox() -> str:
    """What psutil and torch would find: nothing but for the exceptions of the sandbox."""
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except PermissionError:
        return "no affinity"
    return "open" if Path("/proc/meminfo").exists() else "no memory"


async def app(scope: dict, receive: Callable[[], Awaitable[dict]], send: Callable[[dict], Awaitable[None]]) -> None:
    if scope["type"] != "http":
        return
    status, answer = 200, {}
    if scope["path"] == "/health/ready":
        status, answer = (503 if BROKEN else 200), {"ready": not BROKEN}
    elif scope["path"] == "/slow":
        await asyncio.sleep(3)
        answer = {"slept": 3}
    elif scope["path"] == "/about":
        answer = {
            "version": VERSION,
            "release": Path(__file__).resolve().parent.parent.name,
            "port": os.environ["PORT"],
            "greeting": os.environ["GREETING"],
            "home": os.environ["HOME"],
            "sandbox": sandbox(),
            "client": scope["client"][0],
            "scheme": scope["scheme"],
            "token_length": len(TOKEN.read_text()) if TOKEN.exists() else 0,
        }
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
