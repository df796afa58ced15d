"""Writes the report: a self-contained HTML page, a Markdown summary, the JSON."""

import html
import json
import os

from reporting import durable, plots, tables
from reporting.results import Results

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 2em auto;
       padding: 0 1em; color: #222; }
h1, h2 { line-height: 1.2; }
table { border-collapse: collapse; font-size: 13px; margin: 0.5em 0; }
.wide { overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 9px; text-align: right;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { background: #f5f5f5; }
.note { color: #555; font-size: 13px; }
svg { max-width: 100%; height: auto; }
"""

READING = """\
Each figure is the median of its repetitions, with the lowest and the highest in
parentheses. All systems ran in turn on the same machine. So their ratios mean something
even where the machine is slow or busy. The figures themselves do not carry over to
another machine."""

WAITING = """\
Choose blocking unless you have a reason not to: it costs no CPU while nothing comes.
Choose non-blocking with epoll when one thread has other descriptors to serve: it costs
about the same. Choose busy-poll for the lowest latency, when you can spare a core. Do
not sleep between attempts: that is slow and never idle."""

LIMITS = """\
No broker over pipes or sockets can avoid these costs: the kernel copies each message into
and out of a pipe, twice over, and wakes a sleeping reader. Rings in shared memory
(Iceoryx, Aeron's IPC, a plain SPSC queue) need no system call for a message while the
reader is awake, and no copy for a large one. None of them is measured here. They need a
common memory layout and trust in every writer. Shells and most sandboxes cannot use
them."""


def html_table(table):
    if not table.rows:
        return ""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>\n"
        for row in table.rows
    )
    return (
        f"<h3>{html.escape(table.title)}</h3>\n<div class=wide><table>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
        f"<p class=note>{html.escape(table.note)}</p>\n"
    )


def markdown_table(table):
    if not table.rows:
        return ""
    lines = [
        f"### {table.title}",
        "",
        "| " + " | ".join(table.header) + " |",
        "|" + "---|" * len(table.header),
    ]
    lines += ["| " + " | ".join(str(c) for c in row) + " |" for row in table.rows]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def machine_table(sign):
    return tables.Table("Machine and run", ["", ""], list(sign["machine"].items()))


def systems_table(sign):
    rows = [[s["name"], s["version"], s["settings"]] for s in sign["systems"]]
    rows += [[name, "not measured", why] for name, why in sign["skipped"].items()]
    return tables.Table(
        "Versions and settings", ["system", "version", "settings"], rows
    )


def sections(results, sign):
    """(heading, paragraph, titles of plots, tables), in the order of the page."""
    return [
        (
            "How should a reader wait?",
            WAITING,
            ["Latency by how the reader waits", "Round trip by how both ends wait"],
            [tables.advice(results)],
        ),
        (
            "How does fifobus compare?",
            READING,
            [
                "Latency of all systems",
                "Throughput over size",
                "Fan-out over subscribers",
            ],
            [
                tables.goals(results),
                tables.losses(results),
                *tables.latencies(results),
                *tables.streams(results),
                *tables.fans(results),
            ],
        ),
        ("What does storing cost?", "", [], [durable.table(results)]),
        ("How does it scale?", "", ["As the bus fills"], tables.scaling(results)),
        ("What would be faster?", LIMITS, [], []),
        (
            "What was measured, and on what?",
            "",
            [],
            [machine_table(sign), systems_table(sign), tables.matrix(results)],
        ),
    ]


def html_page(results, sign):
    parts = [
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8>",
        "<title>fifobus: measured</title>",
        f"<style>{STYLE}</style></head><body>",
        f"<h1>fifobus, measured</h1><p class=note>{html.escape(sign['title'])}</p>",
    ]
    drawn = dict(plots.all_plots(results))
    for heading, paragraph, titles, some_tables in sections(results, sign):
        parts.append(f"<h2>{heading}</h2><p>{html.escape(paragraph)}</p>")
        for title in titles:
            parts.append(
                f"<figure><figcaption>{title}</figcaption>{drawn[title]}" "</figure>"
            )
        parts += [html_table(table) for table in some_tables]
    return "\n".join(parts) + "</body></html>\n"


def markdown_page(results, sign):
    parts = ["# fifobus, measured", sign["title"]]
    for heading, paragraph, _titles, some_tables in sections(results, sign):
        parts += [f"## {heading}", paragraph]
        parts += [markdown_table(table) for table in some_tables]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(records, sign, folder):
    """Writes report.html, report.md and report.json into `folder`."""
    os.makedirs(folder, exist_ok=True)
    results = Results(records, sign)
    for name, content in (
        ("report.json", json.dumps({"sign": sign, "records": records}) + "\n"),
        ("report.md", markdown_page(results, sign)),
        ("report.html", html_page(results, sign)),
    ):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(content)
