export function assert(expr: unknown, msg?: string): asserts expr;
