/** Faults of the network between the keyring and any KMS, made by a TCP proxy. */
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Keyring, kmsKeyring, type Recipient } from "../../src/index.js";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { coded, errorOf } from "../support/errors.js";
import { type ProxyRule, startTcpProxy, type TcpProxy } from "../support/tcp-proxy.js";
import { until } from "../support/until.js";

const operations = ["GenerateDataKey", "Decrypt"] as const;
type Operation = (typeof operations)[number];
const faults: readonly (readonly [name: string, fault: Omit<ProxyRule, "match">])[] = [
  ["is reset before its first byte", { resetRequestAt: 0 }],
  ["is reset within its body", { resetBodyAt: 20 }],
  ["loses its response", { resetResponseAt: 0 }],
  ["loses its response within the headers", { resetResponseAt: 50 }],
];
const requestFor = (operation: Operation) => new RegExp(`\\.${operation}\\b`);
const rows = operations.flatMap((operation) =>
  faults.map(
    ([name, fault]) => [`${operation} ${name}`, { match: requestFor(operation), ...fault }] as const,
  ),
);
const encryptionContext = { tenant: "42" };

/** Makes a keyring send one operation. */
function ask(keyring: Keyring, operation: Operation, recipients: readonly Recipient[], signal?: AbortSignal) {
  const input = { encryptionContext, abortSignal: signal };
  return operation === "Decrypt"
    ? keyring.unwrapDataKey({ recipients, ...input })
    : keyring.generateDataKey(input);
}

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
      const { endpoint, region, credentials } = target();
      proxy = await startTcpProxy(endpoint);
      const kms = new KMSClient({ endpoint, region, credentials });
      keyId = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? "";
      kms.destroy();
    });
    afterAll(() => proxy.close());

    it.each(rows)("KMS %s once: it is retried", async (_, rule) => {
      const { kms, keyring } = keyringOf(proxy.endpoint);
      const struck = proxy.rule(rule);
      const { plaintext, recipients } = await keyring.generateDataKey({ encryptionContext });
      const opened = await keyring.unwrapDataKey({ recipients, encryptionContext });
      expect(Buffer.from(opened ?? [])).toEqual(Buffer.from(plaintext));
      expect(struck.hits).toBe(1);
      kms.destroy();
      await until(() => expect(proxy.connections()).toBe(0));
    });

    it.each(operations)(
      "KMS %s is reset each time: the call fails with KMS_UNAVAILABLE",
      async (operation) => {
        const direct = keyringOf(target().endpoint);
        const { recipients } = await direct.keyring.generateDataKey({ encryptionContext });
        const { kms, keyring } = keyringOf(proxy.endpoint, 2);
        const struck = proxy.rule({ match: requestFor(operation), resetRequestAt: 0, times: 2 });
        const error = await errorOf(() => ask(keyring, operation, recipients));
        expect(error).toEqual(coded("KMS_UNAVAILABLE", { operation }));
        expect(error).toMatchObject({ retryable: true });
        expect(struck.hits).toBe(2);
        kms.destroy();
        direct.kms.destroy();
      },
    );

    it.each(operations)(
      "KMS %s gets no response: the call ends with the reason of the signal",
      async (operation) => {
        const direct = keyringOf(target().endpoint);
        const { recipients } = await direct.keyring.generateDataKey({ encryptionContext });
        const { kms, keyring } = keyringOf(proxy.endpoint);
        const struck = proxy.rule({ match: requestFor(operation), stallResponseAt: 0 });
        const controller = new AbortController();
        const failed = errorOf(() => ask(keyring, operation, recipients, controller.signal));
        await until(() => expect(struck.hits).toBe(1));
        const reason = new Error("enough");
        controller.abort(reason);
        expect(await failed).toBe(reason);
        kms.destroy();
        direct.kms.destroy();
        await until(() => expect(proxy.connections()).toBe(0));
      },
    );
  });
}
