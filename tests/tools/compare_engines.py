"""What the contract suite says of engines with DynamoDB's API, for docs/engines.md (``nox -s engines``).

::

    python tests/tools/compare_engines.py               # all of them (half an hour)
    python tests/tools/compare_engines.py dynalite moto # some
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from langchain_dynamodb.local import dynamodb_local, fetch, run_engine
from langchain_dynamodb.local.child_process import choose_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/engines.md"
BEGIN, END = "<!-- written by nox -s engines -->\n", "<!-- end -->\n"
# What every engine has to keep; not what only bills, limits or throttles, which few of them do.
CONTRACT = [
    *["append", "pages", "read", "idempotency", "uncommitted_pages", "community", "listing", "attributes", "tables"],
    *["clock", "ttl", "crash", "chaos", "state_machine", "keys", "isolation", "message_edits", "missing_pages"],
    *["lifetimes", "set_expiry"],
]
OPTIONS = ["-q", "-n", "2", "-p", "no:cacheprovider", "--rounds", "2", "--timeout", "120", "--hypothesis-profile=quick"]


@dataclass(frozen=True)
class Candidate:
    """An engine: where it comes from, its version, and the command that serves it; None: one of this package."""

    name: str
    comes_from: str
    version: str
    command: Callable[[int, Path], list[str]] | None = None
    environment: tuple[tuple[str, str], ...] = ()


def installed(package: str, program: str, folder: Path) -> str:
    """A program of a Python package, in an environment of its own: such packages want other versions of boto3."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([str(scripts / "python"), "-m", "pip", "install", "--quiet", package], check=True)
    return str(scripts / program)


def unpacked(package: str, release: str, folder: Path) -> Path:
    """The files of an npm package, as they were published."""
    command = [*fetch._npm(), "pack", f"{package}@{release}", "--pack-destination", str(folder), "--ignore-scripts"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / "package"


def dynalite(port: int, folder: Path) -> list[str]:
    """Installed with what it needs, without running scripts; its tables are soon ready."""
    command = [*fetch._npm(), "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "dynalite@4.0.0"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    at_once = [part for name in ("create", "delete", "update") for part in (f"--{name}TableMs", "0")]
    return ["node", str(folder / "node_modules/dynalite/cli.js"), "--host", "127.0.0.1", "--port", str(port), *at_once]


def old_dynamodb_local(port: int, folder: Path) -> list[str]:
    """The one that comes with Amplify's simulator."""
    emulator = unpacked("amplify-dynamodb-simulator", "2.9.30", folder) / "emulator"
    java = [dynamodb_local.find_java(), f"-Djava.library.path={emulator / 'DynamoDBLocal_lib'}"]
    return [*java, "-jar", str(emulator / "DynamoDBLocal.jar"), "-inMemory", "-port", str(port)]


def candidates() -> list[Candidate]:
    """All that are compared."""
    moto = version("moto")
    return [
        Candidate("DynamoDB Local", "`[dynamodb-local]` of this package", fetch._ENGINE_VERSION),
        Candidate("moto", "`[local]` of this package: behind a lock", moto),
        Candidate("moto-server", "pip `moto[server]`, as it is", moto, lambda port, _: moto_server(port)),
        Candidate("old DynamoDB Local", "npm `amplify-dynamodb-simulator` 2.9.30", "1.25.1", old_dynamodb_local),
        Candidate("dynalite", "npm `dynalite` (in Jest and Vitest plugins too)", "4.0.0", dynalite),
        Candidate(
            "ministack",
            "pip `ministack`",
            "1.5.33",
            lambda port, folder: [installed("ministack==1.5.33", "ministack", folder)],
            (("BIND_HOST", "127.0.0.1"), ("GATEWAY_PORT", "{port}")),
        ),
        Candidate(
            "roto",
            "pip `roto-aws`",
            "0.10.1",
            lambda port, folder: [
                *[installed("roto-aws==0.10.1", "roto-server", folder), "--ephemeral"],
                *["--port", str(port)],
            ],
        ),
    ]


def moto_server(port: int) -> list[str]:
    """Moto's own command."""
    return [str(Path(sys.executable).with_name("moto_server")), "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def served(candidate: Candidate) -> Iterator[str]:
    """Run it; yields its address."""
    if candidate.command is None:
        with run_engine("moto" if candidate.name == "moto" else "dynamodb-local") as engine:
            yield engine.endpoint_url
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, port = Path(name), choose_port(None)
        command = candidate.command(port, folder)
        own = {key: value.format(port=port) for key, value in candidate.environment}
        with (folder / "log").open("w") as log:
            child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **own})
            try:
                wait_for(port, child)
                yield f"http://127.0.0.1:{port}"
            finally:
                child.kill()
                child.wait()


def wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    """Until it takes connections."""
    end = time.monotonic() + 60
    while time.monotonic() < end and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"it did not start: exit code {child.poll()}")


def ask(candidate: Candidate, files: list[str]) -> tuple[int, list[str]]:
    """How many tests passed, and the names of those that failed."""
    kind = "dynamodb-local" if candidate.name == "DynamoDB Local" else "moto"
    with served(candidate) as url, tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        where = ["--engine", kind, "--endpoint-url", url, f"--junit-xml={report}"]
        subprocess.run([sys.executable, "-m", "pytest", *OPTIONS, *where, *files], cwd=ROOT, check=False)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    ran = [case for case in cases if case.find("skipped") is None]
    names = sorted({f"{str(case.get('classname')).rpartition('.')[2]}::{case.get('name')}" for case in failed})
    return len(ran) - len(failed), names


def row(candidate: Candidate, passed: int, failed: list[str]) -> str:
    """A line of the table."""
    return f"| {candidate.name} | {candidate.version} | {candidate.comes_from} | {passed} | {len(failed)} |\n"


def write(rows: dict[str, str]) -> None:
    """Put these rows into the page's table; others stay as they are."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    head, lines = table.splitlines(keepends=True)[:2], table.splitlines(keepends=True)[2:]
    known = {line.split("|")[1].strip(): line for line in lines} | rows
    PAGE.write_text(before + BEGIN + "".join(head) + "".join(known.values()) + END + after, encoding="utf-8")


def main() -> int:
    """Ask all, or those named; 1 where the engines of this package fail."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *(candidate.name for candidate in candidates())])
    parser.add_argument("--files", nargs="*", default=CONTRACT, help="of tests/engine, without test_ and .py")
    options = parser.parse_args()
    files = [f"tests/engine/test_{name}.py" for name in options.files]
    rows: dict[str, str] = {}
    ours = 0
    for candidate in candidates():
        if options.names and candidate.name not in options.names:
            continue
        passed, failed = ask(candidate, files)
        print("\n".join([row(candidate, passed, failed), *failed]), flush=True)
        rows[candidate.name] = row(candidate, passed, failed)
        ours += bool(failed) and candidate.command is None
    if options.files == CONTRACT:
        write(rows)
    return int(ours > 0)


if __name__ == "__main__":
    sys.exit(main())
