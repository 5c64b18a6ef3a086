export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;
