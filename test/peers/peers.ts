/** The peers: encryption clients of other projects, each of a fixed version. A new peer is a new line here. */
import { goPeer } from "./go/install.js";
import { javaPeers } from "./java/install.js";
import { ourPeer } from "./ours/install.js";
import type { Peer } from "./peer.js";
import { pythonPeer } from "./python/install.js";

/** All of them. */
export const peers: readonly Peer[] = [...javaPeers, pythonPeer, goPeer, ourPeer];
