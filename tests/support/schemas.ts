/**
 * The replies to `query-qmp-schema` that are recorded as `tests/fixtures/schema-VERSION.json.gz`.
 *
 * @module
 */

/** Returns the file of a version's schema. */
export function schemaFile(version: string): URL {
  return new URL(`../fixtures/schema-${version}.json.gz`, import.meta.url);
}

/** Returns a version's recorded schema. */
export async function recordedSchema(version: string): Promise<Record<string, unknown>[]> {
  const bytes = await through(
    Deno.readFileSync(schemaFile(version)),
    new DecompressionStream("gzip"),
  );
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** Records a version's schema. */
export async function recordSchema(version: string, schema: unknown): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(schema));
  Deno.writeFileSync(schemaFile(version), await through(bytes, new CompressionStream("gzip")));
}

/** Returns bytes after a transformation. */
async function through(
  bytes: Uint8Array<ArrayBuffer>,
  transform: CompressionStream | DecompressionStream,
): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
