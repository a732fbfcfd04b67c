/** Assertions on errors, of this package and of the services. */
import type { S3ServiceException } from "@aws-sdk/client-s3";
import { expect } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";

/** Matches an EnvelopeError with this code. */
export function coded(code: ErrorCode, details: Record<string, unknown> = {}): unknown {
  return expect.objectContaining({
    name: "EnvelopeError",
    code,
    details: expect.objectContaining(details),
  });
}

/** Returns the error that a call throws or rejects with, and fails if there is none. */
export async function errorOf(act: () => unknown): Promise<Error> {
  try {
    await act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected an error, got none");
}

/** The name and the HTTP status of the service error that a call fails with. */
export async function failure(act: () => Promise<unknown>): Promise<[string, number | undefined]> {
  const { name, $metadata } = (await errorOf(act)) as S3ServiceException;
  return [name, $metadata?.httpStatusCode];
}
