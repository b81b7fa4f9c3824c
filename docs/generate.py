#!/usr/bin/env python3
"""Writes what a machine knows better: the option tables of the roles, the contract of an application, the pages of the modules, the
table and picture of the flows.

Between the markers `<!-- NAME:start -->` and `<!-- NAME:end -->` everything is replaced. `--check` writes nothing and exits 1
where a file is stale.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent


def between(text: str, name: str, body: str) -> str:
    """`text` with `body` between the markers of `name`."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if start not in text or end not in text:
        raise SystemExit(f"the markers {start} and {end} are missing")
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{body.rstrip()}\n{end}{rest.split(end, 1)[1]}"


def plain(description: Any) -> str:
    """A description of an argument spec as one line of Markdown."""
    text = " ".join(str(part) for part in description) if isinstance(description, list) else str(description)
    text = re.sub(r"\b[CVOPM]\(([^)]*)\)", r"`\1`", re.sub(r"\s+", " ", text))
    return text.replace("|", "\\|").strip()


def shown(value: Any) -> str:
    """A default, short enough for a table."""
    text = value if isinstance(value, str) and value else json.dumps(value)
    text = re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
    return "`" + (text if len(text) <= 70 else text[:67] + "...") + "`"


def option_table(role: Path) -> str:
    """The inputs of a role: name, type, default, meaning."""
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"].get("options", {})
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    lines = ["| input | type | default | meaning |", "|---|---|---|---|"]
    for name, option in spec.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        default = "**required**" if option.get("required") else shown(defaults.get(name))
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        lines.append(f"| `{name}` | {kind} | {default} | {plain(option.get('description', ''))}{choices} |")
        for key, inner in (option.get("options") or {}).items():
            kind = inner.get("type", "str") + (f" of {inner['elements']}" if "elements" in inner else "")
            default = "**required**" if inner.get("required") else ""
            lines.append(f"| &nbsp;&nbsp;`.{key}` | {kind} | {default} | {plain(inner.get('description', ''))} |")
    return "\n".join(lines)


def contract_rows(options: dict[str, Any], depth: int = 0) -> list[str]:
    """The keys of an application, those of an entry below it."""
    lines = []
    for name, option in options.items():
        several = option.get("elements") == "dict" and option.get("type") == "dict"
        kind = "dict by name" if several else option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        default = "**required**" if option.get("required") else shown(option["default"]) if "default" in option else ""
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        label = "&nbsp;&nbsp;" * depth + f"`{'.' if depth else ''}{name}`"
        lines.append(f"| {label} | {kind} | {default} | {plain(option.get('description', ''))}{choices} |")
        lines += contract_rows(option.get("options") or {}, depth + 1)
    return lines


def contract_table() -> str:
    """The contract `applications`."""
    spec = yaml.safe_load((ROOT / "playbooks/vars/applications_spec.yml").read_text())["applications"]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *contract_rows(spec["options"])])


def flow_tables() -> tuple[str, str]:
    """The flows as a table and as a picture."""
    wiring = yaml.safe_load((ROOT / "playbooks/vars/wiring.yml").read_text())
    services, flows = wiring["wiring_base_services"], wiring["wiring_base_flows"]
    table = ["| service | runs on | port | who may connect |", "|---|---|---|---|"]
    edges: dict[tuple[str, str], list[str]] = {}
    for flow in flows:
        service = services[flow["to"]]
        table.append(f"| {flow['to']} | {service['group']} | `{service['variable']}` = {service['port']} | {', '.join(flow['from'])} |")
        for source in flow["from"]:
            if source != service["group"] and service["group"] != "all" and not flow["to"].endswith(("_exporter", "_status")):
                edges.setdefault((source, service["group"]), []).append(flow["to"])
    picture = ["```mermaid", "flowchart LR"]
    picture += [f"  {source} -- {', '.join(names)} --> {target}" for (source, target), names in edges.items()]
    picture += ["  nginx -- applications --> api", "  api & celery_workers -- what an application names --> pgbouncer & redis & postgres"]
    picture += ["  monitoring -. exporters .-> nginx & api & postgres & pgbouncer & redis", "```"]
    return "\n".join(table), "\n".join(picture)


def module_rows(options: dict[str, Any], depth: int = 0) -> list[str]:
    """The options of a module, suboptions below their option."""
    lines = []
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if "elements" in option else "")
        default = "**required**" if option.get("required") else shown(option["default"]) if "default" in option else ""
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        label = "&nbsp;&nbsp;" * depth + f"`{'.' if depth else ''}{name}`"
        lines.append(f"| {label} | {kind} | {default} | {plain(option['description'])}{choices} |")
        lines += module_rows(option.get("suboptions") or {}, depth + 1)
    return lines


def attribute_rows(own: dict[str, Any]) -> list[str]:
    """What a module promises: its own attributes over those of the fragment that all Google modules share."""
    text = (ROOT / "plugins/doc_fragments/gcp.py").read_text().split('r"""')[1].split('"""')[0]
    shared = yaml.safe_load(text)["attributes"]
    lines = []
    for name, attribute in shared.items():
        merged = attribute | own.get(name, {})
        lines.append(f"| `{name}` | {merged['support']} | {plain(merged.get('details') or merged['description'])} |")
    return lines


def module_pages() -> dict[Path, str]:
    """A page for each Google Cloud module, from its own documentation, and the table of them all."""
    folder, found = ROOT / "docs/gcp/modules", {}
    table = ["# The Google Cloud modules", "", "Written by `make docs`.", ""]
    table += ["| module | what it manages | options of its own |", "|---|---|---|"]
    for file in sorted((ROOT / "plugins/modules").glob("gcp_*.py")):
        text = file.read_text()
        parts = {
            name: re.search(rf'^{name} = r?"""(.*?)"""', text, re.DOTALL | re.MULTILINE) for name in ("DOCUMENTATION", "EXAMPLES", "RETURN")
        }
        documentation, examples, returned = (part[1] if part else "" for part in parts.values())
        about = yaml.safe_load(documentation)
        options = about.get("options") or {}
        lines = [f"# slipway.stack.{file.stem}", "", f"{plain(about['short_description'])}.", ""]
        lines += (
            [f"{plain(part)}\n" for part in about["description"]]
            if isinstance(about["description"], list)
            else [plain(about["description"]), ""]
        )
        lines += ["Project, region and credentials are options of every module: see [authentication](../authentication.md).", ""]
        lines += ["| option | type | default | meaning |", "|---|---|---|---|", *module_rows(options), ""]
        lines += ["## Attributes", "", "| attribute | support | meaning |", "|---|---|---|"]
        lines += [*attribute_rows(about.get("attributes") or {}), ""]
        lines += [
            "## Examples",
            "",
            "```yaml",
            examples.strip(),
            "```",
            "",
            "## Returned",
            "",
            "| value | type | meaning |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{name}` | {value['type']} | {plain(value['description'])} |" for name, value in (yaml.safe_load(returned) or {}).items()
        ]
        found[folder / f"{file.stem}.md"] = "\n".join(lines) + "\n"
        table.append(f"| [{file.stem}](modules/{file.stem}.md) | {plain(about['short_description'])} | {len(options)} |")
    return found | {folder.with_suffix(".md"): "\n".join(table) + "\n"}


def pages() -> dict[Path, str]:
    """Every generated page and its text as it should be."""
    found = module_pages()
    for role in sorted(path for path in (ROOT / "roles").iterdir() if (path / "README.md").is_file()):
        page = role / "README.md"
        found[page] = between(page.read_text(), "options", option_table(role))
    page = ROOT / "docs/applications.md"
    found[page] = between(page.read_text(), "contract", contract_table())
    table, picture = flow_tables()
    page = ROOT / "docs/architecture.md"
    found[page] = between(between(page.read_text(), "flows", table), "picture", picture)
    return found


def main() -> int:
    """Write the pages, or say which are stale."""
    stale = {page: text for page, text in pages().items() if not page.is_file() or page.read_text() != text}
    for page, text in stale.items():
        print(("stale: " if "--check" in sys.argv else "wrote ") + str(page.relative_to(ROOT)))
        if "--check" not in sys.argv:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text)
    if stale and "--check" in sys.argv:
        print("`make docs` writes them again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
