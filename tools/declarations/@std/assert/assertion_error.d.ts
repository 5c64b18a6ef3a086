export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions);
}
