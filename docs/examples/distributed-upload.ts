/**
 * Three worker processes upload the parts of one object. One is killed and replaced. Then the object is read and compared.
 * S3 runs in the first process, over HTTP on loopback. In production, the workers may run on different machines, and a
 * database table takes the place of the folder of notes.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  aesKeyring,
  createS3Client,
  EnvelopeClient,
  type UploadedPart,
  type UploadTicket,
} from "s3-envelope";
import { type LocalClientConfig, startLocalAws } from "s3-envelope/testing";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"; // not part of the example
const object = { Bucket: "example", Key: "backups/node" };
const encryptionContext = { tenant: "42" };
const filePath = process.execPath;

/** The first message to a worker. Only the key of this example is secret: with kmsKeyring, each worker calls KMS. */
interface Order {
  readonly ticket: UploadTicket;
  readonly notes: string;
  readonly wrappingKey: string;
  readonly s3Config: LocalClientConfig;
}
type ToWorker = Order | { readonly PartNumber: number };

function clientOf({ s3Config, wrappingKey }: Omit<Order, "ticket" | "notes">): EnvelopeClient {
  const keyring = aesKeyring({ keyId: "example", wrappingKey: Buffer.from(wrappingKey, "hex") });
  return new EnvelopeClient({ s3: createS3Client(s3Config), keyring });
}

/** Uploads the parts that the coordinator assigns, one after the other. */
function work(): void {
  let order: Order | undefined;
  let client: EnvelopeClient | undefined;
  process.on("message", async (message: ToWorker) => {
    if ("ticket" in message) {
      order = message;
      client = clientOf(order);
      return;
    }
    if (!order || !client) throw new Error("no order yet");
    const { ticket, notes } = order;
    const { PartNumber } = message;
    const note = join(notes, `${PartNumber}`);
    // An earlier worker may have started this part: it must be sent with the same bytes, or not at all.
    const tagDigest = existsSync(note) ? await readFile(note, "utf8") : "first-attempt";
    const part = await client.uploadPart({
      ticket,
      PartNumber,
      filePath,
      encryptionContext,
      tagDigest,
      // Before the first byte is sent, the digest that a replacement needs is on the disk.
      onSealed: ({ tagDigest }) => writeNote(note, tagDigest),
    });
    process.send?.(part);
  });
  process.once("disconnect", () => process.exit());
}

/** Writes a note atomically and durably: it is complete, and survives a loss of power. */
async function writeNote(path: string, text: string): Promise<void> {
  const file = await open(`${path}.${process.pid}`, "w");
  await file.writeFile(text);
  await file.sync();
  await file.close();
  await rename(`${path}.${process.pid}`, path);
  // Also makes the name durable.
  const folder = await open(dirname(path), "r");
  await folder.sync();
  await folder.close();
}

/** Begins the upload, assigns parts to three workers, kills one of them, completes the upload, and reads the object. */
async function coordinate(): Promise<void> {
  await using aws = await startLocalAws({ buckets: [object.Bucket] });
  const notes = await mkdtemp(join(tmpdir(), "s3-envelope-example-"));
  const wrappingKey = createHash("sha256").update("only for this example").digest("hex");
  const client = clientOf({ s3Config: aws.s3Config, wrappingKey });
  const { size, mtimeMs } = await stat(filePath);
  const ticket = await client.beginUpload({
    ...object,
    encryptionContext,
    plaintextLength: size,
    // A worker whose copy of the file has another modification time sends nothing.
    sourceModifiedMs: mtimeMs,
  });
  console.log(`${filePath}: ${size} bytes in ${ticket.partCount} parts`);

  const startWorker = () => {
    const worker = fork(fileURLToPath(import.meta.url), ["worker"], { execArgv: process.execArgv });
    worker.send({ ticket, notes, wrappingKey, s3Config: aws.s3Config } satisfies Order);
    return worker;
  };
  const todo = Array.from({ length: ticket.partCount }, (_, index) => index + 1);
  const parts = new Map<number, UploadedPart>();
  let toKill = 1;
  /** Assigns one part after the other to a worker. The part of a worker that dies is assigned again. */
  const employ = async (worker: ChildProcess): Promise<void> => {
    const gone = once(worker, "exit").then(() => undefined);
    for (let PartNumber = todo.shift(); PartNumber !== undefined; PartNumber = todo.shift()) {
      worker.send({ PartNumber });
      const killing = toKill-- > 0;
      if (killing) {
        // While it sends the part: the note exists, so the request has started.
        while (!existsSync(join(notes, `${PartNumber}`)))
          await new Promise((resolve) => setTimeout(resolve, 1));
        worker.kill("SIGKILL");
      }
      const message = await Promise.race([once(worker, "message"), gone]);
      if (!message || killing) {
        todo.unshift(PartNumber);
        console.log(
          `worker ${worker.pid} was killed while it sent part ${PartNumber}: another worker replaces it`,
        );
        return employ(startWorker());
      }
      const [part] = message as [UploadedPart];
      parts.set(part.PartNumber, part);
    }
    worker.disconnect();
  };
  await Promise.all([startWorker(), startWorker(), startWorker()].map(employ));

  const output = await client.completeUpload({ ticket, parts: [...parts.values()], encryptionContext });
  console.log(`completed: ${output.ciphertextLength} bytes in S3`);
  const [before, after] = [createHash("sha256"), createHash("sha256")];
  before.update(await readFile(filePath));
  const { Body } = await client.get({ ...object, encryptionContext });
  for await (const bytes of Body) after.update(bytes);
  if (before.digest("hex") !== after.digest("hex")) throw new Error("the object is not the file");
  console.log("the object is the file, byte for byte");
  await rm(notes, { recursive: true });
}

if (process.argv[2] === "worker") work();
else await coordinate();
