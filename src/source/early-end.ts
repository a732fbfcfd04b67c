/** The error for a source that ended before all of it had come. */
import { EnvelopeError } from "../base/errors.js";

/** `SOURCE_FAILED` of a source that gave no error of its own. */
export class EarlyEnd extends EnvelopeError {
  /** What became of the source, such as "closed before it ended". */
  readonly what: string;

  constructor(title: string, what: string) {
    super("SOURCE_FAILED", `${title}: the stream ${what}`);
    this.what = what;
  }
}
