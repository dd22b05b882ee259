"""What the pages say is tried: every Python block runs, every option and status is where the tables have it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import analytics_client
from analytics_client import Client, implicit
from analytics_client.config import OPTION_NAMES
from analytics_client.delivery.retry import Verdict, decide
from analytics_client.delivery.transport import RequestsTransport
from analytics_client.delivery.wire import Request, Response

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
    """Every request that leaves for a real service, which here does not leave."""
    requests: list[Request] = []
    real = RequestsTransport.send

    def send(self: RequestsTransport, request: Request, timeout: float) -> Response:
        if "127.0.0.1" in request.url:
            return real(self, request, timeout)
        requests.append(request)
        return Response(200)

    monkeypatch.setattr(RequestsTransport, "send", send)
    monkeypatch.setattr(implicit, "_client", None)
    monkeypatch.setattr(implicit, "_settings", {})
    yield requests
    if implicit._client is not None:
        implicit._client.close()


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_every_python_block_runs(page: Path, sent: list[Request], capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCK.findall(page.read_text())):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    for value in list(names.values()):
        if isinstance(value, Client):
            value.close()
    if page.name == "usage.md":
        printed = capsys.readouterr().out
        assert "properties.files[0].raw: bytes that are not UTF-8 have no form in JSON" in printed
        assert "<Client segment queue=1 264B/64MiB inflight=0 delivered=0 failed=0>" in printed
    assert sent or page.name == "collector.md"


def test_the_table_of_options_is_complete() -> None:
    rows = re.findall(r"^\| (`.*?) \|.*?\|(.*?)\|", (ROOT / "docs" / "usage.md").read_text(), re.MULTILINE)
    named = {name: "✓" in environment for names, environment in rows for name in re.findall(r"`(\w+)`", names)}
    for name in OPTION_NAMES:
        assert name in named, name
    from dataclasses import fields

    from analytics_client.config import Config

    for option in fields(Config):
        if "parse" in option.metadata:
            assert named[option.name] is (option.metadata["parse"] is not None), option.name


def test_the_table_of_statuses_is_what_happens() -> None:
    text = (ROOT / "docs" / "delivery.md").read_text()
    verdicts = {
        "kept": Verdict.HOLD,
        "delivered": Verdict.DELIVERED,
        "halved until": Verdict.BISECT,
        "halved": Verdict.SPLIT,
        "`rejected`": Verdict.REJECT,
    }
    checked = 0
    for answer, fault, ends in re.findall(r"^\| ([^|]*\d{3}[^|]*) \|([^|]*)\|([^|]*)\|$", text, re.MULTILINE):
        verdict = next(verdict for start, verdict in verdicts.items() if ends.strip().startswith(start))
        for status in re.findall(r"\b\d{3}\b", answer):
            decision = decide(Response(int(status)), 0)
            assert decision.verdict is verdict, status
            assert decision.configuration is ("setting" in fault), status
            checked += 1
    assert checked == 14


def test_the_readme_starts_with_the_two_commands() -> None:
    first = (ROOT / "README.md").read_text().split("```")[1]
    assert "python3 dev.py demo" in first
    assert "python3 dev.py test" in first


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference.md").read_text()
    functions = {"identify", "track", "page", "screen", "group", "alias", "merge", "flush", "close", "__version__"}
    errors = {name for name in analytics_client.__all__ if name in vars(analytics_client.errors)}
    for name in set(analytics_client.__all__) - functions - errors:
        assert f"analytics_client.{name}" in text, name
