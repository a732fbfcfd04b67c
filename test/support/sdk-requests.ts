/** The fields of the S3 requests of the SDK, read from its type declarations. */
import { readdirSync, readFileSync } from "node:fs";

/** The fields of every request of the installed S3 client, by the name of the request. */
export function requestsOfSdk(): Map<string, string[]> {
  const models = new URL("../../node_modules/@aws-sdk/client-s3/dist-types/models/", import.meta.url);
  const requests = new Map<string, string[]>();
  for (const file of readdirSync(models).filter((name) => /^models_\d+\.d\.ts$/.test(name))) {
    const text = readFileSync(new URL(file, models), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, name = "", fields = ""] of text.matchAll(/export interface (\w+Request) \{([\s\S]*?)\n\}/g))
      requests.set(
        name,
        [...fields.matchAll(/\n {4}(\w+)\??:/g)].map(([, field = ""]) => field),
      );
  }
  return requests;
}
