/** The program of the worker threads as text, which every bundler includes. */

/**
 * A CommonJS script without imports. `scripts/bundle-worker.js` fills it in during the build; source code that runs without
 * a build has no worker program and processes everything on the calling thread.
 */
export const workerSource: string = "";
