/** How fast the frame layer is on one thread, beside plain ciphers that neither chunk nor verify as they go. */
import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes } from "node:crypto";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { decrypt, encrypt } from "s3-envelope";
import { measure, report } from "./measure.js";

const suite = "aes-256-gcm";
const chunkBytes = 16 * 1024;
const dataKey = randomBytes(32);
const key = createSecretKey(dataKey);
const options = { dataKey };
/** Ciphertext is prepared in this size and read again and again, so that 1 GiB needs no 1 GiB of memory. */
const preparedBytes = 8 * 1024 * 1024;

/** Measures and prints for each size of pieces; checks the outputs first. */
export async function benchFrames(
  bytes: number,
  rounds: number,
  pieceSizes: readonly number[],
): Promise<void> {
  for (const pieceBytes of pieceSizes) {
    const plaintext = randomBytes(preparedBytes);
    const pieces = (from: Buffer) =>
      (function* () {
        for (let start = 0; start < from.length; start += pieceBytes)
          yield from.subarray(start, start + pieceBytes);
      })();
    const message = Buffer.concat(await collect(encrypt(pieces(plaintext), options)));
    const plain = sealPlain(plaintext);
    await checkOutputs(plaintext, pieces(message), plain);

    const times = bytes / preparedBytes;
    const repeated = function* () {
      for (let time = 0; time < times; time++) yield* pieces(plaintext);
    };
    const readable = (source: Iterable<Buffer>) => Readable.from(source, { objectMode: false });
    const again = async (run: () => Promise<unknown>) => {
      for (let time = 0; time < times; time++) await run();
    };
    const decipher = () => createDecipheriv(suite, key, plain.iv).setAuthTag(plain.tag);
    const size = `${bytes / 2 ** 20} MiB in pieces of ${pieceBytes / 1024} KiB`;
    console.log(`frame layer on one thread, ${size}, from memory to nowhere, ${rounds} interleaved rounds`);
    report(
      await measure(rounds, bytes, [
        {
          name: "pipeline, createCipheriv",
          run: () => pipeline(readable(repeated()), createCipheriv(suite, key, randomBytes(12)), nowhere()),
        },
        { name: "loop, createCipheriv for each 16 KiB", run: async () => sealLoop(plaintext, times) },
        {
          name: "pipeline, encrypt",
          run: () => pipeline(readable(repeated()), (source) => encrypt(source, options), nowhere()),
        },
        { name: "for await, encrypt", run: () => drain(encrypt(repeated(), options)) },
      ]),
    );
    report(
      await measure(rounds, bytes, [
        {
          name: "pipeline, createDecipheriv",
          run: () => again(() => pipeline(readable(pieces(plain.ciphertext)), decipher(), nowhere())),
        },
        {
          name: "pipeline, decrypt",
          run: () =>
            again(() => pipeline(readable(pieces(message)), (source) => decrypt(source, options), nowhere())),
        },
        { name: "for await, decrypt", run: () => again(() => drain(decrypt(pieces(message), options))) },
      ]),
    );
  }
}

interface PlainSealed {
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
  readonly iv: Buffer;
}

function sealPlain(plaintext: Buffer): PlainSealed {
  const iv = randomBytes(12);
  const cipher = createCipheriv(suite, key, iv);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return { ciphertext, tag: cipher.getAuthTag(), iv };
}

/** What any format of 16 KiB chunks must do at least, on one thread. */
function sealLoop(plaintext: Buffer, times: number): void {
  const iv = randomBytes(12);
  for (let time = 0; time < times; time++) {
    for (let start = 0; start < plaintext.length; start += chunkBytes) {
      iv.writeUInt32BE(start, 8);
      const cipher = createCipheriv(suite, key, iv);
      cipher.update(plaintext.subarray(start, start + chunkBytes));
      cipher.final();
      cipher.getAuthTag();
    }
  }
}

async function checkOutputs(plaintext: Buffer, message: Iterable<Buffer>, plain: PlainSealed): Promise<void> {
  const sha256 = (pieces: readonly Uint8Array[]) =>
    createHash("sha256").update(Buffer.concat(pieces)).digest("hex");
  const expected = sha256([plaintext]);
  const decipher = createDecipheriv(suite, key, plain.iv).setAuthTag(plain.tag);
  const outputs = [
    sha256(await collect(decrypt(message, options))),
    sha256([decipher.update(plain.ciphertext), decipher.final()]),
  ];
  if (outputs.some((output) => output !== expected)) throw new Error("an output is wrong: nothing is timed");
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces = [];
  for await (const bytes of source) pieces.push(bytes);
  return pieces;
}

async function drain(source: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of source);
}

function nowhere(): Writable {
  return new Writable({ write: (_bytes, _encoding, done) => done() });
}
