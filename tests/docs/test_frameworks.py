"""The how-to pages on servers, task queues, notebooks and user interfaces, run with the real packages.

They are large, so that most sessions have none of them: ``nox -s frameworks`` and ``nox -s interfaces`` do.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from docs_server import save_programs
from documentation import BLOCKS, ROOT
from langchain_dynamodb import SessionRepository
from langchain_dynamodb.local import Engine, run_engine
from langchain_dynamodb.local.child_process import choose_port

pytestmark = pytest.mark.once
HOWTO = ROOT / "docs/howto"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def docs_engine() -> Iterator[Engine]:
    """An engine that nobody shares: all pages use one table name."""
    with run_engine() as started:
        yield started


@pytest.fixture
def sessions(docs_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionRepository]:
    """The table of the pages; the environment is that of the engine."""
    for name, value in docs_engine.environment.items():
        monkeypatch.setenv(name, value)
    with SessionRepository("SessionTable") as repository:
        repository.create_table()
        yield repository


def commands(page: str) -> list[list[str]]:
    """What the page has one type in."""
    lines = [block.code.splitlines() for block in BLOCKS if block.page == HOWTO / page and block.language == "bash"]
    return [shlex.split(line) for block in lines for line in block]


@contextmanager
def running(words: list[str], folder: Path) -> Iterator[Path]:
    """Run a command of a page in a process group of its own, which ends with the block; yields its log."""
    log = folder / "log"
    with log.open("w") as out:
        command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
        child = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, start_new_session=True)
        try:
            yield log
        finally:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def until(wanted: Callable[[], Any], log: Path) -> Any:
    """Wait until it is true, or fail with what the program said."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if found := wanted():
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(log.read_text())


GUNICORN = commands("web-servers.md")


@pytest.mark.parametrize("words", GUNICORN, ids=[" ".join(words[1:-1]) for words in GUNICORN])
def test_gunicorn(sessions: SessionRepository, tmp_path: Path, words: list[str]) -> None:
    """Many requests at once on one session: each is answered, and nothing is lost."""
    pytest.importorskip("gunicorn")
    pytest.importorskip("gevent")
    save_programs(HOWTO / "web-servers.md", tmp_path)
    name, port = tmp_path.name, choose_port(None)
    with running([*words[:1], "--bind", f"127.0.0.1:{port}", *words[1:]], tmp_path) as log:
        address = f"http://127.0.0.1:{port}/{name}"
        until(lambda: httpx.get(address).status_code == 200, log)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: httpx.get(address, timeout=PATIENCE), range(24)))
    assert ([answer.status_code for answer in answers], log.read_text().count("Traceback")) == ([200] * 24, 0)
    assert sessions.read(name).message_count == 2 * 25


def test_gevent_that_patches_too_late(sessions: SessionRepository, tmp_path: Path) -> None:
    """With --preload and without the configuration: the error that the page names."""
    pytest.importorskip("gunicorn")
    pytest.importorskip("gevent")
    save_programs(HOWTO / "web-servers.md", tmp_path)
    port = choose_port(None)
    words = ["gunicorn", "--bind", f"127.0.0.1:{port}", "--preload", "--worker-class", "gevent", "wsgi:app"]
    with running(words, tmp_path) as log:
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/late").status_code == 500, log)
    assert "StorageError: No client could be made: RecursionError" in log.read_text()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_celery(sessions: SessionRepository, tmp_path: Path, pool: str) -> None:
    """Forked after the repository had been used, or not; a task that is sent twice is stored once."""
    pytest.importorskip("celery")
    save_programs(HOWTO / "celery.md", tmp_path)
    broker = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    (tmp_path / "queue").mkdir()
    (tmp_path / "worker.py").write_text(
        "import tasks\n"
        "app = tasks.app\n"
        f"app.conf.update(broker_url='filesystem://', broker_transport_options={broker!r})\n"
        "tasks.sessions.read('nobody')  # before the fork\n"
    )
    send = (
        "from worker import app\n"
        f"for i in [*range(6), 0]: app.send_task('tasks.answer', ['{pool}', str(i)], task_id=f'{pool}{{i}}')"
    )
    subprocess.run([sys.executable, "-c", send], cwd=tmp_path, check=True)
    [words] = commands("celery.md")
    with running([*[word.replace("tasks", "worker") for word in words], "--pool", pool], tmp_path) as log:
        until(lambda: log.read_text().count("succeeded") == 7, log)
    said = [message.text for message in sessions.read(pool).messages if message.type == "human"]
    assert sorted(said) == [str(i) for i in range(6)]


def test_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without AWS: cells that await, and cells that do not; the values that they show."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    cells = [block.code for block in BLOCKS if block.page == HOWTO / "notebooks.md" and block.language == "python"]
    cells += ["sessions", "import asyncio\nasyncio.run(asyncio.sleep(0))"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, allow_errors=True, timeout=PATIENCE).execute()
    [_, one, two, shown, refused] = [cell.outputs for cell in notebook.cells]
    shown_values = [outputs[-1].data["text/plain"] for outputs in (one, two, shown)]
    assert shown_values == ["1", "['hi!']", "AsyncSessionRepository('SessionTable')"]
    assert "cannot be called from a running event loop" in refused[-1].evalue


def test_streamlit(sessions: SessionRepository, tmp_path: Path) -> None:
    """Two questions, a reload, another browser: the chat is that of the address."""
    testing = pytest.importorskip("streamlit.testing.v1")
    save_programs(HOWTO / "streamlit-gradio.md", tmp_path)
    page = testing.AppTest.from_file(tmp_path / "streamlit_app.py", default_timeout=PATIENCE).run()
    for text in ("one", "two"):
        page.chat_input[0].set_value(text).run()
    said = ["one", "You said one.", "two", "You said two."]
    assert (not page.exception, [message.markdown[0].value for message in page.chat_message]) == (True, said)
    chat = page.query_params["chat"]
    other = testing.AppTest.from_file(tmp_path / "streamlit_app.py", default_timeout=PATIENCE)
    other.query_params["chat"] = chat
    assert [message.markdown[0].value for message in other.run().chat_message] == said
    assert sessions.read(chat[0] if isinstance(chat, list) else chat).message_count == 4


def test_gradio(sessions: SessionRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions of one page find each other, and those of another page do not."""
    pytest.importorskip("gradio")
    from gradio_client import Client

    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    port = choose_port(None)
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
    save_programs(HOWTO / "streamlit-gradio.md", tmp_path)
    with running(commands("streamlit-gradio.md")[1], tmp_path) as log:
        until(lambda: httpx.get(f"http://127.0.0.1:{port}").status_code == 200, log)
        pages = [Client(f"http://127.0.0.1:{port}", verbose=False) for _ in range(2)]
        answers = [page.predict("hi", api_name="/answer") for page in (pages[0], pages[0], pages[1])]
    assert answers == [f"You said hi. I know {known} messages." for known in (0, 2, 0)]
