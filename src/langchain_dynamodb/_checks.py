"""Checks of the arguments that several methods take, and what errors say of them. No I/O."""

from __future__ import annotations

import asyncio
import re
import reprlib
import sys

from .errors import InvalidInputError, SettingsError

_TABLE_NAME = re.compile(r"[\w.-]{3,255}|arn:[!-~]{1,1020}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,8}(-[a-z]{2,10}){1,3}-[0-9]{1,2}")  # us-east-1, us-gov-west-1, eusc-de-east-1
LARGEST = 1 << 63  # above every count and version there can be


def check_table_name(table_name: object) -> None:
    """Raise `InvalidInputError` for what can be no table's name or ARN (Developer Guide, "Naming rules")."""
    if not isinstance(table_name, str) or not _TABLE_NAME.fullmatch(table_name):
        raise InvalidInputError(
            f"table_name={short(table_name)} must be a table's name (3 to 255 letters, digits, '_', '-' and '.', all "
            "ASCII) or its ARN"
        )


def check_ttl(ttl: object, option: str = "ttl") -> None:
    """Raise `InvalidInputError` unless `ttl` is None or a positive number of whole seconds."""
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 < ttl < 10**10):
        raise InvalidInputError(
            f"{option}={short(ttl)} must be a positive number of whole seconds below 10,000,000,000 (317 years), or "
            "None for no expiry"
        )


def check_home_region(region: object) -> None:
    """Raise `InvalidInputError` for what is no region's name, nor None."""
    if region is not None and not (isinstance(region, str) and _REGION.fullmatch(region)):
        raise InvalidInputError(
            f"home_region={short(region)} must be the name of the region that this repository writes in, such as "
            "'eu-central-1', or None"
        )


def check_count(option: str, value: object, *, optional: bool = True) -> None:
    """Raise `InvalidInputError` unless `value` is a whole number from 0 on (or None, where that is allowed)."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST:
        wanted = "a number from 0 on, or None" if optional else "a number from 0 on"
        raise InvalidInputError(f"{option}={short(value)} must be {wanted}")


def check_flag(option: str, value: object) -> None:
    """Raise `InvalidInputError` unless `value` is True or False."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{option}={short(value)} must be True or False")


def check_message_id(option: str, value: object) -> str:
    """Return it; raises `InvalidInputError` unless it is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{option}={short(value)} must be the id of a stored message: a text that is not empty")
    return value


def check_start_on(start_on: object) -> None:
    """Raise `InvalidInputError` unless `start_on` is "human" or None."""
    if start_on not in ("human", None):
        raise InvalidInputError(f"start_on={short(start_on)} must be 'human', or None to begin with any message")


def how_to_install(extra: str) -> str:
    """The command that brings an extra along, for an error where a package of it is missing."""
    return f'pip install ".[{extra}]" (in a clone of the repository of langchain-dynamodb)'


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop that runs this; raises `SettingsError` where it is none of asyncio's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError as error:
        raise SettingsError(
            "AsyncSessionRepository needs asyncio, as the AWS SDK beneath it does, and no event loop of asyncio runs "
            "here. Under trio use SessionRepository in a thread (anyio.to_thread.run_sync, trio.to_thread.run_sync), "
            'or run your program by anyio.run(main, backend="asyncio").'
        ) from error


MAX_DIGITS = 4300  # what every Python reads, whatever sys.set_int_max_str_digits says in this process
MAX_INT = 10**MAX_DIGITS


def has_digits(value: int) -> bool:
    """Whether Python writes an integer in decimal digits, here and elsewhere."""
    if not -MAX_INT < value < MAX_INT:
        return False
    most = sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else 0
    return not most or most >= MAX_DIGITS or value.bit_length() < 3 * most


def short(value: object) -> str:
    """Return a repr for an error message: bounded, and safe for objects whose repr raises."""
    if isinstance(value, int) and not has_digits(value):
        return f"an integer of {value.bit_length()} bits"
    shortener = reprlib.Repr()
    shortener.maxdict = shortener.maxlist = shortener.maxtuple = shortener.maxset = shortener.maxfrozenset = 2
    shortener.maxlevel = 2
    return shortener.repr(value)


def is_utf8(text: str) -> bool:
    """Whether a text can be stored: DynamoDB takes no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(name: str, value: object) -> None:
    """Raise `InvalidInputError` unless the value is a text that can be stored, and not empty."""
    if not isinstance(value, str) or not value or not is_utf8(value):
        raise InvalidInputError(f"{name} {short(value)} must be a text (UTF-8) that is not empty")
