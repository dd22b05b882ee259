"""Debian's Redis as a broker that leaves nothing behind: `python broker.py PORT`; `python broker.py --check`."""

import os
import shutil
import sys

HINT = "this example needs redis-server: apt-get install redis-server (Debian, Ubuntu), brew install redis (macOS)"


def main(argument: str) -> None:
    if shutil.which("redis-server") is None:
        sys.exit(HINT)
    if argument != "--check":
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        os.execvp("redis-server", ["redis-server", "--port", argument, *options])  # noqa: S606, S607


if __name__ == "__main__":
    main(sys.argv[1])
