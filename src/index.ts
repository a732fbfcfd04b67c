export { EnvelopeError, errorCodes } from "./errors.js";
