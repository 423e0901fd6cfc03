#!/usr/bin/env bash
# A developer opens an item in dynamodb-admin (the usual web page for local tables) and presses Save without a change:
# what is stored?
#
# dynamodb-admin 5.3.3 on dynalite 4.0.0: text, numbers, lists and null as before; a set is an empty map, a binary
# of three bytes a map of three numbers, a binary set an empty map. The page shows the item as JSON, which knows neither,
# and puts back what it shows. The answer to Save looks as the page did before, so the loss is seen when a program reads
# the item.
#
# Seen 2026-11-30. Needs node 20 or newer, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
echo '{"type": "module"}' >package.json
npm install --silent --no-audit --no-fund dynamodb-admin@5.3.3 dynalite@4.0.0 @aws-sdk/client-dynamodb@3.1169.0 >/dev/null
read -r a b < <(node -e '
const net = require("net"), servers = [0, 1].map(() => net.createServer().listen(0, "127.0.0.1"));
setTimeout(() => { console.log(...servers.map((one) => one.address().port)); servers.forEach((one) => one.close()); }, 100);' --input-type=commonjs)
export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x DYNAMO_ENDPOINT=http://127.0.0.1:$a
node_modules/.bin/dynalite --host 127.0.0.1 --port "$a" --createTableMs 0 >/dev/null 2>&1 & servers+=($!)
node_modules/.bin/dynamodb-admin --host 127.0.0.1 --port "$b" >/dev/null 2>&1 & servers+=($!)

cat >ask.mjs <<'J'
import { DynamoDB } from "@aws-sdk/client-dynamodb";

const [engine, admin] = process.argv.slice(2).map((port) => `http://127.0.0.1:${port}`);
const db = new DynamoDB({ endpoint: engine });
const item = {
  k: { S: "a" },
  number: { N: "1.5" },
  nothing: { NULL: true },
  list: { L: [{ S: "x" }, { BOOL: true }] },
  textSet: { SS: ["x", "y"] },
  binary: { B: new Uint8Array([1, 2, 3]) },
  binarySet: { BS: [new Uint8Array([1])] },
};
const started = async (attempt) => {
  for (let more = 150; ; more--) {
    try {
      return await attempt();
    } catch (error) {
      if (!more) throw error;
      await new Promise((wait) => setTimeout(wait, 300));
    }
  }
};
await started(() => db.listTables({}));
await db.createTable({
  TableName: "items", BillingMode: "PAY_PER_REQUEST", KeySchema: [{ AttributeName: "k", KeyType: "HASH" }],
  AttributeDefinitions: [{ AttributeName: "k", AttributeType: "S" }],
});
await started(() => db.putItem({ TableName: "items", Item: item }));
const page = `${admin}/tables/items/items/a`;
const html = await (await started(() => fetch(page))).text();
const entities = { "&#34;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&" };
const shown = html.match(/left: 0;'>([^<]*)<\/div>/)[1].replace(/&#34;|&#39;|&lt;|&gt;|&amp;/g, (one) => entities[one]);
const saved = await fetch(page, { method: "put", headers: { "Content-Type": "application/json" }, body: shown });
console.log("saved:", saved.status, "answered as shown:", JSON.stringify(await saved.json()) === JSON.stringify(JSON.parse(shown)));
const found = (await db.getItem({ TableName: "items", Key: { k: item.k } })).Item;
const text = (value) => JSON.stringify(value, (_, one) => (one instanceof Uint8Array ? `bytes ${[...one]}` : one));
for (const name of Object.keys(item)) console.log(`${name}: ${text(item[name])} is ${text(found[name])}`);
J
node ask.mjs "$a" "$b" | tee seen
cat >expected <<'X'
saved: 200 answered as shown: true
k: {"S":"a"} is {"S":"a"}
number: {"N":"1.5"} is {"N":"1.5"}
nothing: {"NULL":true} is {"NULL":true}
list: {"L":[{"S":"x"},{"BOOL":true}]} is {"L":[{"S":"x"},{"BOOL":true}]}
textSet: {"SS":["x","y"]} is {"M":{}}
binary: {"B":"bytes 1,2,3"} is {"M":{"0":{"N":"1"},"1":{"N":"2"},"2":{"N":"3"}}}
binarySet: {"BS":["bytes 1"]} is {"M":{}}
X
diff expected seen && echo "as described"
