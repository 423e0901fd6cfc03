"""Breaks the protocol on purpose, one rule at a time, and sees that the simulation finds each within a minute.

``python tests/simulation/mutations.py`` (or ``nox -s mutations``) takes a name as an argument to try just that one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "langchain_dynamodb"
SECONDS = 60


class Mutation(NamedTuple):
    """Text of a file of the package, which occurs once (or as the `nth` of several), and what takes its place.

    It is looked for in random schedules or, where three things must come together, in all of the `small` scenario.
    """

    name: str
    module: str
    old: str
    new: str
    nth: int = 0
    small: str | None = None

    def apply(self, package: Path) -> None:
        """Change the module's file."""
        file = package / self.module
        pieces = file.read_text(encoding="utf-8").split(self.old)
        if len(pieces) < self.nth + 2:
            raise LookupError(f"{self.name}: {self.module} has no {self.old!r} any more")
        head, tail = self.old.join(pieces[: self.nth + 1]), self.old.join(pieces[self.nth + 1 :])
        file.write_text(head + self.new + tail, encoding="utf-8")


MUTATIONS = [
    Mutation(
        "no fence", "_protocol/append.py", "(item.epoch if item else 0) + 1", "(item.epoch if item else 0) + 1000"
    ),
    Mutation("pages are put whatever is there", "_protocol/pages.py", " OR ({same}))", " OR ({same}) OR NOT ({same}))"),
    Mutation(
        "a page of the same version is overwritten",
        "_protocol/pages.py",
        "{cut} < {version}",
        "{cut} <= {version}",
        small="two large appends cut a page",
    ),
    Mutation(
        "commits at any later version",
        "_protocol/conditions.py",
        'f"{e.name(lc.VERSION)} = {e.value(number(old.version))}"',
        'f"{e.name(lc.VERSION)} >= {e.value(number(old.version))}"',
    ),
    Mutation(
        "the session item is deleted at any later version",
        "_protocol/conditions.py",
        "        _require_version(e, old)\n    else:\n        req",
        '        e.require(f"{e.name(lc.VERSION)} >= {e.value(number(old.version))}")\n    else:\n        req',
    ),
    Mutation(
        "ids of the last page are not looked at",
        "_protocol/append.py",
        '        f"NOT contains({e.name(lc.PAGE_OPS)}, {op})",\n',
        "",
    ),
    Mutation(
        "appends do not mind intents",
        "_protocol/append.py",
        '        f"attribute_not_exists({e.name(lc.INTENT)})",\n        f"{e.name(lc.TAIL_BYTES)}',
        '        f"{e.name(lc.TAIL_BYTES)}',
    ),
    Mutation("appends to expired sessions", "_protocol/append.py", '"until": seconds', '"until": seconds - FIVE_YEARS'),
    Mutation("a lost answer is not looked for", "_store/appending.py", "if failure.retried:", "if False:"),
    Mutation(
        "a rewrite takes the next page number", "_protocol/rewrite.py", "max(item.pages + 2, ", "max(item.pages, "
    ),
    Mutation("a truncate gets past no fence", "_protocol/rewrite.py", "item.epoch + 2 - ", "item.epoch - "),
    Mutation(
        "pages that were cut off are removed whatever has their number",
        "_store/single_writes.py",
        "above, item.version - 1)",
        "above, 1 << 52)",
    ),
    Mutation(
        "a page of the old ending proves what was appended",
        "_protocol/unknown_outcome.py",
        "if item.reused != self._reused:",
        "if False:",
    ),
    Mutation(
        "a page is edited whatever became of it",
        "_protocol/pages.py",
        """    e.require(f"{e.name(lc.CHAIN)} = {e.value(seen.chain)}")\n    return e""",
        """    e.require(f"attribute_exists({e.name(lc.CHAIN)})")\n    return e""",
        small="two edits of a page",
    ),
    Mutation(
        "a later page of that number is edited",
        "_protocol/edits.py",
        "max(page.cut, page.edited) < item.edited",
        "page.edited < item.edited",
        small="an edit and another ending",
    ),
    Mutation(
        "an edit takes the place of one under way",
        "_store/preparing.py",
        "await carry_out(self.steps, key, item)",
        "item",
    ),
    Mutation(
        "a page of a later edit proves a session",
        "_protocol/chain.py",
        " == first and page.edited <= item.edited",
        " == first",
        small="an edit and a reader",
    ),
    Mutation("edited pages are read from the cache", "_store/stored_pages.py", "number, item.edited\n", "number\n"),
    Mutation(
        "edited pages are read eventually consistent",
        "_store/stored_pages.py",
        "consistent=consistent or item.edited > 0",
        "consistent=consistent",
    ),
    Mutation(
        "attempts of a conversion look alike",
        "_protocol/conditions.py",
        """        e.require(f"{e.path(_INTENT_GENERATION)} = {e.value(number(old.intent.generation))}")\n""",
        "",
        small="a conversion whose requests stray",
    ),
    Mutation(
        "pages of unfinished writes are deleted on no condition",
        "_protocol/pages.py",
        'f"{e.name(lc.CUT)} <= {e.value(number(up_to))}"',
        'f"{e.name(lc.CUT)} <= {e.value(number(up_to + (1 << 60)))}"',
    ),
    Mutation(
        "a reference is put over another of the same page",
        "_protocol/pages.py",
        """        same += f" AND {e.name(lc.DATA)} = {e.value(page.stored_data)}"\n""",
        "        pass\n",
        small="a page with an object is put again",
    ),
    Mutation(
        "the object of a page that got no answer is removed",
        "_store/table.py",
        'if not getattr(error, "outcome_unknown", False):',
        "if True:",
    ),
    Mutation(
        "the object of a page that is there already is removed",
        "_store/page_objects.py",
        "if _reference(there) != page.reference:",
        "if True:",
    ),
    Mutation("a page whose object is gone is not looked at again", "_store/table.py", "if loaded.lost:", "if False:"),
    Mutation(
        "with the pages that are dropped all objects are removed",
        "_store/page_objects.py",
        "if numbers is None or of.page in numbers",
        "if True",
    ),
]


def try_one(mutation: Mutation) -> bool:
    """Whether the simulation finds it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PACKAGE, Path(folder, "langchain_dynamodb"))
        mutation.apply(Path(folder, "langchain_dynamodb"))
        paths = [folder, str(ROOT / "tests")]
        command = [sys.executable, "-m", "simulation", "--seconds", str(SECONDS)]
        command += ["--exhaustive", "--only", mutation.small] if mutation.small else []
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        started = time.monotonic()
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = run.returncode == 1 and "VIOLATION" in run.stdout
    lines = [line for line in run.stdout.splitlines() if line.startswith(("VIOLATION", "seed"))]
    print(f"{'found' if found else 'MISSED'} in {time.monotonic() - started:.0f} s: {mutation.name}")
    print("\n".join(f"    {line[:160]}" for line in lines or run.stderr.splitlines()[-3:]), flush=True)
    return found


def main() -> int:
    """The exit code is 1 where one was missed."""
    wanted = sys.argv[1:]
    missed = [m.name for m in MUTATIONS if (not wanted or m.name in wanted) and not try_one(m)]
    print(f"{len(missed)} missed{': ' if missed else ''}{', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
