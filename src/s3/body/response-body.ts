/** The body of a GetObject, held so that it can give its connection up and go on by another request. */
import { finished, Readable } from "node:stream";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { closeSource, guardSource, type SourceGuard } from "../../source/guarded-source.js";
import { otherRange, parseContentRange } from "../content-range.js";
import type { RequestTarget } from "../errors.js";
import type { AttemptObserver, AttemptResponse } from "../requests.js";
import { isSameETag, type ResponseBytes } from "../responses.js";
import { piecesOf } from "./coalesced-reads.js";
import type { Connections } from "./connections.js";
import { HeldBody } from "./held-body.js";
import type { ObjectResponse } from "./object-response.js";

/** Asks again for the object that a response was about, and for none that has taken its place. */
export type AskAgain = (
  ETag: string,
  Range: string | undefined,
  signal: AbortSignal,
) => Promise<ObjectResponse>;

/** Asks for what follows so many bytes of a body; undefined when nothing does. */
export type AskForRest = (bytesBefore: number) => Promise<ObjectResponse | undefined>;

/** A body with a checksum and at most so many bytes is taken into memory when its connection is wanted. */
const smallBytes = 64 * 1024;

/** What is held of the response to one command. */
export class ResponseBody implements AttemptObserver {
  readonly #connections: Connections;
  /** As it came from the handler. */
  #stream: unknown;
  /** Beneath the stream that the SDK verifies a checksum with, or in place of the body itself. */
  #held: HeldBody | undefined;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Takes the body of a response before anything else sees it. */
  readonly onResponse = (response: AttemptResponse): void => {
    const { body } = response;
    this.#stream = body;
    this.#held = undefined;
    if (!(body instanceof Readable) || !hasChecksum(response)) return;
    // The SDK compares the checksum of what goes through its hands: it has to get all of the body.
    if (Number(response.headers?.["content-length"]) <= smallBytes) {
      takeInWhenWanted(this.#connections, body);
      return;
    }
    // It may fail once it is given up; without a listener that would end the process.
    body.on("error", () => undefined);
    this.#held = this.#holdOf(body, () => piecesOf(body)[Symbol.asyncIterator]());
    response.body = Readable.from(this.#held, { objectMode: false });
  };

  /**
   * From now on the body may give its connection up.
   *
   * @param Body what the SDK gives
   * @param guard when reading gives up, once more for each connection
   * @returns what is to be read in place of `Body`, under the guard; undefined when that is to be read itself
   */
  hold(Body: unknown, askForRest: AskForRest, guard: () => SourceGuard): HeldBody | undefined {
    // A body that somebody's middleware has put another in place of cannot be gone on with by its place.
    const isOwn = !this.#held && Body !== undefined && Body === this.#stream;
    if (isOwn) this.#held = this.#holdOf(Body, () => guardSource(piecesOf(Body), guard()));
    this.#held?.letResume(async (bytesBefore) => {
      const answer = await askForRest(bytesBefore);
      return answer && { stream: answer.stream, open: () => answer.open(guard()), close: answer.letGo };
    });
    return isOwn ? this.#held : undefined;
  }

  /** From now on it keeps its connection, or has none. */
  readonly detach = (): void => this.#held?.detach();

  #holdOf(stream: unknown, open: () => AsyncIterator<Uint8Array>): HeldBody {
    return new HeldBody(this.#connections, { stream, open, close: () => closeSource(stream) });
  }
}

/** Whether a response says that it has the object, with a checksum that the SDK may compare. */
function hasChecksum({ statusCode = 0, headers = {} }: AttemptResponse): boolean {
  const isSuccess = statusCode === 200 || statusCode === 206;
  return isSuccess && Object.keys(headers).some((name) => /^x-amz-checksum-/i.test(name));
}

function takeInWhenWanted(connections: Connections, stream: Readable): void {
  // Whoever verifies it pauses it after each piece, which is as much as is taken in at a time.
  const release = () => {
    if (stream.listenerCount("data") > 0) stream.resume();
    return false;
  };
  const body = { stream, idleSince: performance.now(), release };
  connections.add(body);
  finished(stream, () => connections.delete(body));
}

/** How to ask for the rest of what a response was about; undefined when it does not tell enough of it. */
export function restOf(
  bytes: ResponseBytes,
  target: RequestTarget,
  signal: AbortSignal,
  askAgain: AskAgain,
): AskForRest | undefined {
  const { ETag } = bytes.output;
  // Counted from the start of the body, which may have more than was asked for.
  const told = bytes.body;
  if (!ETag || !told) return undefined;
  const { first, last, total } = told;
  return async (bytesBefore) => {
    const start = first + bytesBefore;
    if (start > last) return undefined;
    const Range = start === 0 && last === total - 1 ? undefined : `bytes=${start}-${last}`;
    const answer = await askAgain(ETag, Range, signal);
    const { ETag: now } = answer.output;
    const isSame = now !== undefined && isSameETag(now, ETag);
    const got = rangeOf(answer.output);
    if (isSame && got?.first === start && got.last === last && got.total === total) return answer;
    answer.letGo();
    throw otherRange(target);
  };
}

/** The bytes of its object that a response has; undefined when it does not tell. */
function rangeOf({
  ContentLength,
  ContentRange,
}: GetObjectCommandOutput): ReturnType<typeof parseContentRange> {
  if (ContentRange !== undefined) return parseContentRange(ContentRange);
  if (ContentLength === undefined) return undefined;
  return { first: 0, last: ContentLength - 1, total: ContentLength };
}
