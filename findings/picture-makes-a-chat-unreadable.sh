#!/usr/bin/env bash
# A chat with a picture, kept in DynamoDB by llama-index: is it there the next day?
#
# llama-index-storage-chat-store-dynamodb 0.6.0 (llama-index-core 0.14.25), on moto 5.2.5. A picture given by its address
# cannot be written (TypeError: boto3 knows no pydantic AnyUrl). One given by its bytes can, and from then on
# `get_messages` raises for the whole session: boto3 gives bytes back as its own class Binary, which pydantic takes
# neither for bytes nor for a file. As `add_message` reads first, nothing can be added either. Of other values an int
# comes back as Decimal and a float is refused; of the async methods all fail ("no attribute '_atable'").
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check llama-index-storage-chat-store-dynamodb==0.6.0 llama-index-core==0.14.25 \
    boto3==1.40.61 "moto[dynamodb]==5.2.5"

cat >ask.py <<'P'
import asyncio
import os
import warnings

warnings.simplefilter("ignore")
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
import boto3
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.storage.chat_store.dynamodb import DynamoDBChatStore
from moto import mock_aws


def outcome(call):
    try:
        found = call()
        return found if found is not None else "taken"
    except Exception as error:
        return type(error).__name__


def show(what, message):
    key = what.replace(" ", "-")
    added = outcome(lambda: store.add_message(key, message))
    read = outcome(lambda: [repr(one.additional_kwargs) for one in store.get_messages(key)])
    more = outcome(lambda: store.add_message(key, ChatMessage(role="user", content="more")))
    read_again = outcome(lambda: len(store.get_messages(key)))
    print(f"{what}: added {added}, read {read}, one more {more}, read {read_again}")


with mock_aws():
    boto3.client("dynamodb").create_table(
        TableName="chats", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "SessionId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "SessionId", "AttributeType": "S"}])
    store = DynamoDBChatStore(table_name="chats")
    show("text", ChatMessage(role="user", blocks=[TextBlock(text="hi")]))
    show("picture by address", ChatMessage(role="user", blocks=[ImageBlock(url="https://example.com/a.png")]))
    show("picture by bytes", ChatMessage(role="user", blocks=[ImageBlock(image=b"iVBORw0KGgo=")]))
    show("int", ChatMessage(role="user", content="hi", additional_kwargs={"n": 5}))
    show("float", ChatMessage(role="user", content="hi", additional_kwargs={"n": 0.5}))
    print("async:", outcome(lambda: asyncio.run(store.aget_messages("text"))))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
text: added taken, read ['{}'], one more taken, read 2
picture by address: added TypeError, read [], one more taken, read 1
picture by bytes: added taken, read ValidationError, one more ValidationError, read ValidationError
int: added taken, read ["{'n': Decimal('5')}"], one more taken, read 2
float: added TypeError, read [], one more taken, read 1
async: AttributeError
X
diff expected seen && echo "as described"
