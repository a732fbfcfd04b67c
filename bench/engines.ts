/** The two ways to run the frame layer that every table compares: options to spread into those of a call or a client. */

/** All work on the calling thread. */
export const onThread = {};

/** The default: work is shared with other threads where there are any. */
export const withWorkers = {};
