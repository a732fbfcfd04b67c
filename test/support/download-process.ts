/** Downloads in a separate process, which loads the built package because that starts three times as fast. */
import { type ChildProcess, spawn } from "node:child_process";
import type { LocalClientConfig } from "../../src/testing/index.js";
import { wrappingKey } from "./local.js";

const dist = new URL("../../dist/", import.meta.url).href;
/** Sends messages when it begins, when the first block of 256 KiB is written, and when it ends. */
const code = `
  import { S3Client } from "@aws-sdk/client-s3";
  import { aesKeyring } from "${dist}index.js";
  import { download } from "${dist}objects/download/download.js";
  import { configArgument } from "${dist}objects/encrypted/config.js";
  const [config, input] = JSON.parse(process.env.DOWNLOAD);
  const keyring = aesKeyring({ keyId: "test", wrappingKey: Buffer.from("${wrappingKey.toString("hex")}", "hex") });
  const settings = configArgument({ s3: new S3Client(config), keyring });
  process.send("begun");
  let moves = false;
  const onProgress = () => {
    if (!moves) process.send("moving");
    moves = true;
  };
  download(settings, input, { onProgress }, 16).then(
    ({ resumedBytes }) => process.send({ resumedBytes }, () => process.exit(0)),
    ({ code, message, details }) => process.send({ code, message, details }, () => process.exit(1)),
  );
`;

/** The outcome of a download. */
export interface DownloadResult {
  readonly resumedBytes?: number;
  readonly code?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The object to download and the path to write. */
export interface DownloadOrder {
  readonly Bucket: string;
  readonly Key: string;
  readonly filePath: string;
  readonly fsync?: boolean;
}

/** A downloading process. Its promises resolve with its messages, and reject if it ends before it sends them. */
export interface DownloadProcess {
  readonly child: ChildProcess;
  readonly begun: Promise<void>;
  readonly moving: Promise<void>;
  readonly ended: Promise<DownloadResult | undefined>;
}

/** Starts a download of an object that was written with the keyring of the tests. `limit` is a shell command to run first. */
export function startDownload(
  config: LocalClientConfig,
  order: DownloadOrder,
  limit = "true",
): DownloadProcess {
  const shell = [
    `${limit} && exec "$0" --no-warnings --input-type=module --eval "$1"`,
    process.execPath,
    code,
  ];
  const child = spawn("/bin/sh", ["-c", ...shell], {
    cwd: new URL("../../", import.meta.url),
    env: { ...process.env, DOWNLOAD: JSON.stringify([config, order]) },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  let result: DownloadResult | undefined;
  const ended = new Promise<DownloadResult | undefined>((resolve) => {
    const done = () => resolve(result);
    // Its last message may arrive after its exit.
    child.once("exit", () => (child.connected ? child.once("disconnect", done) : done()));
  });
  const said = (what: string) => {
    const saying = new Promise<void>((resolve, reject) => {
      child.once("exit", () => reject(new Error(`it ended before it was ${what}`)));
      child.on("message", (message) => {
        if (message === what) resolve();
      });
    });
    saying.catch(() => undefined);
    return saying;
  };
  child.on("message", (message) => {
    if (typeof message !== "string") result = message as DownloadResult;
  });
  return { child, begun: said("begun"), moving: said("moving"), ended };
}
