import { describe, expect, it } from "vitest";
import { EnvelopeClient } from "../../src/index.js";
import {
  type LegacyReadingOptions,
  legacyAesKeyring,
  legacyReading,
  legacyRsaKeyring,
} from "../../src/legacy.js";
import { errorOf } from "../support/errors.js";
import { kek, rsaPrivateKey } from "../support/legacy-objects.js";
import { keyring as native } from "../support/local.js";

const keyring = legacyAesKeyring({ wrappingKey: kek });

describe("the options of legacyReading", () => {
  it.each([
    [undefined, "options"],
    [{}, "options.keyring"],
    [{ keyring: null }, "options.keyring"],
    [{ keyring: native }, "options.keyring"],
    [{ keyring: [] }, "options.keyring"],
    [{ keyring: [keyring, keyring] }, "options.keyring"],
    [{ keyring: [keyring, undefined] }, "options.keyring"],
    [{ keyring, commitmentPolicy: "ALLOW" }, "options.commitmentPolicy"],
    [{ keyring, enableLegacyUnauthenticatedModes: "true" }, "options.enableLegacyUnauthenticatedModes"],
    [{ keyring, enableLegacyWrappingAlgorithms: 1 }, "options.enableLegacyWrappingAlgorithms"],
    [{ keyring, maxBufferedObjectBytes: 15 }, "options.maxBufferedObjectBytes"],
    [{ keyring, maxBufferedObjectBytes: 2 ** 36 }, "options.maxBufferedObjectBytes"],
    [{ keyring, maxBufferedObjectBytes: "64" }, "options.maxBufferedObjectBytes"],
    [{ keyring, largeObjects: "disk" }, "options.largeObjects"],
    [{ keyring, temporaryDirectory: "/tmp" }, "options.temporaryDirectory"],
    [{ keyring, largeObjects: "temporary-file", temporaryDirectory: 5 }, "options.temporaryDirectory"],
    [{ keyring, largeObjects: "temporary-file", temporaryDirectory: "" }, "options.temporaryDirectory"],
    [{ keyring, releaseUnverifiedPlaintext: "yes" }, "options.releaseUnverifiedPlaintext"],
    [
      { keyring, releaseUnverifiedPlaintext: true, maxBufferedObjectBytes: 100 },
      "options.maxBufferedObjectBytes",
    ],
    [{ keyring, releaseUnverifiedPlaintext: true, largeObjects: "refuse" }, "options.largeObjects"],
    [{ keyring, disableInstructionFile: 1 }, "options.disableInstructionFile"],
    [{ keyring, instructionFileSuffix: "" }, "options.instructionFileSuffix"],
    [{ keyring, disableInstructionFile: true, instructionFileSuffix: ".x" }, "options.instructionFileSuffix"],
    [{ keyring, contentAad: "x" }, "options.contentAad"],
    [{ keyring, enableCbcRewrappedByJava: 1 }, "options.enableCbcRewrappedByJava"],
  ])("are refused: %j", async (options, named) => {
    const error = await errorOf(() => legacyReading(options as unknown as LegacyReadingOptions));
    expect(["TypeError", "RangeError"]).toContain(error.name);
    expect(error.message).toContain(`${named}:`);
  });

  it("accept one keyring, or one of each type", () => {
    legacyReading({ keyring });
    legacyReading({ keyring: [keyring, legacyRsaKeyring({ privateKey: rsaPrivateKey })] });
    legacyReading({ keyring, maxBufferedObjectBytes: 16 });
  });

  it("are not accepted by a client in place of the result", async () => {
    const s3 = { send: () => undefined };
    for (const legacy of [{ keyring }, null, "on", keyring]) {
      const wrong = { s3, keyring: native, legacy } as unknown as ConstructorParameters<
        typeof EnvelopeClient
      >[0];
      expect((await errorOf(() => new EnvelopeClient(wrong))).message).toContain("options.legacy:");
    }
  });
});
