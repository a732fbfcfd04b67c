/** Assertions on coded errors. */
import { expect } from "vitest";
import type { ErrorCode } from "../../src/errors.js";

/** What an EnvelopeError of this code looks like. */
export function coded(code: ErrorCode, details: Record<string, unknown> = {}): unknown {
  return expect.objectContaining({
    name: "EnvelopeError",
    code,
    details: expect.objectContaining(details),
  });
}

/** The error that a call throws or rejects with; fails when it does neither. */
export async function errorOf(act: () => unknown): Promise<Error> {
  try {
    await act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected an error, got none");
}
