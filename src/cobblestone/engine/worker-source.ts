/** The program of the worker threads, as text that any bundler carries along. */

/**
 * A CommonJS script without imports of its own. scripts/bundle-worker.js fills it in when the package is built; source
 * that runs without a build has no worker program, and works on the calling thread.
 */
export const workerSource: string = "";
