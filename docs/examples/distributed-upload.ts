/**
 * Three processes upload the parts of one object; one is killed and replaced; the object is read back and compared.
 * S3 runs in the first process, over HTTP on loopback. At your place the workers may be on different machines, and the
 * folder of notes a table of a database.
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

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"; // an example is no place for it
const object = { Bucket: "example", Key: "backups/node" };
const encryptionContext = { tenant: "42" };
const filePath = process.execPath;

/** What a worker is told. Nothing in it is secret but the key of this example: with kmsKeyring each asks KMS. */
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

/** Uploads the parts that it is told to, one after the other. */
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
    // An earlier worker may have begun this part: it must be sent with the same bytes, or not at all.
    const tagDigest = existsSync(note) ? await readFile(note, "utf8") : "first-attempt";
    const part = await client.uploadPart({
      ticket,
      PartNumber,
      filePath,
      encryptionContext,
      tagDigest,
      // Before the first byte is sent: what a replacement will need is on the disk.
      onSealed: ({ tagDigest }) => writeNote(note, tagDigest),
    });
    process.send?.(part);
  });
  process.once("disconnect", () => process.exit());
}

/** Whole or not at all, and still there after a loss of power. */
async function writeNote(path: string, text: string): Promise<void> {
  const file = await open(`${path}.${process.pid}`, "w");
  await file.writeFile(text);
  await file.sync();
  await file.close();
  await rename(`${path}.${process.pid}`, path);
  // The name, too.
  const folder = await open(dirname(path), "r");
  await folder.sync();
  await folder.close();
}

/** Begins, hands out parts to three workers, kills one of them, completes, reads. */
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
    // A worker whose copy of the file is of another time sends nothing.
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
  /** Gives a worker one part after the other; a part whose worker dies goes back to the others. */
  const employ = async (worker: ChildProcess): Promise<void> => {
    const gone = once(worker, "exit").then(() => undefined);
    for (let PartNumber = todo.shift(); PartNumber !== undefined; PartNumber = todo.shift()) {
      worker.send({ PartNumber });
      const killing = toKill-- > 0;
      if (killing) {
        // In the midst of it: the note is written, so its bytes are on their way.
        while (!existsSync(join(notes, `${PartNumber}`)))
          await new Promise((resolve) => setTimeout(resolve, 1));
        worker.kill("SIGKILL");
      }
      const answer = await Promise.race([once(worker, "message"), gone]);
      if (!answer || killing) {
        todo.unshift(PartNumber);
        console.log(`worker ${worker.pid} was killed amid part ${PartNumber}: another takes its place`);
        return employ(startWorker());
      }
      const [part] = answer as [UploadedPart];
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
