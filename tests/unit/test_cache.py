"""The cache: keeps what was used last, within its bound (rule 6), in threads and after a fork."""

from __future__ import annotations

import os
import threading

import pytest

from langchain_dynamodb._store.cache import LRU


def held(cache: LRU[str], keys: str) -> str:
    """Which of these keys are held (a look makes each of them the last used)."""
    return "".join(key for key in keys if cache.get(key) is not None)


def filled(most: int, keys: str) -> LRU[str]:
    """A cache into which values of cost 1 were put."""
    cache: LRU[str] = LRU(most)
    for key in keys:
        cache.put(key, key.upper())
    return cache


def test_what_was_put_is_there() -> None:
    """And nothing else."""
    cache = filled(2, "ab")
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.cost) == ("A", "B", None, 2)


def test_the_oldest_goes_first() -> None:
    """Once there is no room for all."""
    cache = filled(2, "abc")
    assert (held(cache, "abc"), cache.cost) == ("bc", 2)


def test_what_is_used_stays() -> None:
    """A look makes it the last used."""
    cache = filled(2, "ab")
    cache.get("a")
    cache.put("c", "C")
    assert held(cache, "abc") == "ac"


def test_what_is_put_again_stays() -> None:
    """With its new value and cost."""
    cache = filled(3, "ab")
    cache.put("a", "again", cost=2)
    assert (cache.get("a"), cache.cost) == ("again", 3)
    cache.put("c", "C")
    assert held(cache, "abc") == "ac"


def test_values_that_are_no_use_any_more() -> None:
    """They go, with their costs."""
    cache = filled(3, "abc")
    cache.discard_if(lambda value: value in "AC")
    assert (held(cache, "abc"), cache.cost) == ("b", 1)


def test_a_value_under_another_key() -> None:
    """It is the last used then, at the same cost; one that is there already stays, and so does what is not there."""
    cache = filled(2, "ab")
    cache.rename("a", "c")
    assert (held(cache, "abc"), cache.get("c"), cache.cost) == ("bc", "A", 2)
    cache.rename("b", "c")
    cache.rename("x", "y")
    assert (held(cache, "bcxy"), cache.get("c"), cache.cost) == ("bc", "A", 2)


@pytest.mark.parametrize(("cost", "keys"), [(1, "bcd"), (2, "cd"), (3, "d")])
def test_a_dear_one_takes_the_place_of_several(cost: int, keys: str) -> None:
    """So many that the sum is within the bound again."""
    cache = filled(3, "abc")
    cache.put("d", "D", cost=cost)
    assert (held(cache, "abcd"), cache.cost <= 3) == (keys, True)


def test_what_costs_more_than_all_is_not_kept() -> None:
    """Nor does it drive out the others; an older value of its key is gone, since it is out of date."""
    cache = filled(3, "abc")
    cache.put("b", "too dear", cost=4)
    assert (held(cache, "abc"), cache.cost) == ("ac", 2)


def test_a_cache_of_nothing() -> None:
    """It keeps nothing, and is no error."""
    cache = filled(0, "ab")
    assert (held(cache, "ab"), cache.cost) == ("", 0)


def test_what_costs_nothing_is_kept() -> None:
    """Whatever else there is."""
    cache = filled(1, "a")
    cache.put("b", "B", cost=0)
    assert held(cache, "ab") == "ab"


def test_to_forget() -> None:
    """Its cost is free again; what is not there can be forgotten too."""
    cache = filled(3, "abc")
    cache.discard("b")
    cache.discard("x")
    assert (held(cache, "abc"), cache.cost) == ("ac", 2)


def test_from_many_threads() -> None:
    """The costs add up to those of what is held, however they interleave."""
    cache: LRU[int] = LRU(50)

    def work(seed: int) -> None:
        for i in range(2_000):
            key = (i * seed) % 97
            cache.put(key, key, cost=1 + key % 7)
            cache.get((i + seed) % 97)
            cache.discard((i * 3) % 97)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    costs = sum(1 + key % 7 for key in range(97) if cache.get(key) is not None)
    assert (cache.cost, cache.cost <= 50) == (costs, True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_lock_that_was_held_at_the_moment_of_a_fork() -> None:
    """In the child nobody would ever release it: there the cache has a new one."""
    cache = filled(2, "ab")
    inside, done = threading.Event(), threading.Event()

    class Slow:
        """A key whose hash takes its time: the cache is locked meanwhile."""

        def __hash__(self) -> int:
            inside.set()
            done.wait(30)
            return 1

    thread = threading.Thread(target=cache.get, args=(Slow(),))
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        looked = threading.Thread(target=cache.get, args=("a",), daemon=True)
        looked.start()
        looked.join(10)
        os._exit(1 if looked.is_alive() else 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
