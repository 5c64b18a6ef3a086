/**
 * Records a QEMU's commands and their arguments for tests, as
 * `tests/fixtures/commands-VERSION.json`, and its schema as `tests/fixtures/schema-VERSION.json.gz`:
 *
 *     QMPMUX_TEST_QEMU=PROGRAM tools/deno run -A tools/record_commands.ts
 *
 * @module
 */

import { TestClient } from "../tests/support/client.ts";
import { commandsOf } from "../tests/support/commands.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { recordSchema, schemaFile } from "../tests/support/schemas.ts";

using place = makePlace();
await using qemu = await startQemu(`${place.path}/vm`);
using client = await TestClient.ready(qemu.path);
const version = JSON.parse(await client.ask({ execute: "query-version" })).return.qemu;
const schema = JSON.parse(await client.ask({ execute: "query-qmp-schema" })).return;
const name = `${version.major}.${version.minor}`;
await recordSchema(name, schema);
const file = new URL(`../tests/fixtures/commands-${name}.json`, import.meta.url);
Deno.writeTextFileSync(file, `${JSON.stringify(commandsOf(schema), null, 2)}\n`);
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", file.pathname] }).output();
console.log(file.pathname);
console.log(schemaFile(name).pathname);
