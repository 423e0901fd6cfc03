#!/usr/bin/env bash
# What the JavaScript DynamoDBChatMessageHistory (@langchain/community 1.1.29, @langchain/core 1.1.38) gives back of one
# agent's turn, on dynalite 4.0.0:
# - ids, names, tool calls and usage are gone; the AI message that called a tool comes back as an empty text;
# - a tool's result is stored, and from then on getMessages() throws for the whole session ("Tool call ID must be defined"):
#   the id it wants was never written. Nothing said so when it was added;
# - with `sortKey: "SK"` every session has the text "SK" as its sort key's value, so it cannot hold two sessions under
#   one partition key.
# Python's class of the same name has another layout ({type, data}) and other defaults ("SessionId", "History").
#
# Seen 2026-11-28. Needs node 20 or newer and npm. Fails if the behaviour changes.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
echo '{"type": "module"}' >package.json
npm install --silent --legacy-peer-deps dynalite@4.0.0 @langchain/community@1.1.29 @langchain/core@1.1.38 \
    @aws-sdk/client-dynamodb@3.1169.0 >/dev/null
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
node_modules/.bin/dynalite --host 127.0.0.1 --port "$port" --createTableMs 0 >log 2>&1 & server=$!

cat >ask.mjs <<'P'
import { CreateTableCommand, DynamoDBClient, ScanCommand } from "@aws-sdk/client-dynamodb";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { DynamoDBChatMessageHistory } from "@langchain/community/stores/message/dynamodb";

const config = { endpoint: `http://127.0.0.1:${process.argv[2]}`, region: "us-east-1",
                 credentials: { accessKeyId: "test", secretAccessKey: "test" } };
const client = new DynamoDBClient({ ...config, maxAttempts: 20 });
const attribute = (name) => ({ AttributeName: name, AttributeType: "S" });
await client.send(new CreateTableCommand({
    TableName: "Chats", BillingMode: "PAY_PER_REQUEST", AttributeDefinitions: [attribute("id"), attribute("SK")],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }, { AttributeName: "SK", KeyType: "RANGE" }] }));
const history = new DynamoDBChatMessageHistory({ tableName: "Chats", sessionId: "a", sortKey: "SK", config });
for (let i = 0; ; i++) {
    try { await history.getMessages(); break; } catch (error) { if (i > 50) throw error; await new Promise((r) => setTimeout(r, 100)); }
}
await history.addMessages([
    new HumanMessage({ content: "weather?", id: "h1", name: "ann" }),
    new AIMessage({ content: "", id: "a1", tool_calls: [{ name: "weather", args: { city: "Oslo" }, id: "c1", type: "tool_call" }] }),
]);
for (const m of await history.getMessages())
    console.log(m.getType(), JSON.stringify(m.content), "id", m.id ?? "none", "name", m.name ?? "none", "tool calls", m.tool_calls?.length ?? 0);
await history.addMessage(new ToolMessage({ content: "sunny", tool_call_id: "c1" }));
console.log("tool result stored");
try { await history.getMessages(); console.log("read"); } catch (error) { console.log(error.message); }
const { Items } = await client.send(new ScanCommand({ TableName: "Chats" }));
console.log("sort key", Items[0].SK.S, "entry", Object.keys(Items[0].messages.L[1].M).sort().join(" "));
P
node --no-warnings ask.mjs "$port" | tee seen
cat >expected <<'X'
human "weather?" id none name none tool calls 0
ai "" id none name none tool calls 0
tool result stored
Error getting messages: Tool call ID must be defined for tool messages
sort key SK entry additional_kwargs text type
X
diff expected seen && echo "as described"
