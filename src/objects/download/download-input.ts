/** What a download to a file is given and gives. */
import { stat } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import type { GetObjectCommandInput, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { choiceArgument, integerArgument, stringArgument } from "../../base/arguments.js";
import { fileFailed, requireReplaceable, withFileError } from "../../base/files.js";
import { fieldsArgument } from "../../fields/field-list.js";
import { fieldNames } from "../../fields/field-names.js";
import type { EncryptionContext } from "../../keys/encryption-context.js";
import type { RequestTarget } from "../../s3/errors.js";
import { targetArgument } from "../../s3/fields.js";
import { type ExpectedContext, expectedContextArgument } from "../encrypted/read-arguments.js";

/** What `download` takes: the input of GetObject but for ranges and parts, and these. */
export interface DownloadInput extends Omit<GetObjectCommandInput, "PartNumber" | "Range"> {
  /**
   * Where the plaintext goes. The folder must be there. A file of this name is replaced, at once and only when all of
   * the new one is there. Until then the bytes are in a file beside it. Anything else of this name is refused: a
   * folder, a symbolic link, a device, a pipe, a socket.
   */
  readonly filePath: string;
  /** As for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
  /**
   * Whether file and name are on the disk, and not only in the memory of the operating system, when the call
   * resolves; true by default. With false a loss of power may leave a file that is cut off or empty.
   */
  readonly fsync?: boolean | undefined;
  /** The mode of the file, 0o600 by default: nobody but its owner reads it. */
  readonly mode?: number | undefined;
  /**
   * Whether what is there stays for the next call when this one fails. By default it does when that call may well
   * succeed: S3 or the network failed, access was refused, bytes came damaged, the disk is full. True: also when the
   * call was aborted, or failed in any other way; false: never, nor what an earlier call has left.
   */
  readonly keepPartial?: boolean | undefined;
}

/** What `download` gives: what `get` does, without a body, and these. */
export interface DownloadOutput
  extends Omit<GetObjectCommandOutput, "Body" | "ContentRange" | `Checksum${string}`> {
  /** The file, as an absolute path. */
  readonly filePath: string;
  /** Bytes of the plaintext. */
  readonly ContentLength: number;
  /** The context that the object was written with; authenticated. */
  readonly encryptionContext: EncryptionContext;
  /** How many of the bytes an earlier call had written. */
  readonly resumedBytes: number;
}

/** {@link DownloadInput} once checked. */
export interface DownloadArguments {
  readonly get: GetObjectCommandInput;
  readonly target: RequestTarget;
  readonly expected: ExpectedContext;
  /** Absolute. */
  readonly path: string;
  readonly fsync: boolean;
  readonly mode: number;
  readonly keepPartial: boolean | undefined;
}

const separators = sep === "\\" ? /[\\/]/ : "/";

/** Checks the input. */
export function downloadArguments(input: DownloadInput): DownloadArguments {
  const given = fieldsArgument<DownloadInput>(fieldNames.download.input, input) as DownloadInput;
  const target = targetArgument("GetObject", given);
  const { filePath, encryptionContext, fsync = true, mode = 0o600, keepPartial, ...get } = given;
  const path = stringArgument("filePath", filePath);
  if (path.includes("\0")) throw new RangeError("filePath: expected a path, got one with a null character");
  // Resolved, it would name a file of which nobody has spoken.
  if (["", ".", ".."].includes(path.split(separators).at(-1) ?? ""))
    throw new RangeError("filePath: expected the path of a file, got one that ends as that of a folder does");
  return {
    get,
    target,
    path: resolve(path),
    expected: expectedContextArgument(encryptionContext),
    fsync: choiceArgument("fsync", fsync, [true, false]),
    mode: integerArgument("mode", mode, 0, 0o777),
    keepPartial:
      keepPartial === undefined ? undefined : choiceArgument("keepPartial", keepPartial, [true, false]),
  };
}

/**
 * What can be known of the place before any request.
 *
 * @throws EnvelopeError `FILE_FAILED`
 */
export async function requirePlace(path: string): Promise<void> {
  const failed = (code: string, what: string) =>
    fileFailed(path, "be written", Object.assign(new Error(what), { code }));
  const folder = await withFileError(path, "be written", () => stat(dirname(path)));
  if (!folder.isDirectory()) throw failed("ENOTDIR", "its folder is none");
  await withFileError(path, "be written", () => requireReplaceable(path));
}
