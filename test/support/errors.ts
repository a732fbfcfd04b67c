/** Assertions on errors: coded ones, and those of the services. */
import type { S3ServiceException } from "@aws-sdk/client-s3";
import { expect } from "vitest";
import type { ErrorCode } from "../../src/base/errors.js";

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

/** The name and the status of the error of the service that a call fails with. */
export async function failure(act: () => Promise<unknown>): Promise<[string, number | undefined]> {
  const { name, $metadata } = (await errorOf(act)) as S3ServiceException;
  return [name, $metadata?.httpStatusCode];
}
