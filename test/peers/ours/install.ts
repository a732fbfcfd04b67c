/** This library as a peer: its conformance server, from the sources of the checkout. */
import { fileURLToPath } from "node:url";
import type { Peer } from "../peer.js";

/** The peer that all others are for. */
export const ourPeer: Peer = {
  name: "s3-envelope",
  version: "this commit",
  install: async () => ({
    program: process.execPath,
    args: ["--import", "tsx", fileURLToPath(new URL("main.ts", import.meta.url))],
  }),
};
