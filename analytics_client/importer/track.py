"""The files that an import keeps beside one of its inputs: checkpoint and reject file, and how they go together.

Owns their names, going on from a checkpoint, and the order of writing: rejects first, so that what a checkpoint calls
settled is settled.
"""

from dataclasses import replace
from pathlib import Path

from analytics_client.errors import ConfigError
from analytics_client.importer.checkpoint import Checkpoint, load, save
from analytics_client.importer.faults import ImportStopped, InputBroken
from analytics_client.importer.inputs import Input, Opened, identity
from analytics_client.importer.options import Options
from analytics_client.importer.plan import Plan
from analytics_client.importer.rejects import Rejects
from analytics_client.importer.settling import Settling


class Track:
    """The state of one input's import.

    Attributes:
        settling: which rows are settled.
        rejects: those that are in the reject file.
        rejects_waiting: how many of them are not on disk yet.
    """

    def __init__(self, opened: Opened, path: Path, rejects: Rejects, begun: Checkpoint) -> None:
        self._opened = opened
        self._path = path
        self._begun = begun
        self._saved = -1  # changes of `settling` at the last checkpoint
        self.rejects = rejects
        self.rejects_waiting = 0
        self.settling = Settling(begun.low, begun.beyond)

    @staticmethod
    def refuse(source: Input, plan: Plan, destination: str, options: Options) -> None:
        """Refuse, before anything is sent, what a checkpoint speaks against.

        Raises:
            ConfigError: there is one, and neither resume nor restart was asked for; or it belongs to something else.
        """
        path = _checkpoint(_base(source, options))
        found = None if options.restart else load(path)
        if found is None or (found.done and not options.resume):
            return
        if options.resume:
            # What is on standard input is known when it is read.
            same = found.identity if source.path is None else identity(source)
            found.check(Checkpoint(same, plan.digest(), destination), source.name)
        elif found.low or found.beyond:
            raise ConfigError(
                f"an import of {source.name} stopped after row {found.low:,} ({path}): go on with --resume, or begin "
                "anew with --restart"
            )

    @classmethod
    def begin(cls, opened: Opened, plan: Plan, destination: str, options: Options) -> "Track | None":
        """Begin or go on with an input; None if there is nothing left to do.

        Raises:
            ImportStopped: the input is another one than that of its checkpoint, or a file cannot be written.
        """
        source = opened.source
        base = _base(source, options)
        path = _checkpoint(base)
        try:
            fresh = Checkpoint(identity(source, opened), plan.digest(), destination)
        except OSError as error:
            raise InputBroken(f"{source.name} cannot be read: {error.strerror}") from None
        found = load(path) if options.resume else None
        if found is not None:
            try:
                found.check(fresh, source.name)
            except ConfigError as error:
                raise ImportStopped(str(error)) from None
            if found.done:
                return None
        begun = found or fresh
        columns = opened.table.columns
        rejects = Rejects(base, opened.format, columns, delimiter=opened.delimiter, begun=begun.rejects)
        track = cls(opened, path, rejects, begun)
        track.save()  # whoever cannot keep a checkpoint must not send
        return track

    def save(self, *, done: bool = False) -> None:
        """Write a checkpoint, unless nothing has changed since the last one.

        Raises:
            ImportStopped: it cannot be written.
        """
        changes, low, beyond, delivered, rejected = self.settling.state()
        if changes == self._saved and not done:
            return
        begun = self._begun
        rejects = self.rejects.sync()
        self.rejects_waiting = 0
        fresh = replace(
            begun,
            low=low,
            beyond=beyond,
            delivered=begun.delivered + delivered,
            rejected=begun.rejected + rejected,
            rejects=rejects,
            done=done,
        )
        save(self._path, fresh)
        self._saved = changes

    def finish(self) -> None:
        """Every row is settled."""
        self.rejects.close(done=True)
        self.save(done=True)

    def close(self) -> None:
        """Not every row is settled, and this run is over: keep what there is, as far as the disk lets us."""
        try:
            self.save()
        finally:
            self.rejects.close(done=False)

    def refuse_changed(self) -> None:
        """Say so if the input is another one now than when it was opened.

        Raises:
            InputBroken: it is.
        """
        path = self._opened.source.path
        if path is None:
            return
        begun = self._begun.identity
        try:
            status = path.stat()
            same = (status.st_size, status.st_mtime_ns) == (begun["size"], begun["modified_ns"])
        except OSError:
            same = False
        if not same:
            raise InputBroken(
                f"{path} changed while it was read: the rows that were read are sent. When it changes no more, import "
                "it again with --restart (equal rows keep their ids)"
            )


def _base(source: Input, options: Options) -> Path:
    """Return the path, without its last suffix, of what is kept beside an input."""
    if options.state is None:
        assert source.path is not None
        return source.path
    return options.state / source.place.replace("/", "__")


def _checkpoint(base: Path) -> Path:
    return base.with_name(base.name + ".checkpoint")
