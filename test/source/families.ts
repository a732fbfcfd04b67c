/** Streams of every family in Node programs, each fed by the test. */
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import * as node from "node:stream";
import * as zlib from "node:zlib";

const require = createRequire(import.meta.url);

/** A stream, and the actions of the code that created it. */
export interface Fed {
  readonly source: object;
  /** Writes the next bytes; resolves when the stream has room for more, or has ended. */
  push(bytes: Uint8Array): void;
  end(): void;
  destroy(error?: Error): void;
}

interface AnyStream extends EventEmitter {
  push(bytes: Uint8Array | null): boolean;
  write(bytes: Uint8Array): boolean;
  end(): unknown;
  destroy(error?: Error): unknown;
}
type Make = new (options?: object) => AnyStream;
interface Streams {
  readonly Readable: Make;
  readonly PassThrough: Make;
}

const streams: Readonly<Record<string, Streams>> = {
  "node:stream": node as unknown as Streams,
  "readable-stream 2": require("readable-stream-2") as Streams,
  "readable-stream 3": require("readable-stream-3") as Streams,
  "readable-stream 4": require("readable-stream-4") as Streams,
  streamx: require("streamx") as Streams,
};

/** streamx passes a callback to `read`; the other families pass a size. */
function openRead(done: unknown): void {
  if (typeof done === "function") done();
}

function pushed(Readable: Make, options: object = {}): Fed {
  const source = new Readable({ read: openRead, ...options });
  return {
    source,
    push: (bytes) => void source.push(bytes),
    end: () => void source.push(null),
    destroy: (error) => void source.destroy(error),
  };
}

function written(source: AnyStream): Fed {
  return {
    source,
    push: (bytes) => void source.write(bytes),
    end: () => void source.end(),
    destroy: (error) => void source.destroy(error),
  };
}

function duplexified(): Fed {
  const duplexify = require("duplexify") as (writable: null, readable: object) => AnyStream;
  const inner = new node.PassThrough();
  const source = duplexify(null, inner);
  return {
    ...written(inner as unknown as AnyStream),
    source,
    destroy: (error) => void source.destroy(error),
  };
}

/** A stream of the old style without `read()`, which many small packages still create. */
class OldStream extends node.Stream {
  readable = true;
  #isPaused = false;
  readonly #waiting: (Uint8Array | undefined)[] = [];
  pause(): void {
    this.#isPaused = true;
  }
  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && this.#waiting.length > 0) this.#tell(this.#waiting.shift());
  }
  give(bytes: Uint8Array | undefined): void {
    this.#waiting.push(bytes);
    if (!this.#isPaused) this.resume();
  }
  destroy(error?: Error): void {
    this.readable = false;
    if (error) this.emit("error", error);
    this.emit("close");
  }
  #tell(bytes: Uint8Array | undefined): void {
    if (bytes) return void this.emit("data", bytes);
    this.readable = false;
    this.emit("end");
    this.emit("close");
  }
}

function old(): Fed {
  const source = new OldStream();
  return {
    source,
    push: (bytes) => source.give(bytes),
    end: () => source.give(undefined),
    destroy: (error) => source.destroy(error),
  };
}

function packed(): Fed {
  // A bare entry of a tar archive is a stream of streamx.
  const { extract, pack } = require("tar-stream") as {
    extract(): AnyStream;
    pack(): AnyStream & { entry(header: object): AnyStream; finalize(): void };
  };
  void extract;
  const source = pack();
  return {
    source,
    push: (bytes) => void source.push(bytes),
    end: () => void source.push(null),
    destroy: (error) => void source.destroy(error),
  };
}

function web(wrap: (stream: ReadableStream<Uint8Array>) => object = (stream) => stream): Fed {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stream = new ReadableStream<Uint8Array>({
    start(to) {
      controller = to;
    },
  });
  return {
    source: wrap(stream),
    push: (bytes) => controller?.enqueue(bytes),
    end: () => controller?.close(),
    destroy: (error) => controller?.error(error ?? new Error("cancelled by its maker")),
  };
}

/** A web stream of another implementation than Node's. */
function foreign(stream: ReadableStream<Uint8Array>): object {
  let isDisturbed = false;
  return {
    get locked() {
      return stream.locked;
    },
    get _disturbed() {
      return isDisturbed;
    },
    get _state() {
      return node.isErrored(stream as never) ? "errored" : "readable";
    },
    getReader() {
      const reader = stream.getReader();
      isDisturbed = true;
      return reader;
    },
    cancel: () => stream.cancel(),
  };
}

/** An iterable that emits from the moment of its creation. */
function emitting(): Fed {
  const emitter = new EventEmitter();
  emitter.on("error", () => undefined);
  const source = {
    [Symbol.asyncIterator]: async function* () {
      // Like readline.Interface: a late listener misses earlier events.
    },
  };
  source[Symbol.asyncIterator] = () => {
    const queue: (Uint8Array | Error | undefined)[] = [];
    let wake: () => void = () => undefined;
    emitter.on("item", (item: Uint8Array | Error | undefined) => {
      queue.push(item);
      wake();
    });
    return (async function* () {
      while (true) {
        while (queue.length === 0)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        const item = queue.shift();
        if (item === undefined) return;
        if (item instanceof Error) throw item;
        yield item as never;
      }
    })();
  };
  return {
    source,
    push: (bytes) => void emitter.emit("item", bytes),
    end: () => void emitter.emit("item", undefined),
    destroy: (error) => void emitter.emit("item", error ?? new Error("ended by its maker")),
  };
}

/** Whether a family has events; the others have no destroy() without an error. */
export type Kind = "events" | "web" | "iterable";

/** The family with this name. */
export interface Family {
  readonly name: string;
  readonly kind: Kind;
  make(): Fed;
}

/** All families. */
export const families: readonly Family[] = [
  ...Object.entries(streams).flatMap(([name, { Readable, PassThrough }]): Family[] => [
    { name: `${name} Readable`, kind: "events", make: () => pushed(Readable) },
    { name: `${name} PassThrough`, kind: "events", make: () => written(new PassThrough()) },
  ]),
  {
    name: "node:stream Readable in object mode",
    kind: "events",
    make: () => pushed(node.Readable as unknown as Make, { objectMode: true }),
  },
  {
    name: "node:stream Readable without close",
    kind: "events",
    make: () => pushed(node.Readable as unknown as Make, { emitClose: false }),
  },
  {
    name: "node:stream Readable that stays open",
    kind: "events",
    make: () => pushed(node.Readable as unknown as Make, { autoDestroy: false }),
  },
  { name: "through2", kind: "events", make: () => written((require("through2") as () => AnyStream)()) },
  { name: "duplexify", kind: "events", make: duplexified },
  { name: "tar-stream pack", kind: "events", make: packed },
  { name: "node:zlib raw pass", kind: "events", make: () => zipped() },
  { name: "a stream before read()", kind: "events", make: old },
  { name: "ReadableStream", kind: "web", make: () => web() },
  { name: "ReadableStream of another maker", kind: "web", make: () => web(foreign) },
  { name: "an iterable that emits", kind: "iterable", make: emitting },
];

/** A gunzip stream that outputs the bytes that are pushed. */
function zipped(): Fed {
  const source = zlib.createGunzip();
  const gzip = zlib.createGzip({ flush: zlib.constants.Z_SYNC_FLUSH });
  gzip.on("data", (bytes: Uint8Array) => source.destroyed || source.write(bytes));
  gzip.on("end", () => source.destroyed || source.end());
  return { ...written(gzip as unknown as AnyStream), source, destroy: (error) => void source.destroy(error) };
}
