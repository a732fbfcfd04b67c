/** This library as a peer: its conformance server, from the sources of the checkout. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Peer } from "../peer.js";

const packageFile = new URL("../../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { version: string };

/** The peer that all others are for. */
export const ourPeer: Peer = {
  name: "s3-envelope",
  version: `s3-envelope ${version}`,
  install: async () => ({
    program: process.execPath,
    args: ["--import", "tsx", fileURLToPath(new URL("main.ts", import.meta.url))],
  }),
};
