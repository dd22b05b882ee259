"""`manage.py analytics_import FILE...`: the importer with the project's settings.

Takes the flags of `analytics-client import`, which win over the settings; those give the write key, the dialect, the
host, the context and so on. Owns nothing but that.
"""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics_client import ConfigError
from analytics_client.contrib.django.setup import load


class Command(BaseCommand):
    """See the file's head. Exit status: 0 all delivered, 3 some rows rejected, 1 otherwise."""

    help = (
        "Import history: every row of the files becomes one event, sent once. The flags are those of "
        "`analytics-client import`, which `analytics-client import --help` lists; the settings say where events go."
    )
    requires_system_checks = ()  # of the database and so on: nothing here wants them

    def create_parser(self, prog_name: str, subcommand: str, **given: Any) -> CommandParser:
        """Return Django's parser, which leaves the flags that it does not know to the importer's."""
        parser = super().create_parser(prog_name, subcommand, allow_abbrev=False, **given)

        def parse_args(args: Sequence[str] | None = None, namespace: Any = None) -> Namespace:
            found: Namespace
            found, rest = parser.parse_known_args(args, namespace)
            found.arguments = rest
            return found

        parser.parse_args = parse_args  # type: ignore[method-assign,assignment]
        return parser

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the import, and leave with its status where that is not 0."""
        try:
            from analytics_client.import_command import import_command  # noqa: PLC0415
        except ImportError as error:
            raise CommandError(f"the importer's flags need {error.name}: install analytics_client[cli]") from None
        from analytics_client.importer.options import CLIENT_OPTIONS  # noqa: PLC0415 - with the other

        try:
            settings = load()
        except ConfigError as error:
            raise CommandError(str(error)) from None
        if not settings.client.enabled:
            raise CommandError("ANALYTICS_CLIENT has enabled=False: nothing would be sent")
        given = {
            name: value
            for name, value in settings.client_options.items()
            if name in CLIENT_OPTIONS or name == "write_key"
        }
        try:
            import_command.main(options["arguments"], prog_name="analytics_import", obj=given)
        except SystemExit as end:
            if end.code:
                raise  # the importer has said why, and its status is the command's
