"""The command `analytics-client`: its entry, and the sentence for a missing extra. The commands are in `commands`."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from analytics_client.commands import cli  # noqa: PLC0415 - may fail, and says why
    except ImportError as error:
        sys.exit(f"analytics-client needs the package {error.name!r}: install analytics_client[cli]")
    cli(prog_name="analytics-client")


if __name__ == "__main__":
    main()
