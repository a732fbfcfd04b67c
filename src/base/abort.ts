/**
 * Waits that end when a signal aborts or after idle time. A caller's signal gets one listener, however many wait for it:
 * Node warns of more than ten.
 */
import { setMaxListeners } from "node:events";
import { startIdleTimer } from "./idle-timer.js";

/** The callbacks of a signal, and its one listener. */
interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls back when a signal aborts; not if it was aborted before.
 *
 * @returns a function that cancels the callback; with the last callback the listener is removed
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const one = waiting.get(signal) ?? listen(signal);
  // A function of its own for each call: the same callback may wait twice.
  const entry = () => callback();
  one.callbacks.add(entry);
  return () => {
    one.callbacks.delete(entry);
    if (one.callbacks.size > 0 || waiting.get(signal) !== one) return;
    waiting.delete(signal);
    signal.removeEventListener("abort", one.listener);
  };
}

function listen(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>();
  const listener = () => {
    waiting.delete(signal);
    for (const callback of callbacks) callback();
  };
  const one = { callbacks, listener };
  waiting.set(signal, one);
  signal.addEventListener("abort", listener, { once: true });
  return one;
}

/** The limits that end a wait early. */
export interface WaitLimits {
  /** The wait rejects with the reason of this signal once it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** How long the wait may be idle, in milliseconds; 0, the default, for no limit. */
  readonly idleTimeoutMs?: number | undefined;
  /** The limit until the first refresh, if some of the time has passed already. */
  readonly firstIdleMs?: number | undefined;
  /** The error for a wait that was idle for too long. */
  readonly stalled?: (() => Error) | undefined;
}

/** How the function that a limited wait runs settles it. */
export interface WaitControl<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
  /** Begins the idle time anew. */
  readonly refresh: () => void;
}

/**
 * A promise, as `new Promise` makes it, that also rejects at its limits.
 *
 * @param start begins the work; returns what stops it, which runs once when the promise settles, for whatever reason
 */
export function limitedWait<T>(
  { signal, idleTimeoutMs = 0, firstIdleMs, stalled }: WaitLimits,
  start: (control: WaitControl<T>) => (() => void) | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    let forget: (() => void) | undefined;
    let stop: (() => void) | undefined;
    const settle = (act: () => void) => {
      if (isSettled) return;
      isSettled = true;
      timer.stop();
      forget?.();
      stop?.();
      act();
    };
    const timer = startIdleTimer(idleTimeoutMs, () => settle(() => reject(stalled?.())), firstIdleMs);
    const control: WaitControl<T> = {
      resolve: (value) => settle(() => resolve(value)),
      reject: (error) => settle(() => reject(error)),
      refresh: timer.refresh,
    };
    try {
      stop = start(control);
    } catch (error) {
      control.reject(error);
    }
    if (isSettled) return void stop?.();
    const abort = () => settle(() => reject(signal?.reason));
    if (signal?.aborted) abort();
    else forget = signal && onAbort(signal, abort);
  });
}

/** Settles like the promise, or rejects at the limits. */
export function untilLimits<T>(limits: WaitLimits, promise: Promise<T>): Promise<T> {
  return limitedWait<T>(limits, ({ resolve, reject }) => {
    Promise.resolve(promise).then(resolve, reject);
    return undefined;
  });
}

/** Settles like the promise, or rejects with the reason as soon as the signal aborts. */
export function untilAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return untilLimits({ signal }, promise);
}

const ownSignals = new WeakSet<AbortSignal>();

/** A controller whose signal may have any number of listeners, because each of several concurrent requests adds one. */
export function ownController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  ownSignals.add(controller.signal);
  return controller;
}

/** A signal that aborts with another signal, and that its owner can abort as well. The first reason stays. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  readonly abort: (reason: unknown) => void;
  /** Stops listening to the other signal. */
  readonly dispose: () => void;
}

/** Creates a signal that aborts with `parent`, if there is one. */
export function linkedSignal(parent: AbortSignal | undefined): LinkedSignal {
  const controller = ownController();
  const abort = (reason: unknown) => controller.abort(reason);
  if (parent?.aborted) abort(parent.reason);
  const stop = parent && onAbort(parent, () => abort(parent.reason));
  return { signal: controller.signal, abort, dispose: () => stop?.() };
}

/**
 * Runs code that passes a signal on, for example to the AWS SDK: it gets a signal of {@link ownController} that aborts with
 * the caller's signal until this has settled.
 */
export async function withOwnSignal<T>(
  caller: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (ownSignals.has(caller)) return act(caller);
  const { signal, dispose } = linkedSignal(caller);
  try {
    return await act(signal);
  } finally {
    dispose();
  }
}
