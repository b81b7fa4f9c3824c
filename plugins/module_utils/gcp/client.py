# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The only code that speaks HTTP to Google: credentials, retries, operations, and one kind of error."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

try:
    import requests
    from google.auth import exceptions as auth_exceptions
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry

    MISSING_LIBRARY = None
except ImportError as error:  # pragma: no cover - reported by the module, with the install hint
    MISSING_LIBRARY = error.name or "google-auth"

Json = dict[str, Any]

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
# These two put a version into their documented endpoint; gcloud's override variables carry it as well.
SERVICE_PATHS = {"storage": "storage/v1/", "compute": "compute/v1/"}
OVERRIDE_NAMES = {"sqladmin": "SQL"}
FIRST_DELAY, LONGEST_DELAY = 0.5, 32.0
UNKNOWN_ACCOUNT = re.compile(r"[Ss]ervice account \S+ does not exist")
DISABLED = ("SERVICE_DISABLED", "accessNotConfigured")
# Only these answer with google.longrunning operations; elsewhere an object may be called operations.
LONG_RUNNING = ("artifactregistry", "cloudbuild", "firestore", "redis", "run", "servicenetworking", "serviceusage")


class GcpError(Exception):
    """What Google answered, where, and what to do about it."""

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ConflictError(GcpError):
    """Somebody else wrote between our read and our write: read, compare and write again."""


class LostConnectionError(GcpError):
    """The connection ended after a write was sent: only a new read tells whether it was taken."""


@dataclass(frozen=True)
class Write:
    """One request that changes something. `repeatable` writes may be sent twice without harm."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Json | None = None
    api: str = ""
    repeatable: bool | None = None

    def summary(self) -> str:
        query = "&".join(f"{key}={value}" for key, value in self.query.items())
        return f"{self.method} {self.path}" + (f"?{query}" if query else "")


def path_of(template: str, values: Mapping[str, Any]) -> str:
    """Fill `v1/projects/{project}/topics/{name}`; every value is one path segment and is quoted as such."""

    def segment(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if value in (None, ""):
            raise GcpError(f"'{match[1]}' is required here: set it on the task or in module_defaults for group/slipway.stack.gcp")
        return quote(str(value), safe="@()")

    return re.sub(r"\{(\w+)\}", segment, template)


def session_for(options: Mapping[str, Any]) -> Any:
    """Options before environment, environment before application default credentials; impersonation wraps any of them."""
    token = options.get("access_token")
    contents = options.get("service_account_contents")
    file = options.get("service_account_file")
    if not (token or contents or file):
        token = os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN") or os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN")
    target = options.get("impersonate_service_account") or os.environ.get("GOOGLE_IMPERSONATE_SERVICE_ACCOUNT")
    if token and not target:
        # google-auth's machinery for keys and refreshing takes half of a module's start, and a bare token needs none of it.
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        return session
    import google.auth
    import google.oauth2.credentials
    from google.auth import impersonated_credentials
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.service_account import Credentials as KeyCredentials

    source: Any
    try:
        if token:
            source = google.oauth2.credentials.Credentials(token)  # type: ignore[no-untyped-call]
        elif contents:
            info = json.loads(contents) if isinstance(contents, str) else contents
            source = KeyCredentials.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
        elif file:
            source = KeyCredentials.from_service_account_file(file, scopes=SCOPES)  # type: ignore[no-untyped-call]
        else:
            source, _project = google.auth.default(scopes=SCOPES)
    except (auth_exceptions.GoogleAuthError, OSError, ValueError) as error:
        # The text of a JSON error may quote the key: name the source and the kind of error, never the content.
        detail = str(error) if isinstance(error, (auth_exceptions.DefaultCredentialsError, OSError)) else type(error).__name__
        raise GcpError(
            f"no usable Google credentials: {detail}. Set access_token, service_account_file or service_account_contents, "
            "or run `gcloud auth application-default login`, or run where a service account is attached."
        ) from None
    if target:
        source = impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
            source_credentials=source, target_principal=target, target_scopes=SCOPES, delegates=options.get("impersonation_delegates") or []
        )
    return AuthorizedSession(source)  # type: ignore[no-untyped-call]


class Client:
    """One session for one module run."""

    def __init__(self, options: Mapping[str, Any], session: Any = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.options = options
        self.sleep = sleep
        self.session = session or session_for(options)
        self.operation_timeout = int(options.get("operation_timeout") or 1800)

    # -- requests --------------------------------------------------------------------------------------------------

    def url(self, api: str, path: str) -> str:
        """`https://run.googleapis.com/v2/...`, or the same below an override."""
        override = self.options.get("api_endpoint") or os.environ.get(
            f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{OVERRIDE_NAMES.get(api, api).upper()}"
        )
        base = (override or "https://{api}.googleapis.com").replace("{api}", api).rstrip("/") + "/"
        base = base.removesuffix(SERVICE_PATHS.get(api, "\0"))
        return base + path

    def get(self, api: str, path: str, query: Mapping[str, Any] | None = None) -> Json | None:
        """The object, or None where there is none."""
        try:
            return self.call(api, Write("GET", path, query or {}))
        except GcpError as error:
            if error.status == 404:
                return None
            raise

    def items(self, api: str, path: str, key: str, query: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Every item of every page of a list."""
        asked = dict(query or {})
        while True:
            page = self.get(api, path, asked) or {}
            yield from page.get(key, [])
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]

    def call(self, api: str, write: Write) -> Json:
        """Send one request and return the decoded answer. What Google has taken already but does not know everywhere yet is waited for."""
        waited, attempt = 0.0, 0
        while True:
            try:
                return self.send(api, write)
            except GcpError as error:
                limit = self.patience(error)
                if waited >= limit:
                    text = f"{error} -- Waited {waited:.0f} s for it to be known everywhere." if waited else str(error)
                    raise type(error)(text, error.status, error.reason) from None
            step = min(delay(attempt, floor=0.5), limit - waited)
            waited, attempt = waited + step, attempt + 1
            self.sleep(step)

    def patience(self, error: GcpError) -> float:
        """Seconds that an answer is worth waiting for another one."""
        if error.status == 400 and UNKNOWN_ACCOUNT.search(str(error)):
            return float(self.options.get("propagation_timeout") or 0)
        if error.reason in DISABLED:
            return float(self.options.get("api_propagation_timeout") or 0)
        return 0.0

    def send(self, api: str, write: Write) -> Json:
        """Send one request, again where that is safe."""
        repeatable = write.method != "POST" if write.repeatable is None else write.repeatable
        url = self.url(write.api or api, write.path)
        retries = int(self.options.get("retries") or 0)
        for attempt in range(retries + 1):
            last = attempt == retries
            try:
                response = self.session.request(
                    write.method, url, params=dict(write.query), json=write.body, timeout=int(self.options.get("request_timeout") or 60)
                )
            except requests.exceptions.RequestException as error:
                if not repeatable:
                    raise LostConnectionError(f"{write.method} {url}: connection lost: {error}") from None
                if last:
                    raise GcpError(f"{write.method} {url}: no answer after {attempt + 1} attempts: {error}") from None
                self.sleep(delay(attempt))
                continue
            except auth_exceptions.GoogleAuthError as error:
                raise GcpError(f"{write.method} {url}: Google refused the credentials: {error}") from None
            code = response.status_code
            if code < 400:
                return dict(response.json()) if response.content else {}
            if not last and (code in (429, 503) or (code >= 500 and repeatable)):
                self.sleep(pause(attempt, response.headers.get("Retry-After"), self.operation_timeout))
                continue
            if code == 404 and write.method == "DELETE":
                return {}
            raise self.failure(write, url, response)
        raise AssertionError("unreachable")

    def write(self, api: str, write: Write) -> Json:
        """Send a write and wait for its operation. The object it made, or {} where only a new read can tell."""
        return self.wait(write.api or api, self.call(api, write), write)

    # -- operations ------------------------------------------------------------------------------------------------

    def wait(self, api: str, answer: Json, write: Write) -> Json:
        """Four shapes: `done` (run, redis, ...), `status` (sqladmin), `status` with a waiting call (compute), none at all."""
        by_status = str(answer.get("kind", "")).endswith("#operation")
        by_done = api in LONG_RUNNING and re.search(r"(^|/)operations/", str(answer.get("name", ""))) is not None
        if not by_status and not by_done:
            return answer
        limit = self.operation_timeout
        deadline = time.monotonic() + limit
        attempt = 0
        while not (answer.get("status") == "DONE" if by_status else answer.get("done")):
            if time.monotonic() >= deadline:
                raise GcpError(
                    f"{write.summary()}: the operation {answer.get('name')} still runs after {limit} s. It was not cancelled: run the "
                    "task again to pick up where it stands, or raise operation_timeout."
                )
            self.sleep(min(delay(attempt, floor=0.2), max(0.0, deadline - time.monotonic())))
            attempt += 1
            answer = self.poll(api, answer, by_status)
        error = answer.get("error")
        if error:
            details = error.get("errors") or [error]
            text = "; ".join(f"{item.get('code', '')}: {item.get('message', '')}" for item in details)
            reason = str(details[0].get("code", ""))
            raise GcpError(f"{write.summary()} in project {self.options.get('project')}: the operation failed: {text}", reason=reason)
        response = answer.get("response") or {}
        return {} if by_status else {key: value for key, value in response.items() if key != "@type"}

    def poll(self, api: str, operation: Json, by_status: bool) -> Json:
        if not by_status:
            version = {"run": "v2", "logging": "v2", "monitoring": "v3"}.get(api, "v1")
            return self.call(api, Write("GET", f"{version}/{operation['name']}"))
        path = re.sub(r"^https?://[^/]+/", "", operation["selfLink"])
        if operation["kind"] == "compute#operation":
            return self.call(api, Write("POST", f"{path}/wait", repeatable=True))
        return self.call(api, Write("GET", path))

    # -- errors ----------------------------------------------------------------------------------------------------

    def failure(self, write: Write, url: str, response: Any) -> GcpError:
        """Project, resource, method, Google's own words, and the next step."""
        try:
            error = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            error = {"message": response.text[:500]}
        if not isinstance(error, dict):
            error = {"message": str(error)}
        details = [item for item in error.get("details", []) if isinstance(item, dict)]
        info = next((item for item in details if str(item.get("@type", "")).endswith("ErrorInfo")), {})
        reason = info.get("reason") or (error.get("errors") or [{}])[0].get("reason") or error.get("status") or ""
        text = (
            f"{write.method} {url} in project {self.options.get('project')} failed with {response.status_code} {reason}: "
            f"{error.get('message', '')}{advice(response.status_code, reason, info.get('metadata', {}), str(error.get('message', '')))}"
        )
        kind = ConflictError if response.status_code in (409, 412) else GcpError
        return kind(text, response.status_code, reason)


def enabled_later(error: GcpError, check_mode: bool) -> bool:
    """Where an earlier task of the same check run would enable the API, nothing can exist yet."""
    return check_mode and error.reason in DISABLED


def advice(status: int, reason: str, metadata: Json, message: str) -> str:
    """What to do next, or nothing where Google's words say it."""
    service = metadata.get("service", "")
    if reason in DISABLED:
        return f" -- Enable {service or 'the API'} first: slipway.stack.gcp_project_services, services: [{service}]."
    if reason in ("RATE_LIMIT_EXCEEDED", "rateLimitExceeded", "quotaExceeded", "RESOURCE_EXHAUSTED") or status == 429:
        limit = metadata.get("quota_metric") or metadata.get("quota_limit") or "the quota named above"
        return f" -- Quota: {limit}. Ask for more in IAM & Admin > Quotas, or run fewer changes at once."
    if status == 403:
        named = metadata.get("permission") or next(iter(re.findall(r"'?([a-z]\w+\.[a-zA-Z]\w+\.[a-zA-Z]\w+)'?", message)), "")
        return f" -- Grant the caller {named or 'the permission named above'} (slipway.stack.gcp_iam_member)."
    if status == 401:
        return " -- The credentials are expired or belong to nobody: log in again or check access_token."
    return ""


def delay(attempt: int, floor: float = 0.0) -> float:
    """Full jitter: anywhere between the floor and a limit that doubles."""
    return random.uniform(floor, max(floor, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt)))


def pause(attempt: int, header: str | None, limit: float) -> float:
    """Seconds until the next attempt: at least Google's Retry-After (a number or a date), at most `limit` or an error."""
    try:
        asked = Retry().parse_retry_after(header) if header else 0.0
    except InvalidHeader:
        asked = 0.0
    if asked > limit:
        raise GcpError(
            f"Google asks to come back in {asked:.0f} s (Retry-After), later than operation_timeout ({limit:.0f} s) allows to wait."
        )
    return max(delay(attempt), asked)
