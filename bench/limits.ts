/** The limits of the machine: two processes that only encrypt, and OpenSSL alone. */
import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import type { Case } from "./measure.js";
import { answerOf, startProcess } from "./processes.js";
import { names } from "./ways.js";

/** Encrypting or decrypting. */
export type Direction = "encrypt" | "decrypt";

/** The input of a process of bare loops. */
export interface LoopOrder {
  readonly direction: Direction;
  readonly milliseconds: number;
}

/** The sum of the rates of two concurrent processes. */
export class TwoProcesses implements AsyncDisposable {
  readonly #processes: readonly ChildProcess[];

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes;
  }

  /** Starts both and has them warm up. */
  static async start(): Promise<TwoProcesses> {
    const processes = [0, 1].map(() => startProcess("bare-loop-process.ts", []));
    await Promise.all(processes.map((one) => once(one, "message")));
    return new TwoProcesses(processes);
  }

  /** The row: the sum of both rates, in GB/s. */
  row(direction: Direction, milliseconds: number): Case {
    return {
      name: names.twoProcesses,
      run: async () => {
        const order: LoopOrder = { direction, milliseconds };
        const answers = this.#processes.map(answerOf);
        for (const one of this.#processes) one.send(order);
        const rates = (await Promise.all(answers)).map(Number);
        return rates.reduce((sum, rate) => sum + rate, 0) / 1e9;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#processes.map(async (one) => {
        const end = once(one, "exit");
        one.disconnect();
        await end;
      }),
    );
  }
}

const run = promisify(execFile);

/** The row of `openssl speed`, in blocks of 16 KiB; none where there is no openssl. */
export async function opensslRow(direction: Direction, rounds: number): Promise<Case[]> {
  try {
    const { stdout } = await run("openssl", ["version"]);
    const version = stdout.split(" ").slice(0, 2).join(" ");
    return [{ name: `limit: ${version} speed, one thread`, rounds, run: () => opensslSpeed(direction) }];
  } catch (error) {
    console.log(`no row of openssl speed: ${error instanceof Error ? error.message : error}`);
    return [];
  }
}

async function opensslSpeed(direction: Direction): Promise<number> {
  const decrypting = direction === "decrypt" ? ["-decrypt"] : [];
  const setting = ["-evp", "aes-256-gcm", "-bytes", "16384", "-seconds", "1"];
  const { stdout } = await run("openssl", ["speed", ...decrypting, ...setting]);
  const kilobytes = /^AES-256-GCM\s+([\d.]+)k$/im.exec(stdout)?.[1];
  if (kilobytes === undefined) throw new Error("openssl speed printed something else than a rate");
  return (Number(kilobytes) * 1000) / 1e9;
}
