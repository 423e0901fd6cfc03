"""Event loops, threads, forks and interpreter exit: scripts in processes of their own must end without a word."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.any_engine

Script = Callable[..., str]

PRELUDE = """
import asyncio, atexit, os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored

@atexit.register
def last():  # registered before ours, so called after it
    left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if left:
        print("threads left:", left, file=sys.stderr)

from langchain_core.messages import AIMessage, HumanMessage
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository

TABLE, URL = sys.argv[1], sys.argv[2] or None

def make(kind=AsyncSessionRepository, **options):
    return kind(TABLE, endpoint_url=URL, **options)

def adapter(session="s1"):
    return DynamoDBChatMessageHistory(TABLE, session, URL)

def interrupt(noticed):
    # Again until it is noticed: Python misses a signal that comes right before it begins to wait.
    while not noticed.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        noticed.wait(5)

async def say(repository, text, session="s1"):
    await repository.append(session, [HumanMessage(text)])

def told(repository, session="s1"):
    return [m.content for m in repository.read(session).messages]

async def atold(repository, session="s1"):
    return [m.content for m in (await repository.read(session)).messages]
"""


@pytest.fixture
def script(engine: Any, table_name: str) -> Script:
    """Run a script on a fresh table, in development mode with warnings as errors; returns what it printed."""

    def run(source: str, *, code: int = 0) -> str:
        command = [sys.executable, "-W", "error", "-X", "dev", "-c", PRELUDE + textwrap.dedent(source)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [*command, table_name, engine.endpoint_url or ""],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
            check=False,
        )
        # asyncio's development mode reports each step longer than 0.1 s, which a busy machine makes of any.
        complaints = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
        assert (complaints, done.returncode) == ([], code)
        return done.stdout

    return run


@pytest.mark.once
def test_two_loops_one_after_another(script: Script) -> None:
    """One repository under two `asyncio.run`, never closed."""
    printed = script("""
        repository = make()
        asyncio.run(say(repository, "one"))
        asyncio.run(say(repository, "two"))
        print(asyncio.run(atold(repository)))
    """)
    assert printed == "['one', 'two']\n"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner is new in 3.11")
def test_a_runner(script: Script) -> None:
    """`asyncio.Runner` ends the client too; a repository closed in between stays closed."""
    printed = script("""
        from langchain_dynamodb.errors import RepositoryClosedError
        repository = make()
        with asyncio.Runner() as runner:
            runner.run(say(repository, "one"))
            print(runner.run(atold(repository)))
            runner.run(repository.aclose())
            try:
                runner.run(say(repository, "two"))
            except RepositoryClosedError:
                print("closed")
    """)
    assert printed == "['one']\nclosed\n"


@pytest.mark.once
def test_a_loop_driven_by_hand(script: Script) -> None:
    """Whoever drives a loop by hand shuts its generators down before closing it."""
    printed = script("""
        for text in ("one", "two"):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(say(make(), text))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
        print(told(make(SessionRepository)))
    """)
    assert printed == "['one', 'two']\n"


@pytest.mark.once
def test_dead_loops_are_forgotten(script: Script) -> None:
    """Neither ended loops nor loops closed without a word keep their clients alive."""
    printed = script("""
        import gc, warnings, weakref
        from langchain_dynamodb._dynamodb import connection
        warnings.simplefilter("ignore", ResourceWarning)  # aiohttp's, about the loops closed without a word
        repository = make()
        seen = []
        for i in range(4):
            loop = asyncio.new_event_loop()
            seen.append(weakref.ref(loop))
            loop.run_until_complete(say(repository, str(i)))
            if i % 2:
                loop.run_until_complete(loop.shutdown_asyncgens())
            else:
                loop.set_exception_handler(lambda loop, context: None)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
        async def last():
            await say(repository, "last")
            gc.collect()
            print(len(connection._clients), [ref() for ref in seen[:3]])
        del loop
        asyncio.run(last())
        print(len(connection._clients))
    """)
    assert printed == "1 [None, None, None]\n0\n"


@pytest.mark.once
def test_loops_in_threads(script: Script) -> None:
    """One repository on four loops in four threads at once, never closed."""
    printed = script("""
        repository = make()
        def work(name):
            async def several():
                for i in range(5):
                    await say(repository, f"{name}{i}")
            asyncio.run(several())
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        [t.start() for t in threads]
        [t.join() for t in threads]
        print(sorted(asyncio.run(atold(repository))))
    """)
    assert printed == f"{sorted(name + str(i) for name in 'abcd' for i in range(5))}\n"


@pytest.mark.once
def test_closing_from_another_loop(script: Script) -> None:
    """`aclose` on one loop lets go everywhere; the other loop's client ends with that loop."""
    printed = script("""
        from langchain_dynamodb.errors import RepositoryClosedError
        repository = make()
        opened, closed = threading.Event(), threading.Event()
        async def elsewhere():
            await say(repository, "one")
            opened.set()
            await asyncio.to_thread(closed.wait)
            try:
                await say(repository, "two")
            except RepositoryClosedError:
                print("closed here too")
            print(await atold(make()))
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        opened.wait()
        asyncio.run(repository.aclose())
        closed.set()
        thread.join()
    """)
    assert printed == "closed here too\n['one']\n"


@pytest.mark.once
def test_generators_left_open(script: Script) -> None:
    """A reading generator and a context manager that the loop's end closes do not disturb each other."""
    printed = script("""
        async def reading():
            async with make() as repository:
                await say(repository, "one")
                yield [m async for m in repository.iter_messages("s1")]
        kept = []
        async def main():
            kept.append(reading())
            print(len(await anext(kept[0])))
            kept.append(make().iter_messages("s1"))
            print((await anext(kept[1])).content)
        asyncio.run(main())
    """)
    assert printed == "1\none\n"


def test_plain_script(script: Script) -> None:
    """The synchronous facade without `close`."""
    printed = script("""
        repository = make(SessionRepository)
        repository.append("s1", [HumanMessage("hi!")])
        adapter().add_ai_message("whats up?")
        print(told(repository), [m.content for m in adapter().messages])
    """)
    assert printed == "['hi!', 'whats up?'] ['hi!', 'whats up?']\n"


@pytest.mark.once
def test_unused(script: Script) -> None:
    """What is made and never used starts no thread and opens nothing."""
    printed = script("""
        from langchain_dynamodb._dynamodb import connection
        adapter(), make(), make(SessionRepository)
        print(threading.active_count(), len(connection._clients))
    """)
    assert printed == "1 0\n"


@pytest.mark.once
def test_sixteen_threads(script: Script) -> None:
    """Sixteen threads share one repository, and one background thread."""
    printed = script("""
        with make(SessionRepository) as repository:
            def work(name):
                for i in range(5):
                    repository.append("s1", [HumanMessage(f"{name}.{i}")])
            threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
            [t.start() for t in threads]
            print([t.name for t in threading.enumerate()].count("langchain-dynamodb"))
            [t.join() for t in threads]
            told = told(repository)
            print(len(told), len(set(told)))
    """)
    assert printed == "1\n80 80\n"


@pytest.mark.once
def test_inside_a_running_loop(script: Script) -> None:
    """Synchronous calls under a running event loop, as in a notebook, beside asynchronous ones."""
    printed = script("""
        async def cell():
            adapter().add_user_message("one")
            await adapter().aadd_messages([AIMessage("two")])
            return [m.content for m in adapter().messages], await atold(make())
        print(asyncio.run(cell()))
    """)
    assert printed == "(['one', 'two'], ['one', 'two'])\n"


@pytest.mark.once
def test_on_its_own_loop(script: Script) -> None:
    """A synchronous call from the background loop itself is an error, not a deadlock."""
    printed = script("""
        from langchain_dynamodb.blocking import run
        from langchain_dynamodb.errors import ChatHistoryError
        async def wrong():
            return adapter().messages
        try:
            run(wrong())
        except ChatHistoryError as error:
            print("await" in str(error))
    """)
    assert printed == "True\n"


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_fork(script: Script, end: str) -> None:
    """A forked child uses the parent's repository with a client of its own, and the parent's goes on working."""
    printed = script(f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork in a process with threads
        repository = make(SessionRepository)
        repository.append("s1", [HumanMessage("parent")])
        child = os.fork()
        if not child:
            repository.append("s1", [HumanMessage("child")])
            adapter().add_ai_message("child's adapter")
            asyncio.run(say(make(), "child's loop"))
            {end}
        assert os.waitpid(child, 0)[1] == 0
        repository.append("s1", [HumanMessage("parent again")])
        print(told(repository))
    """)
    assert printed == """['parent', 'child', "child's adapter", "child's loop", 'parent again']\n"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_inside_a_running_loop(script: Script) -> None:
    """A child forked under a running loop leaves the parent's connections alone."""
    printed = script("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        async def main():
            repository = make()
            await say(repository, "parent")
            child = os.fork()
            if not child:
                adapter().add_user_message("child")
                os._exit(0)  # to close the loop it shares with its parent would stop the parent's
            assert os.waitpid(child, 0)[1] == 0
            await say(repository, "parent again")
            print(await atold(repository))
        asyncio.run(main())
    """)
    assert printed == "['parent', 'child', 'parent again']\n"


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_again_and_again(script: Script) -> None:
    """A child of a child, while threads of the parent are in the middle of calls."""
    printed = script("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        repository = make(SessionRepository)
        stop = threading.Event()
        def work():
            while not stop.is_set():
                repository.read("s1")
        threads = [threading.Thread(target=work) for _ in range(4)]
        [t.start() for t in threads]
        for depth in range(3):
            child = os.fork()
            if child:
                code = os.waitpid(child, 0)[1]
                if depth:
                    os._exit(code)
                break
            repository.append("s1", [HumanMessage(str(depth))])
        else:
            os._exit(0)
        stop.set()
        [t.join() for t in threads]
        print(code, told(repository))
    """)
    assert printed == "0 ['0', '1', '2']\n"


@pytest.mark.once
def test_keyboard_interrupt(script: Script) -> None:
    """An interrupt while waiting cancels the coroutine; the facade works on."""
    printed = script("""
        from langchain_dynamodb.blocking import run
        started, cancelled, noticed = threading.Event(), threading.Event(), threading.Event()
        async def long():
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise
        def interrupt_it():
            started.wait()
            interrupt(noticed)
        threading.Thread(target=interrupt_it).start()
        try:
            run(long())
        except KeyboardInterrupt:
            noticed.set()
            print(cancelled.wait(10))
        adapter().add_user_message("hi!")
        print(told(make(SessionRepository)))
    """)
    assert printed == "True\n['hi!']\n"


@pytest.mark.once
def test_exit_in_the_middle_of_a_call(script: Script) -> None:
    """The interpreter exits while a daemon thread waits for a call: no complaint."""
    script("""
        from langchain_dynamodb.blocking import run
        started = threading.Event()
        async def long():
            await adapter().aget_messages()
            started.set()
            await asyncio.sleep(60)
        def work():
            try:
                run(long())
            except BaseException:
                pass
            finally:
                done.set()
        done = threading.Event()
        threading.Thread(target=work, daemon=True).start()
        started.wait()
        atexit.unregister(last)
    """)


@pytest.mark.once
@pytest.mark.parametrize("begun", [True, False])
def test_much_work_at_exit(script: Script, begun: bool) -> None:
    """There are no more threads to be had then: what they would have done is done at once, the first call included."""
    printed = script(f"""
        repository = make(SessionRepository)
        if {begun}:
            repository.append("s1", [HumanMessage("first")])
        @atexit.register
        def bye():
            repository.append("s2", [HumanMessage(str(i)) for i in range(200)])
            repository.replace("s2", [HumanMessage("x" * 300_000), HumanMessage("y")])
            print([len(text) for text in told(repository, "s2")])
        """)
    assert printed == "[300000, 1]\n"


@pytest.mark.once
def test_an_iterator_left_open(script: Script) -> None:
    """A synchronous iterator dropped in the middle, or alive at exit, leaves nothing behind."""
    printed = script("""
        repository = make(SessionRepository)
        repository.append("s1", [HumanMessage(str(i)) for i in range(5)])
        print([m.content for m in repository.iter_messages("s1")])
        dropped = repository.iter_messages("s1")
        next(dropped)
        dropped.close()
        kept = repository.iter_messages("s1")
        print(next(kept).content, next(kept).content)
    """)
    assert printed == "['0', '1', '2', '3', '4']\n0 1\n"


@pytest.mark.once
def test_an_uncaught_error(script: Script) -> None:
    """`sys.exit` under open repositories of both kinds ends cleanly too."""
    script(
        """
        async def main():
            await say(make(), "one")
            adapter().add_user_message("two")
            sys.exit(3)
        asyncio.run(main())
        """,
        code=3,
    )


@pytest.mark.once
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_multiprocessing_fork(script: Script) -> None:
    """Worker processes made by fork append through the parent's repository."""
    printed = script("""
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        repository = make(SessionRepository)
        repository.append("s1", [HumanMessage("parent")])
        def work(n):
            repository.append("s1", [HumanMessage(f"child {n}")])
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=work, args=(n,)) for n in range(3)]
        [c.start() for c in children]
        [c.join() for c in children]
        print([c.exitcode for c in children], sorted(told(repository)))
    """)
    assert printed == "[0, 0, 0] ['child 0', 'child 1', 'child 2', 'parent']\n"


def test_interrupt_during_a_batch(script: Script) -> None:
    """An interrupt in the middle of a write of several pages: nothing of it is there, the next call need not wait."""
    printed = script("""
        import time
        from support import SMALL, Stopping, watch
        repository = make(SessionRepository, sizes=SMALL)
        repository.append("s", [HumanMessage("before")])
        stopping = watch(repository._repository, Stopping, 2, False)
        noticed = threading.Event()
        def interrupt_it():
            while not stopping.stopped.is_set():
                time.sleep(0.01)
            stopping.proceed()
            interrupt(noticed)
        threading.Thread(target=interrupt_it).start()
        try:
            repository.append("s", [HumanMessage(os.urandom(300).hex()) for _ in range(8)])
        except KeyboardInterrupt:
            noticed.set()
            print("interrupted")
        calls = stopping.calls
        repository.append("s", [HumanMessage("after")])
        print(told(repository, "s"), stopping.calls - calls < 40)
    """)
    assert printed == "interrupted\n['before', 'after'] True\n"
