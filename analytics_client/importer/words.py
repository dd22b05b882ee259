"""A summary and a dry run's report as text for people. Pure."""

from collections.abc import Iterable, Mapping

from analytics_client.importer.summary import Problem, Report, Summary


def summary_text(summary: Summary) -> str:
    """Return the lines about an import."""
    rate = summary.delivered / summary.seconds if summary.seconds else 0.0
    lines = [
        f"{summary.rows:,} rows read in {summary.seconds:,.1f} s: {summary.delivered:,} delivered ({rate:,.0f}/s), "
        f"{summary.rejected:,} rejected"
        + (f", {summary.settled_before:,} settled by earlier runs" if summary.settled_before else "")
    ]
    lines += summary.notes
    lines += _problems(summary.problems)
    lines += [f"the rejected rows, each with the reason, are in {path}" for path in summary.reject_files]
    lines += _oddities(summary.duplicates, summary.ignored)
    if summary.stopped is not None:
        lines.append(f"NOT finished: {summary.stopped}")
    return "\n".join(lines)


def report_text(report: Report) -> str:
    """Return the lines about a dry run."""
    lines = [f"dry run, nothing was sent: {report.rows:,} rows, {report.valid:,} of them valid"]
    lines += [
        f"  {count:>12,}  {kind} {name}".rstrip()
        for (kind, name), count in sorted(report.events.items(), key=lambda each: -each[1])[:50]
    ]
    if len(report.events) > 50:
        lines.append(f"                and {len(report.events) - 50} other kinds")
    if report.earliest is not None:
        lines.append(f"times: {report.earliest} to {report.latest}")
    lines += [f"dates of the column {name!r}: {form}" for name, form in report.dates.items()]
    if report.valid:
        mean = report.bytes / report.valid
        lines.append(
            f"sizes: {report.bytes:,} bytes, {report.smallest:,} to {report.largest:,} an event, {mean:,.0f} on average"
        )
    lines += _problems(report.problems)
    lines += _oddities(report.duplicates, report.ignored)
    if report.stopped is not None:
        lines.append(f"NOT read to the end: {report.stopped}")
    return "\n".join(lines)


def _problems(problems: Iterable[Problem]) -> list[str]:
    return [f"  {each.count:>12,}  rejected: {each.text} ({', '.join(each.examples)})" for each in problems]


def _oddities(duplicates: int, ignored: Mapping[str, int]) -> list[str]:
    lines = []
    if duplicates:
        lines.append(f"about {duplicates:,} message ids come more than once: all were kept, the server decides")
    for key, count in sorted(ignored.items(), key=lambda each: -each[1])[:10]:
        lines.append(f"the key {key!r} is none of its call's, and was left behind {count:,} times")
    return lines
