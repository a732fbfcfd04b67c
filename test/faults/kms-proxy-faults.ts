/** Faults of the network between the keyring and any KMS, played by a TCP proxy. */
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { kmsKeyring } from "../../src/index.js";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { coded, errorOf } from "../support/errors.js";
import { type ProxyRule, startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";

const operations = ["GenerateDataKey", "Decrypt"] as const;
const faults: readonly (readonly [name: string, fault: Omit<ProxyRule, "match">])[] = [
  ["is reset before a byte", { resetRequestAt: 0 }],
  ["is reset within its body", { resetBodyAt: 20 }],
  ["has its answer lost", { resetResponseAt: 0 }],
  ["has its answer cut in the head", { resetResponseAt: 50 }],
];
const rows = operations.flatMap((operation) =>
  faults.map(([name, fault]) => ({
    operation,
    name,
    rule: { match: new RegExp(`\\.${operation}\\b`), ...fault },
  })),
);
const encryptionContext = { tenant: "42" };

/** Runs the rows against a KMS, whose configuration is read when the tests run. */
export function kmsProxyFaults(name: string, target: () => LocalClientConfig): void {
  describe(name, () => {
    let proxy: TcpProxy;
    let keyId: string;
    const keyringOf = (endpoint: string, maxAttempts = 3) => {
      const { region, credentials } = target();
      const kms = new KMSClient({ endpoint, region, credentials, maxAttempts });
      return { kms, keyring: kmsKeyring({ kms, keyId }) };
    };
    beforeAll(async () => {
      const { hostname, port } = new URL(target().endpoint);
      proxy = await startTcpProxy({ host: hostname, port: Number(port) });
      const { endpoint, region, credentials } = target();
      const kms = new KMSClient({ endpoint, region, credentials });
      keyId = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? "";
      kms.destroy();
    });
    afterAll(() => proxy.close());

    it.each(rows)("$operation $name, once: it is asked again", async ({ rule }) => {
      const { kms, keyring } = keyringOf(proxy.endpoint);
      const struck = proxy.rule(rule);
      const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext });
      const opened = await keyring.unwrapDataKey({ recipients, encryptionContext });
      expect(Buffer.from(opened ?? [])).toEqual(Buffer.from(plaintext));
      expect(struck.hits).toBe(1);
      kms.destroy();
      await vi.waitFor(() => expect(proxy.connections()).toBe(0));
    });

    it.each(operations)("%s that is reset each time is unavailable", async (operation) => {
      const direct = keyringOf(target().endpoint);
      const { recipients } = await direct.keyring.generateDataKey({ encryptionContext });
      const { kms, keyring } = keyringOf(proxy.endpoint, 2);
      const struck = proxy.rule({ match: new RegExp(`\\.${operation}\\b`), resetRequestAt: 0, times: 2 });
      const error = await errorOf(() =>
        operation === "Decrypt"
          ? keyring.unwrapDataKey({ recipients, encryptionContext })
          : keyring.generateDataKey({ encryptionContext }),
      );
      expect(error).toEqual(coded("KMS_UNAVAILABLE", { operation }));
      expect(error).toMatchObject({ retryable: true });
      expect(struck.hits).toBe(2);
      kms.destroy();
      direct.kms.destroy();
    });

    it.each(operations)("%s that is never answered ends with the caller's signal", async (operation) => {
      const direct = keyringOf(target().endpoint);
      const { recipients } = await direct.keyring.generateDataKey({ encryptionContext });
      const { kms, keyring } = keyringOf(proxy.endpoint);
      const struck = proxy.rule({ match: new RegExp(`\\.${operation}\\b`), stallResponseAt: 0 });
      const controller = new AbortController();
      const input = { encryptionContext, abortSignal: controller.signal };
      const failed = errorOf(() =>
        operation === "Decrypt"
          ? keyring.unwrapDataKey({ recipients, ...input })
          : keyring.generateDataKey(input),
      );
      await vi.waitFor(() => expect(struck.hits).toBe(1));
      const reason = new Error("enough");
      controller.abort(reason);
      expect(await failed).toBe(reason);
      kms.destroy();
      direct.kms.destroy();
      await vi.waitFor(() => expect(proxy.connections()).toBe(0));
    });
  });
}
