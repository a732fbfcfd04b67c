/** Encodes and sends the body of an object: as one PutObject, or as a multipart upload. */
import type { ConfirmedWriteOutput } from "../../s3/confirmed-write.js";
import { type MultipartInput, uploadMultipart } from "../../s3/multipart.js";
import { putObject } from "../../s3/requests.js";
import type { BodySource } from "../../transfer/body-source.js";
import type { Call } from "../../transfer/call.js";
import { type Part, PartAssembly } from "../../transfer/part-assembly.js";
import { partSizes } from "../../transfer/part-sizes.js";
import type { TransferConfig } from "../encrypted/transfer-config.js";
import type { BodyEncoder } from "./body-encoder.js";
import { type PutOutput, putOutput } from "./write-arguments.js";

/** The object that a body is sent for. */
export interface ObjectWrite extends Pick<MultipartInput, "put" | "target" | "commit"> {
  readonly call: Call;
}

/** A body in memory of at most this many bytes is encoded in one step, which takes less than a turn of the event loop. */
const maxAtOnceBytes = 64 * 1024;

/** Reads the source to its end, encodes it and stores it as the body of the object. */
export async function sendBody(
  config: TransferConfig,
  write: ObjectWrite,
  source: BodySource,
  encoder: BodyEncoder,
): Promise<PutOutput> {
  const { meter } = write.call;
  const { bytes } = source;
  const request = { ...config, ...write };
  meter.totalBytes = source.length;
  const isSmall = bytes !== undefined && bytes.length <= maxAtOnceBytes;
  const { output, parts } =
    isSmall && encoder.encodeAtOnce
      ? { output: await sendWhole(request, encoder.encodeAtOnce(bytes)), parts: 1 }
      : await sendParts(config, request, source, encoder);
  const plaintextLength = bytes?.length ?? source.bytesRead;
  meter.complete(plaintextLength, parts);
  return putOutput(output, plaintextLength, encoder.ciphertextLength);
}

interface SentBody {
  readonly output: ConfirmedWriteOutput;
  readonly parts: number;
}

/** Plaintext -> ciphertext -> parts. A single part goes as one PutObject. */
async function sendParts(
  config: TransferConfig,
  request: MultipartInput & ObjectWrite,
  source: BodySource,
  encoder: BodyEncoder,
): Promise<SentBody> {
  const { budget, partSizeBytes, idleTimeoutMs } = config;
  const { call } = request;
  const { meter, signal } = call;
  const ciphertextLength = source.length === undefined ? undefined : encoder.ciphertextLength(source.length);
  const sizes = partSizes(ciphertextLength, partSizeBytes);
  if (ciphertextLength !== undefined) meter.totalParts = Math.ceil(ciphertextLength / sizes(1));
  const { readAheadBytes, plaintextBytesFor } = encoder;
  const assembly = new PartAssembly({
    call,
    budget,
    sizes,
    ciphertextLength,
    readAheadBytes,
    plaintextBytesFor,
  });

  const plaintext = source.read({ signal, idleTimeoutMs }, assembly.allowance);
  const ciphertext = encoder.encode(plaintext);
  const parts = assembly.parts(ciphertext);

  try {
    return await sendAssembled(request, parts, encoder);
  } finally {
    // Before the clean-up after a failure: others may wait for the memory.
    budget.releaseAll(call);
  }
}

/** Sends parts as they are assembled. */
async function sendAssembled(
  request: MultipartInput & ObjectWrite,
  parts: AsyncGenerator<Part, undefined>,
  encoder: BodyEncoder,
): Promise<SentBody> {
  const { meter } = request.call;
  const { value: first } = await parts.next();
  if (!first) throw new Error("unreachable: every body has a byte");
  if (first.isLast) return { output: await sendWhole(request, first.bytes), parts: 1 };
  let storedParts = 0;
  const onStored = (part: Part) => {
    const [start, end] = [part.start, part.start + part.length].map(encoder.plaintextBytesIn) as [
      number,
      number,
    ];
    storedParts += 1;
    if (part.isLast) [meter.totalBytes, meter.totalParts] = [end, part.partNumber];
    meter.add(end - start, 1);
  };
  const output = await uploadMultipart(request, first, parts, onStored);
  return { output, parts: storedParts };
}

/** Sends a whole body as one PutObject. */
export function sendWhole(
  { s3, put, call, commit }: Omit<MultipartInput, "maxConcurrentParts">,
  body: Buffer,
): Promise<ConfirmedWriteOutput> {
  return commit.write({ s3, put, signal: call.signal }, body.length, (options) =>
    putObject(s3, { ...put, Body: body }, options),
  );
}
