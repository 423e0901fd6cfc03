"""Who is asking: each browser is a user of its own. In your application, this is where the login goes."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Annotated

from fastapi import Cookie, HTTPException, Request, Response

COOKIE = "chat_user"
YEAR = 365 * 24 * 3600  # seconds
_SECRET = re.compile(r"[0-9a-f]{32}")


def welcome(request: Request, response: Response) -> None:
    """Give the browser a secret that nobody can guess; each visit makes the one it has last another year."""
    known = request.cookies.get(COOKIE, "")
    secret = known if _SECRET.fullmatch(known) else secrets.token_hex(16)
    # "lax": with "strict", a link from elsewhere would come without the cookie, and the answer would replace it.
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, secret, max_age=YEAR, httponly=True, samesite="lax", secure=secure)


def current_user(chat_user: Annotated[str, Cookie()] = "") -> str:
    """Return the user's id. It is made from the secret, so that whoever reads the table does not learn that."""
    if not _SECRET.fullmatch(chat_user):
        raise HTTPException(401, "This browser is not known here (any more): load the page again.")
    return hashlib.sha256(chat_user.encode()).hexdigest()[:32]
