/** Finds test vectors of other projects, which are not part of this one. test/vectors/README.md names their commits. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const shared = fileURLToPath(new URL("../../../shared/vectors", import.meta.url));

/** A set of vectors: the folder in an environment variable, or one of `shared/vectors` beside the checkout. */
export interface VectorSet {
  readonly name: string;
  readonly variable: string;
  readonly folder: string;
}

const vectorSet = (name: string, variable: string, folder: string): VectorSet => ({
  name,
  variable,
  folder: process.env[variable] ?? folder,
});

export const wycheproof = vectorSet("Wycheproof", "WYCHEPROOF_VECTORS", shared);
export const encryptionSdkVectors = vectorSet(
  "AWS Encryption SDK for .NET",
  "ENCRYPTION_SDK_VECTORS",
  `${shared}/esdk-net-4.0.1`,
);

/** Reads a file of vectors, or returns undefined where it is absent and its variable is not set. */
export function readVectors<T>(file: string, { variable, folder }: VectorSet = wycheproof): T | undefined {
  const path = `${folder}/${file}`;
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
  if (process.env[variable]) throw new Error(`${variable} names a folder without ${file}: ${folder}`);
  return undefined;
}

/** A global setup of Vitest: prints, after the summary of a run, which vectors were not there. */
export default function reportMissingVectors(): () => void {
  return () => {
    for (const { name, variable, folder } of [wycheproof, encryptionSdkVectors]) {
      if (existsSync(folder)) continue;
      console.log(
        `Skipped the vectors of ${name}: ${folder} does not exist, and ${variable} names no other folder.`,
      );
    }
  };
}
