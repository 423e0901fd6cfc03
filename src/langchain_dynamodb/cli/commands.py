"""The commands. Each is a function of `langchain_dynamodb.admin`, or a method of the repository, with options."""

from __future__ import annotations

from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from ..errors import ChatHistoryError, InvalidInputError, RepositoryClosedError, StorageError
from .exits import GOOD, Bad, Misused, Stopped, Unusable
from .looking import cost_command, doctor_command, list_command, show_command, verify_command
from .mending import reencrypt_command, repair_command
from .moving import copy_command, export_command, import_command, migrate_command
from .others import OTHERS
from .removing import delete_command, vacuum_command
from .screen import error_line

EPILOG = f"""\b
{OTHERS}
\b
Exit codes:
  0    all is well
  1    no such session, or one failed, is damaged or differs (each is named); or nobody reads the output any more
  2    the command line, or a file of it, cannot be used
  3    the table cannot be used: no such table, no rights, no answer
  130  stopped: by Ctrl+C, SIGTERM or a "no" (with --resume it can be gone on with)
"""


class Commands(click.Group):
    """The group of all commands: what they return is the exit code, and errors are one line."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the options in front of a command's name."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _in_one_line(error) from error

    def invoke(self, ctx: click.Context) -> None:
        """Run the command."""
        try:
            code = super().invoke(ctx)
        except click.UsageError as error:
            raise _in_one_line(error) from error
        except InvalidInputError as error:
            raise Misused(error_line(error)) from error
        except (StorageError, RepositoryClosedError) as error:
            raise Unusable(error_line(error)) from error
        except ChatHistoryError as error:
            raise Bad(error_line(error)) from error
        except click.Abort as error:
            raise Stopped("Nothing was done.") from error
        except BrokenPipeError:
            raise
        except (OSError, UnicodeError) as error:
            raise Misused(error_line(error)) from error
        ctx.exit(code or GOOD)


def _in_one_line(error: click.UsageError) -> click.ClickException:
    """The same without the command's usage, which ``--help`` has, too; help itself stays as it is."""
    if error.ctx is None or isinstance(error, NoArgsIsHelpError):
        return error
    return Misused(f"{error.format_message()} ({error.ctx.command_path} --help tells more)")


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="langchain-dynamodb")
def cli() -> None:
    """Look after chat sessions on DynamoDB.

    Every command takes --table, and connects as all AWS tools do: AWS_* variables, profiles, roles. SESSION is a
    session id, or the whole key as JSON: '{"PK": "acme", "SK": "chat 1"}'.
    """


for command in (
    doctor_command,
    list_command,
    show_command,
    verify_command,
    cost_command,
    delete_command,
    vacuum_command,
    repair_command,
    reencrypt_command,
    export_command,
    import_command,
    copy_command,
    migrate_command,
):
    cli.add_command(command)
