"""What can be run beside the command. It needs no extra, so that a Python without the command can be told of it."""

from __future__ import annotations

OTHERS = """\
Programs beside it:
  python -m langchain_dynamodb.local  an embedded DynamoDB for tests and demos (extra: local)
  python -m langchain_dynamodb.cost   what a number of users and turns will cost
"""
