"""The management command: the importer's flags, the project's settings."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

import tests.contrib.django_project.project  # noqa: F401 - sets Django up
from analytics_client.collector import Collector

FLAGS = ("--type", "track", "--event-column", "what", "--user-id", "who", "--timestamp", "at", "--property", "n:int")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "history.csv"
    path.write_text("who,what,at,n\nu-1,Bought,2020-01-01,1\nu-2,Sold,2020-01-02,2\n")
    return path


def settings(url: str, **more: Any) -> Any:
    context = {"app": {"name": "shop"}}
    return override_settings(ANALYTICS_CLIENT={"write_key": "k", "host": url, "context": context, **more})


def test_rows_arrive_with_the_settings_context(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Collector(write_key="k") as collector:
        with settings(collector.url, flush_at=10, page_events=True):
            call_command("analytics_import", str(table), *FLAGS)
        events = [each["event"] for each in collector.events()]
    assert [(each["userId"], each["event"], each["properties"]) for each in events] == [
        ("u-1", "Bought", {"n": 1}),
        ("u-2", "Sold", {"n": 2}),
    ]
    assert all(each["context"]["app"] == {"name": "shop"} for each in events)
    assert "2" in capsys.readouterr().out


def test_a_rejected_row_gives_the_importers_status(table: Path) -> None:
    table.write_text(table.read_text() + "u-3,Lost,2020-01-03,many\n")
    with Collector() as collector, settings(collector.url), pytest.raises(SystemExit) as end:
        call_command("analytics_import", *FLAGS, str(table))
    assert end.value.code == 3


def test_flags_win_over_settings(table: Path) -> None:
    with Collector() as collector:
        with settings("http://127.0.0.1:9"):
            call_command("analytics_import", str(table), *FLAGS, "--host", collector.url)
        assert collector.stats()["unique"] == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({}, "ANALYTICS_CLIENT: write_key is missing"), ({"enabled": False}, "enabled=False: nothing would be sent")],
)
def test_settings_that_send_nothing(table: Path, given: dict[str, Any], sentence: str) -> None:
    with override_settings(ANALYTICS_CLIENT=given), pytest.raises(CommandError, match=sentence):
        call_command("analytics_import", str(table), *FLAGS)
