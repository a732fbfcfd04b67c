/**
 * The demo: encrypts, stores, reads and tampers with an object. Run it with `npm run demo`.
 * S3 and KMS run in this process, over HTTP on loopback. A program of yours passes its own S3Client and KMSClient.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { CreateKeyCommand } from "@aws-sdk/client-kms";
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { Presets, SingleBar } from "cli-progress";
import { EnvelopeClient, EnvelopeError, kmsKeyring } from "s3-envelope";
import { startLocalAws } from "s3-envelope/testing";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true"; // Keeps the output short.
const Bucket = "demo";
const Key = "backups/node";
const file = process.execPath;
const encryptionContext = { tenant: "42", kind: "backup" };
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
let steps = 0;
const say = (text: string) => console.log(`\n${++steps}. ${text}`);

say("Start an S3 and a KMS in this process, and create a KMS key.");
await using aws = await startLocalAws({ buckets: [Bucket] });
const { KeyMetadata } = await aws.kms.send(new CreateKeyCommand({ Description: "demo" }));
const keyId = KeyMetadata?.Arn ?? "";
console.log(`   ${keyId}`);
const envelope = new EnvelopeClient({ s3: aws.s3, keyring: kmsKeyring({ kms: aws.kms, keyId }) });

const { size } = await stat(file);
say(`Encrypt ${file} (${megabytes(size)}) as a stream into s3://${Bucket}/${Key}.`);
const bar = new SingleBar(
  {
    format: "   {bar} {percentage}% of {total} bytes, {duration} s",
    noTTYOutput: true,
    notTTYSchedule: 60_000,
  },
  Presets.shades_classic,
);
bar.start(size, 0);
const sent = createHash("sha256");
async function* plaintext(): AsyncGenerator<Buffer> {
  for await (const bytes of createReadStream(file, { highWaterMark: 256 * 1024 })) {
    sent.update(bytes);
    bar.increment(bytes.length);
    yield bytes;
  }
}
const started = performance.now();
await envelope.put({ Bucket, Key, Body: plaintext(), encryptionContext, Metadata: { author: "demo" } });
bar.stop();
const parts = aws.requests.filter(({ operation }) => operation === "UploadPart").length;
const seconds = (performance.now() - started) / 1000;
console.log(`   ${parts} parts, ${seconds.toFixed(1)} s, ${megabytes(size / seconds)}/s`);

say(
  "Look at what S3 stores: ciphertext, and an envelope that anybody may read and nobody can change unnoticed.",
);
const stored = await aws.s3.send(new HeadObjectCommand({ Bucket, Key }));
for (const [name, value] of Object.entries(stored.Metadata ?? {}))
  console.log(`   ${name}: ${shorten(value)}`);
const first = await aws.s3.send(new GetObjectCommand({ Bucket, Key, Range: "bytes=0-79" }));
console.log(
  `   first 80 bytes: ${shorten(Buffer.from((await first.Body?.transformToByteArray()) ?? []).toString("hex"), 96)}`,
);
const head = await envelope.head({ Bucket, Key });
console.log(`   ${stored.ContentLength} bytes of ciphertext hold ${head.ContentLength} bytes of plaintext`);

const length = 64;
const start = Math.floor(size / 2);
say(`Read ${length} bytes from the middle: S3 sends only their chunk, which is verified first.`);
aws.clearRequests();
const Range = `bytes=${start}-${start + length - 1}`;
const range = await envelope.get({ Bucket, Key, encryptionContext, Range });
const middle = Buffer.from(await range.Body.transformToByteArray());
const original = Buffer.alloc(length);
const handle = await open(file);
await handle.read(original, 0, length, start);
await handle.close();
if (!middle.equals(original)) throw new Error("the bytes differ from those of the file");
console.log(`   plaintext range:  ${range.ContentRange}, equal to the bytes of the file`);
console.log(`   ciphertext range: ${aws.requests[0]?.headers.range}, as requested from S3`);

say("Read it all back, as a stream, and compare SHA-256.");
const received = createHash("sha256");
const whole = await envelope.get({ Bucket, Key, encryptionContext });
for await (const bytes of whole.Body) received.update(bytes);
const [before, after] = [sent.digest("hex"), received.digest("hex")];
console.log(`   sent     ${before}\n   received ${after}`);
if (before !== after) throw new Error("the bytes differ");

say("Read with another encryption context: refused before KMS is asked.");
await refused(() => envelope.get({ Bucket, Key, encryptionContext: { ...encryptionContext, tenant: "43" } }));

say("Flip one bit in S3 and read again: no byte of the changed chunk is returned.");
const object = await aws.s3.send(new GetObjectCommand({ Bucket, Key }));
const bytes = Buffer.from((await object.Body?.transformToByteArray()) ?? []);
const flipped = Math.floor(bytes.length / 3);
bytes[flipped] = (bytes[flipped] ?? 0) ^ 1;
await aws.s3.send(new PutObjectCommand({ Bucket, Key, Body: bytes, Metadata: object.Metadata }));
let released = 0;
await refused(async () => {
  const tampered = await envelope.get({ Bucket, Key, encryptionContext });
  for await (const piece of tampered.Body) released += piece.length;
});
console.log(`   bit flipped in byte ${flipped}; ${released} verified bytes were returned before the refusal`);
console.log("\nDone. README.md shows how to use it, docs/format.md specifies what is stored.");

async function refused(act: () => Promise<unknown>): Promise<void> {
  const error = await act().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof EnvelopeError)) throw new Error("expected a refusal", { cause: error });
  console.log(`   ${error.code}: ${error.message}`);
}

function shorten(text: string, length = 76): string {
  return text.length > length ? `${text.slice(0, length)}...` : text;
}
