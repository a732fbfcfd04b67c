/** The state of streams with events, for all families of streams. */
import { describe } from "../base/arguments.js";
import type { NodeStream } from "./shape.js";

/** @throws TypeError when a reader would not get all bytes of a stream */
export function refuseUnreadable(title: string, stream: NodeStream): void {
  const what = unreadable(stream);
  if (what !== undefined) {
    // It may still emit an error, which must not end the process.
    stream.on("error", () => undefined);
    const options = { cause: errorOf(stream) };
    const message = `${title}: expected a stream that can still be read, got ${describe(stream)} that ${what}`;
    throw options.cause === undefined ? new TypeError(message) : new TypeError(message, options);
  }
  if (decodes(stream)) throw textInstead(title);
}

/** Why a reader would not get all bytes of a stream. */
function unreadable(stream: NodeStream): string | undefined {
  if (hasEnded(stream)) return "has ended";
  if (errorOf(stream) !== undefined) return "has failed";
  if (isDestroyed(stream)) return "was destroyed";
  if (stream.aborted === true) return "was aborted";
  if (stream.readable === false) return "cannot be read";
  if ((isReadByOthers(stream) && !flowsLater(stream)) || isPiped(stream) || count(stream, "readable") > 0)
    return "other code reads: it is piped, was resumed, or has a listener for its data. Pass the stream before any other code reads it";
  return undefined;
}

/**
 * Whether a stream is the body of a response from S3, as the SDK or this package returns it. No other code resumes it. If
 * it were read before its turn and then abandoned, it would hold a connection that other requests wait for.
 */
export function isResponseBody(stream: NodeStream): boolean {
  return typeof (stream as { transformToWebStream?: unknown }).transformToWebStream === "function";
}

function isStreamx(stream: NodeStream): boolean {
  return typeof stream._duplexState === "number";
}

function hasEnded(stream: NodeStream): boolean {
  const { readableEnded, emittedEnd, _readableState: state } = stream;
  if (readableEnded === true || emittedEnd === true || state?.endEmitted === true) return true;
  return isStreamx(stream) && state?.ended === true;
}

/** Whether a stream was destroyed, with an error or without. */
export function isDestroyed({ destroyed, destroying, _readableState }: NodeStream): boolean {
  return destroyed === true || destroying === true || _readableState?.destroyed === true;
}

/** The error that a stream was destroyed with, if any. */
export function errorOf(stream: NodeStream): unknown {
  const { errored, _readableState } = stream;
  if (isStreamx(stream)) {
    // The code after destroy() without an error.
    const error = _readableState?.error as { code?: unknown } | null | undefined;
    return error?.code === "STREAM_DESTROYED" ? undefined : (error ?? undefined);
  }
  return errored ?? _readableState?.errored ?? undefined;
}

/** Whether the bytes of a stream go to other code instead of to the caller of `read()`. */
export function isReadByOthers(stream: NodeStream): boolean {
  const { flowing, _readableState: state } = stream;
  if (flowing === true || state?.flowing === true) return true;
  if (isStreamx(stream)) return count(stream, "data") > 0 || (state?.pipeTo ?? null) !== null;
  return typeof stream.read !== "function" && count(stream, "data") > 0;
}

/** Whether a stream was resumed in this turn of the event loop, by a call or a "data" listener: it has emitted no bytes yet. */
function flowsLater({ _readableState: state }: NodeStream): boolean {
  return state?.flowing === true && state.resumeScheduled === true;
}

/** Whether a stream is piped, even while it waits for its destination. */
function isPiped({ _readableState: state }: NodeStream): boolean {
  const pipes = state?.pipes ?? null;
  return Array.isArray(pipes) ? pipes.length > 0 : pipes !== null;
}

function count(stream: NodeStream, event: string): number {
  return stream.listenerCount?.(event) ?? 0;
}

/** Whether a stream decodes its bytes as text, which replaces invalid bytes and drops byte order marks. */
export function decodes(stream: NodeStream): boolean {
  const { readableEncoding, encoding, _readableState: state } = stream;
  if (isStreamx(stream)) return typeof state?.map === "function" && state.map.name === "mapOrSkip";
  return (readableEncoding ?? state?.encoding ?? state?.decoder ?? encoding ?? null) !== null;
}

/** The error for text where bytes are expected. */
export function textInstead(title: string): TypeError {
  return new TypeError(
    `${title}: expected a stream of bytes, got one with setEncoding(), which does not keep all bytes`,
  );
}

/** Whether a stream emits "close" when it is destroyed without an error. */
export function announcesClose(stream: NodeStream): boolean {
  const { _readableState: state } = stream;
  return isStreamx(stream) || state?.emitClose === true;
}

/** Whether a stream closes by itself after its end, and reports by that an error after the last byte. */
export function closesByItself({ writable, allowHalfOpen, _readableState: state }: NodeStream): boolean {
  if (state?.autoDestroy !== true) return false;
  // A socket that the other end may have reset closes its own side later.
  if (writable === true && allowHalfOpen !== false) return false;
  return state.closed !== true && state.closeEmitted !== true;
}

/** Whether a stream that has ended reports missing bytes: the predicate of a sentence about it. */
export function shortfallOf(stream: NodeStream): string | undefined {
  if (stream.aborted === true) return "was aborted before its end";
  if (stream.complete === false && stream.httpVersion !== undefined)
    return "ended before the message was complete";
  const code = resetCode(stream) ?? 0;
  if (code !== 0) return `was reset with code ${code}`;
  if (stream.truncated === true) return "was truncated where it came from";
  return undefined;
}

/** The error code of a closed HTTP/2 stream or request, 0 if it was closed without; undefined for other streams. */
export function resetCode(stream: NodeStream): number | undefined {
  const { rstCode } = typeof stream.rstCode === "number" ? stream : (Object(stream.stream) as NodeStream);
  return typeof rstCode === "number" ? rstCode : undefined;
}

/** The error of the connection of an HTTP response. If the end of the connection ends the body, Node treats an error as the end. */
export function connectionError({ statusCode, socket }: NodeStream): unknown {
  return typeof statusCode === "number" ? ((Object(socket) as NodeStream).errored ?? undefined) : undefined;
}
