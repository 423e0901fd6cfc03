"""What the documentation has one type in or copy: commands, settings, policies, the change of an import."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.metadata import requires
from itertools import pairwise
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import validate_parameters
from packaging.requirements import Requirement

from aws_server import run_service
from conftest import RepositoryFactory, TableFactory
from documentation import BLOCKS, ROOT, Block, Command, find_commands, prose
from langchain_dynamodb import errors
from langchain_dynamodb._items.keys import session_key
from langchain_dynamodb.cli.commands import cli
from langchain_dynamodb.encryption import KmsKeyring
from langchain_dynamodb.local.__main__ import parse
from memory_blobs import MemoryBlobs
from support import SMALL, Recorder, many, watch, with_options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGCHAIN_AWS = ROOT / "docs/howto/langchain-aws.md"
PERMISSIONS = ROOT / "docs/permissions.md"
LARGE_DATA = ROOT / "docs/howto/large-data.md"
ENCRYPTION = ROOT / "docs/howto/encryption.md"
COMMAND_LINE = ROOT / "docs/howto/command-line.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
# But what the tests drive, in versions of their own.
GROUPS = [lines for name, lines in PYPROJECT["dependency-groups"].items() if "providers" not in name]
DECLARED = {
    requirement.name: requirement
    for lines in [*GROUPS, *EXTRAS.values(), PYPROJECT["project"]["dependencies"]]
    for requirement in [Requirement(line) for line in lines if isinstance(line, str)]
}
# The programs behind the sessions of nox that take options.
PROGRAMS = {
    "bench": "tests/bench/__main__.py",
    "chat": "docs/examples/chat/serve.py",
    "demo": "docs/examples/demo/__main__.py",
    "simulate": "tests/simulation/__main__.py",
    "soak": "tests/helpers/soak.py",
    "tests": "tests/conftest.py",
}
# What the pages install beside what this package asks for.
OTHERS = {"aiobotocore", "aiofiles", "langchain-aws", "langchain-openai", "nox", "pip"}
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
COMMANDS = list(find_commands())
SETTINGS = [tomllib.loads(block.code)["tool"] for block in BLOCKS if block.language == "toml"]
[OVERRIDE] = next(tool["uv"] for tool in SETTINGS if "uv" in tool)["override-dependencies"]


def blocks(language: str) -> list[Block]:
    """The blocks of a language."""
    return [block for block in BLOCKS if block.language == language]


def nox_sessions() -> set[str]:
    """The names of the sessions in noxfile.py."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if any("nox.session" in ast.unparse(d) for d in node.decorator_list)}


def check_nox(command: Command, words: list[str]) -> None:
    """The sessions exist, and the program of the last knows the options."""
    named, _, options = " ".join(words).partition(" -- ")
    assert set(named.split()) <= nox_sessions()
    if options:
        check_options(PROGRAMS[named.split()[-1]], options.split())


def check_options(program: str, words: list[str]) -> None:
    """A program declares these options."""
    source = (ROOT / program).read_text(encoding="utf-8")
    assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == []


def check_chat(command: Command, words: list[str]) -> None:
    """The chat application knows the options."""
    check_options(PROGRAMS["chat"], words)


def check_pip(command: Command, words: list[str]) -> None:
    """Extras and groups exist, and requirements of ours are named as pyproject.toml has them."""
    groups = {after for before, after in pairwise(words) if before == "--group"}
    assert groups <= PYPROJECT["dependency-groups"].keys()
    for word in [word for word in words if word not in {"-e", "--group", "--no-deps", "--upgrade", *groups}]:
        if match := re.fullmatch(r"\.(?:\[([\w,-]+)\])?", word):
            assert set((match[1] or "").split(",")) - {""} <= EXTRAS.keys()
        else:
            wanted = Requirement(word)
            assert wanted.name in DECLARED.keys() | OTHERS
            assert str(wanted.specifier) in ("", str(DECLARED.get(wanted.name, wanted).specifier))


def check_output(command: Command, words: list[str]) -> None:
    """Run it, and compare what it prints."""
    line = [sys.executable, *shlex.split(command.line)[1:]]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, command.output, "")


def check_pytest(command: Command, words: list[str]) -> None:
    """It finds tests; they are not run."""
    line = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def check_environment(command: Command, words: list[str]) -> None:
    """Made first, then entered; Git leaves it alone."""
    lines = [other.line for other in COMMANDS if other.page == CONTRIBUTING]
    assert lines[:2] == ["python3 -m venv .venv", ". .venv/bin/activate"]
    assert ".venv/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def check_cli(command: Command, words: list[str]) -> None:
    """The command exists, and takes these options."""
    if words:
        cli.commands[words[0]].make_context(words[0], words[1:])


def check_local(command: Command, words: list[str]) -> None:
    """The command line means to run a program; test_local.py runs some."""
    options = parse(words)
    if not options.command:  # it serves
        return
    assert (options.command[0], options.command[1].endswith(".py")) == ("python", True)


def check_override(command: Command, words: list[str]) -> None:
    """A file with the same requirement as in the settings of uv is written, and used."""
    packages = ("langchain-aws", "langchain-litellm")
    installs = [["--override", "overrides.txt", ".", package] for package in packages]
    assert words in ([OVERRIDE, ">", "overrides.txt"], *installs)


def check_served(command: Command, words: list[str]) -> None:
    """The page has a program that serves: test_docs.py runs these commands with it."""
    assert "serve.py" in [block.kind for block in BLOCKS if block.page == command.page]


def check_variable(command: Command, words: list[str]) -> None:
    """The user's own value."""
    assert re.fullmatch(r"[A-Z_]+=\.\.\.", words[0])


def check_aws(command: Command, words: list[str]) -> None:
    """AWS has the operation, it takes these parameters and needs no others, and files that are handed in are there."""
    service, operation, *rest = words
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation.title().replace("-", "")).input_shape
    members = {xform_name(name, "-"): name for name in shape.members}
    given = [members[word.removeprefix("--")] for word in rest if word.startswith("--")]
    assert set(shape.required_members) <= set(given)
    for word in rest:
        if word.startswith("file://"):
            assert (ROOT / word.removeprefix("file://")).exists()


def check_framework(command: Command, words: list[str]) -> None:
    """The page has the program, and test_frameworks.py runs the commands of the page."""
    program = next(
        word for word in command.line.split() if word.partition(":")[0].removesuffix(".py") in PROGRAMS_SHOWN
    )
    assert command.page.name in (ROOT / "tests/docs/test_frameworks.py").read_text(encoding="utf-8"), program


PROGRAMS_SHOWN = {block.kind.removesuffix(".py") for block in BLOCKS if block.kind.endswith(".py")}

# By how a command begins; what comes after that is given to the check.
CHECKS: dict[str, Callable[[Command, list[str]], None]] = {
    "nox -s": check_nox,
    "pip install": check_pip,
    "python3 -m venv": check_environment,
    ".": check_environment,
    "python -m pytest": check_pytest,
    "python docs/examples/chat/serve.py": check_chat,
    "python -m langchain_dynamodb.cost": check_output,
    "python -m langchain_dynamodb.local": check_local,
    "python -m langchain_dynamodb": check_cli,
    "langchain-dynamodb": check_cli,
    "python serve.py": check_served,
    "uvicorn": check_served,
    "curl": check_served,
    "echo": check_override,
    "uv pip install": check_override,
    "export": check_variable,
    "aws": check_aws,
    "gunicorn": check_framework,
    "celery": check_framework,
    "streamlit run": check_framework,
    "python gradio_app.py": check_framework,
}


@pytest.mark.parametrize("command", COMMANDS, ids=[f"{command.place} {command.line}" for command in COMMANDS])
def test_command(command: Command) -> None:
    """A command works, as far as it can be told without doing it."""
    words = shlex.split(command.line, comments=True)
    known = [start for start in CHECKS if words[: len(start.split())] == start.split()]
    assert known, "nobody checks such commands"
    CHECKS[known[0]](command, words[len(known[0].split()) :])


def test_commands_are_found() -> None:
    """An empty list would pass all the same; each kind of command is there."""
    assert [start for start in CHECKS if not any(command.line.startswith(start) for command in COMMANDS)] == []


def test_settings() -> None:
    """Settings are those of uv and of pytest, and nothing else; test_docs.py runs pytest with its own."""
    assert sorted(name for tool in SETTINGS for name in tool) == ["pytest", "uv"]


def test_the_extras_of_the_site() -> None:
    """Its first page lists them all, and names no other where it installs some."""
    page = (ROOT / "docs/index.rst").read_text(encoding="utf-8")
    named = {name for extras in re.findall(r'"\.\[([\w,-]+)\]"', page) for name in extras.split(",")}
    assert ({*re.findall(r"\* - ``([\w-]+)``", page)}, named - EXTRAS.keys()) == ({*EXTRAS}, set())


def test_nox_installs_past_the_pin_as_the_page_says() -> None:
    """What the page overrides is what the session `latest_botocore` is run with; the extra named is one."""
    assert f'"{OVERRIDE}\\n"' in (ROOT / "noxfile.py").read_text(encoding="utf-8")
    [extra] = Requirement(OVERRIDE).extras
    assert any(f'extra == "{extra}"' in line.replace("'", '"') for line in requires("aiobotocore") or [])


def test_nothing_is_forgotten_without_dependencies() -> None:
    """`--no-deps` leaves out what aioboto3 and this package ask for: the line before it installs all of that."""
    lines = [command.line for command in COMMANDS if command.page == LANGCHAIN_AWS and "pip install" in command.line]
    [bare] = [i for i, line in enumerate(lines) if "--no-deps" in line]
    words = [word for line in lines[bare - 1 : bare + 1] for word in shlex.split(line)[2:] if word[0] not in "-."]
    installed = {Requirement(word).name for word in words} | {"langchain-core"}  # which langchain-aws brings
    wanted = [Requirement(line) for line in [*PYPROJECT["project"]["dependencies"], *(requires("aioboto3") or [])]]
    assert {item.name for item in wanted if not item.marker or item.marker.evaluate({"extra": ""})} <= installed


def test_the_changed_import() -> None:
    """Both the old line and the new one work; the constructors are compared in test_history.py."""
    [block] = [block for block in BLOCKS if block.language == "diff"]
    removed, added = ("\n".join(line[1:] for line in block.code.splitlines() if line[0] == sign) for sign in "-+")
    program = f"{removed}\ntheirs = DynamoDBChatMessageHistory\n{added}\nprint(theirs, DynamoDBChatMessageHistory)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [name.rpartition(".")[2] for name in done.stdout.split("'")[1::2]] == ["DynamoDBChatMessageHistory"] * 2
    assert done.stdout.index("langchain_community") < done.stdout.index("langchain_dynamodb")


def test_the_tree_of_errors() -> None:
    """The page draws the classes as they are, and as the module's docstring has them."""
    [drawing] = [block.code for block in BLOCKS if (block.language, block.kind) == ("text", "errors")]
    parents, drawn = ["Exception"], {}
    for line in drawing.splitlines():
        name, depth = re.findall(r"\w+", line)[0], re.search(r"\w", line).start() // 4  # type: ignore[union-attr]
        drawn[name] = parents[depth]
        parents[depth + 1 :] = [name]
    own = [item for item in vars(errors).values() if isinstance(item, type) and item.__module__ == errors.__name__]
    raised = [kind for kind in own if not issubclass(kind, Warning)]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in raised}
    assert textwrap.indent(drawing, " " * 4) in (errors.__doc__ or "")


def test_the_drawing_of_keys() -> None:
    """The keys of pages look as the storage page shows them."""
    [drawing] = [block.code for block in BLOCKS if (block.language, block.kind) == ("text", "keys")]
    session, *pages = [line.split()[0] for line in drawing.splitlines()[1:]]
    generation = int(pages[0].split("~")[2], 16)
    key = session_key(session, drawing.split()[0])
    assert pages == [key.page_id(key.page(generation, number)) for number in range(2)]


# --- The IAM policies ---


def read_policies() -> list[Any]:
    """The policy, the statement and the condition of the page, then those for KMS, and last the policy for S3."""
    assert {block.page for block in BLOCKS if block.language == "json"} == {PERMISSIONS, LARGE_DATA, COMMAND_LINE}
    read = [json.loads(block.code) for block in BLOCKS if block.page == PERMISSIONS and block.language == "json"]
    return sorted(read, key=lambda one: ("s3:" in str(one), "kms:" in str(one)))


def partition_keys(request: Mapping[str, Any], name: str) -> Iterator[str]:
    """The values that `dynamodb:LeadingKeys` has for a request."""
    entries = [request] if "RequestItems" not in request else next(iter(request["RequestItems"].values()))
    for entry in [{"Key": key} for key in entries["Keys"]] if isinstance(entries, dict) else entries:
        action = entry.get("PutRequest") or entry.get("DeleteRequest") or entry
        yield (action.get("Key") or action["Item"])[name]["S"]


def allows(condition: Mapping[str, Any], tenant: str, keys: list[str]) -> bool:
    """What IAM makes of the conditions on these pages."""
    assert condition.pop("Null", None) == {"dynamodb:LeadingKeys": "false"}
    [(operator, variables)] = condition.items()
    [pattern] = variables["dynamodb:LeadingKeys"]
    wanted = pattern.replace("${aws:PrincipalTag/tenant}", tenant)
    matches = {"ForAllValues:StringEquals": str.__eq__, "ForAllValues:StringLike": fnmatchcase}[operator]
    return bool(keys) and all(matches(key, wanted) for key in keys)


@pytest.mark.parametrize("composite", [True, False])
async def test_policies(make_repository: RepositoryFactory, make_table: TableFactory, composite: bool) -> None:
    """The policies name exactly the calls that sessions with pages make, and confine them to their tenant."""
    policy, statement, condition, *_ = read_policies()
    sessions = make_repository(make_table("PK", "SK" if composite else None), primary_key_name="PK", sizes=SMALL)
    session = {"PK": "acme", "SK": "chat"} if composite else "acme/chat"
    recorder: Recorder = watch(sessions, Recorder)
    for count in (1, 1, 1, 40, 1):
        await sessions.append(session, many(count))
    await sessions.read(session)
    await sessions.delete(session)
    data = [(operation, request) for operation, request in recorder.log if operation != "describe_table"]
    made = {"dynamodb:" + operation.title().replace("_", "") for operation, _ in data}
    assert (set(policy["Statement"][0]["Action"]), set(statement["Action"])) == (made, made)
    keys = [key for _, request in data for key in partition_keys(request, "PK")]
    assert any("~lc~" in key for key in keys) is not composite  # pages
    confined = statement["Condition"] if composite else condition
    assert [allows(dict(confined), tenant, keys) for tenant in ("acme", "acm", "other")] == [True, False, False]


@pytest.mark.any_engine
async def test_policies_for_kms(make_repository: RepositoryFactory) -> None:
    """They name exactly the calls of encrypted sessions, with the page's context; who manages the key has none."""
    *_, of_role, of_key, _ = read_policies()
    [granted], [managing, using] = of_role["Statement"], of_key["Statement"]
    with run_service("kms") as url:
        kms: Any = boto3.client("kms", endpoint_url=url)
        key_id = kms.create_key(Policy=json.dumps(of_key))["KeyMetadata"]["KeyId"]
        keyring = KmsKeyring(key_id, context={"app": "support"}, endpoint_url=url)
        recorder = Recorder(keyring._connection)
        object.__setattr__(keyring, "_connection", recorder)
        await make_repository(encryption=keyring).append("s", many(1))
        await make_repository(encryption=keyring).read("s")
        await keyring.aclose()
        kms.close()
    made = {"kms:" + operation.title().replace("_", "") for operation, _ in recorder.log}
    assert set(granted["Action"]) == set(using["Action"]) == made
    wanted = {"StringEquals": {"kms:EncryptionContext:app": "support"}}
    assert granted["Condition"] == using["Condition"] == wanted
    assert {str(request["EncryptionContext"]) for _, request in recorder.log} == {"{'app': 'support'}"}
    assert any('context={"app": "support"}' in block.code for block in BLOCKS if block.page == ENCRYPTION)
    known = ["kms:" + operation for operation in kms.meta.service_model.operation_names]
    managed = {pattern: {action for action in known if fnmatchcase(action, pattern)} for pattern in managing["Action"]}
    assert [pattern for pattern, actions in managed.items() if not actions or actions & made] == []


RIGHTS = {
    "put_object": "s3:PutObject",
    "get_object": "s3:GetObject",
    "delete_objects": "s3:DeleteObject",
    "list_objects_v2": "s3:ListBucket",
}


async def test_policy_for_s3(make_repository: RepositoryFactory) -> None:
    """It names exactly the rights that sessions with objects need, on names with the prefix of the page."""
    *_, policy = read_policies()
    objects, bucket = policy["Statement"]
    sessions = make_repository(blobs=MemoryBlobs())
    recorder: Recorder = watch(sessions, Recorder)
    await sessions.append("s", many(1, 5000))
    await with_options(sessions).read("s")
    reader = with_options(sessions)
    read: Recorder = watch(reader, Recorder)
    await reader.read("s")
    await sessions.delete("s")
    made = {RIGHTS[operation] for operation, _ in recorder.log + read.log if operation in RIGHTS}
    uploads = {"s3:AbortMultipartUpload"}
    assert {*objects["Action"], bucket["Action"]} == made | uploads
    arn = bucket["Resource"]
    assert objects["Resource"] == f"{arn}/{bucket['Condition']['StringLike']['s3:prefix']}"
    page = prose(LARGE_DATA) + "".join(block.code for block in BLOCKS if block.page == LARGE_DATA)
    assert f'S3Blobs("{arn.rpartition(":")[2]}", prefix="{objects["Resource"].partition("/")[2][:-1]}")' in page


def test_lifecycle_rule() -> None:
    """S3 would take it, and it is for the objects of the page."""
    [rules] = [json.loads(block.code) for block in BLOCKS if block.page == LARGE_DATA and block.language == "json"]
    client: Any = boto3.client("s3")
    shape = client.meta.service_model.operation_model("PutBucketLifecycleConfiguration").input_shape
    validate_parameters({"Bucket": "my-chats", "LifecycleConfiguration": rules}, shape)
    client.close()
    assert [rule["Filter"]["Prefix"] for rule in rules["Rules"]] == ["chats/"]
