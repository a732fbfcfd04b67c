/** The input and the output of `download`. */
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

/** The input of `download`: the fields of GetObject except those for ranges and parts, and these. */
export interface DownloadInput extends Omit<GetObjectCommandInput, "PartNumber" | "Range"> {
  /**
   * The path of the file to write. Its folder must exist. An existing file is replaced atomically, once the new one is
   * complete; until then the bytes are in a file beside it. Anything else of this name is refused: a folder, a symbolic
   * link, a device, a pipe, a socket.
   */
  readonly filePath: string;
  /** As for `get`. */
  readonly encryptionContext?: ExpectedContext | undefined;
  /**
   * Whether the file and its name have been flushed to the disk when the call resolves; true by default. With false, a
   * loss of power may leave a file that is cut off or empty.
   */
  readonly fsync?: boolean | undefined;
  /** The mode of the file; 0o600 by default, so that only its owner can read it. */
  readonly mode?: number | undefined;
  /**
   * Whether the partial file is kept for the next call when this one fails. By default it is kept if that call may
   * succeed: after a failure of S3 or of the network, refused access, damaged bytes, or a full disk. With true it is also
   * kept when the call is aborted, or fails in any other way; with false it is removed, with those of earlier calls.
   */
  readonly keepPartial?: boolean | undefined;
}

/** The output of `download`: that of `get` without a body, and these fields. */
export interface DownloadOutput
  extends Omit<GetObjectCommandOutput, "Body" | "ContentRange" | `Checksum${string}`> {
  /** The file, as an absolute path. */
  readonly filePath: string;
  /** Bytes of the plaintext. */
  readonly ContentLength: number;
  /** The context that the object was written with; authenticated. */
  readonly encryptionContext: EncryptionContext;
  /** Bytes that an earlier call had written. */
  readonly resumedBytes: number;
}

/** {@link DownloadInput} after validation. */
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
  // Once resolved, such a path would name another file than the caller meant.
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
 * Checks before any request that a file can be written to this path.
 *
 * @throws EnvelopeError `FILE_FAILED`
 */
export async function requirePlace(path: string): Promise<void> {
  const failed = (code: string, what: string) =>
    fileFailed(path, "be written", Object.assign(new Error(what), { code }));
  const folder = await withFileError(path, "be written", () => stat(dirname(path)));
  if (!folder.isDirectory()) throw failed("ENOTDIR", "its folder is not a directory");
  await withFileError(path, "be written", () => requireReplaceable(path));
}
