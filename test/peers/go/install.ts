/** Installs the Go peer: its few sources are built with the modules that go.sum pins. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command, goEnvironment, goProgram } from "../../servers/install.js";
import { made } from "../made.js";
import type { Peer } from "../peer.js";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/**
 * The peer in Go; the version is the one in go.mod. Major version 4 of the client differs in what it writes and in
 * its defaults; its module is not to be had everywhere with a checksum that Go can look up.
 */
export const goPeer: Peer = {
  name: "go-v3",
  version: "S3EC-Go 3.2.0",
  async install(cache) {
    const go = await goProgram(cache);
    const env = { ...goEnvironment(cache), GOFLAGS: "-modcacherw -mod=readonly -buildvcs=false" };
    await made(cache, "go-v3-modules", ["go.mod", "go.sum"].map(here)).make(() =>
      command(go, ["mod", "download"], env, here(".")),
    );
    const built = made(cache, "go-v3", ["go.mod", "go.sum", "main.go", "server.go"].map(here));
    return {
      program: join(built.folder, "peer"),
      args: [],
      build: () =>
        built.make((into) => command(go, ["build", "-o", join(into, "peer"), "."], env, here("."))),
    };
  },
};
