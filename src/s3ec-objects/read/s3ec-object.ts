/** An object of Amazon's S3 Encryption Clients whose key has been unwrapped: its content, whole or a range of it. */
import { collectBytes } from "../../base/bytes.js";
import type {
  ContentOutput,
  FirstResponse,
  LegacyReadInfo,
  OpenedContent,
  RequestedObject,
  UnlockedObject,
} from "../../objects/encrypted/format.js";
import { refetchPinned, refetchRange, requireTotalBytes } from "../../objects/encrypted/pinned-object.js";
import type { ByteRange } from "../../objects/encrypted/range.js";
import { otherRange } from "../../s3/errors.js";
import { withoutChecksums } from "../../s3/fields.js";
import { openContentRange } from "../../s3ec/content/content.js";
import { slice } from "../../transfer/slice.js";
import { withoutLegacyFields } from "./object-info.js";
import {
  type BlocksToRead,
  endsBeforePadding,
  lastBlock,
  plainLengthOf,
  planLegacyRange,
} from "./range-plan.js";
import type { UnlockedContent } from "./unlock-content.js";
import { openWholeContent, requirePossibleSize, requireReadableSize } from "./verify-then-release.js";

type Response = FirstResponse["response"];

/** See {@link UnlockedObject}. */
export class S3ecObject implements UnlockedObject {
  readonly #object: RequestedObject;
  readonly #content: UnlockedContent;
  readonly #info: LegacyReadInfo;

  constructor(object: RequestedObject, content: UnlockedContent, info: LegacyReadInfo) {
    this.#object = object;
    this.#content = content;
    this.#info = info;
  }

  async openWhole(): Promise<OpenedContent> {
    const { first, target } = this.#object;
    const { keys, config } = this.#content;
    const response = first.isUsable() ? first.response : await refetchPinned(this.#object, undefined);
    const { ContentRange, ContentLength: bytes } = response.output;
    // A part of the object, by its number or by an intermediary, would look like an object that was cut off.
    if (ContentRange !== undefined) throw otherRange(target);
    requireReadableSize(keys.suite, config, bytes);
    const plaintext = openWholeContent(response.read(0, bytes), keys, config, bytes);
    const ContentLength = bytes === undefined ? undefined : plainLengthOf(keys.suite, bytes);
    return { output: this.#output(response, { ContentLength, ContentRange: undefined }), plaintext };
  }

  async openRange(range: ByteRange): Promise<OpenedContent> {
    const { suite } = this.#content.keys;
    const totalBytes = requireTotalBytes(this.#object);
    requirePossibleSize(suite, totalBytes);
    const needsPadding = suite.mode === "cbc" && !endsBeforePadding(range, totalBytes);
    const plainLength = needsPadding
      ? await this.#lengthByPadding(totalBytes)
      : plainLengthOf(suite, totalBytes);
    const plan = planLegacyRange(range, suite, totalBytes, plainLength);
    const { response, plaintext } = await this.#openBlocks(plan, totalBytes);
    const sizes = { ContentLength: plan.length, ContentRange: plan.contentRange };
    return { output: this.#output(response, sizes), plaintext: slice(plaintext, plan.skip, plan.length) };
  }

  /** The last block of AES/CBC holds 0 to 15 bytes of plaintext; decrypting it shows how many. */
  async #lengthByPadding(totalBytes: number): Promise<number> {
    const { start, blocks } = lastBlock(totalBytes);
    const { plaintext } = await this.#openBlocks(blocks, totalBytes);
    const last = await collectBytes(plaintext);
    last.fill(0);
    return start + last.length;
  }

  async #openBlocks(
    blocks: BlocksToRead,
    totalBytes: number,
  ): Promise<{ readonly response: Response; readonly plaintext: AsyncIterable<Uint8Array> }> {
    const { from, to } = blocks;
    const response = await refetchRange(this.#object, from, to + 1, totalBytes);
    return {
      response,
      plaintext: openContentRange(response.read(0, to + 1 - from), this.#content.keys, blocks),
    };
  }

  #output({ output }: Response, sizes: Pick<ContentOutput, "ContentLength" | "ContentRange">): ContentOutput {
    const { encryptionContext } = this.#content;
    return {
      ...withoutChecksums(output),
      ...sizes,
      Metadata: withoutLegacyFields(output.Metadata ?? {}),
      encrypted: true,
      ...(encryptionContext && { encryptionContext }),
      legacy: this.#info,
    };
  }
}
