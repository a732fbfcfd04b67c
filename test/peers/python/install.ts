/** Installs the Python peer: a virtual environment with just what requirements.txt names. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command, installPackages, requireProgram } from "../../servers/install.js";
import { made } from "../made.js";
import type { Peer } from "../peer.js";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** The peer in Python; the version is the one in requirements.txt. It needs Python 3.10. */
export const pythonPeer: Peer = {
  name: "python-v4",
  version: "S3EC-Python 4.0.0",
  async install(cache) {
    await requireProgram("python3", ["python3", "python3-venv"]);
    const requirements = here("requirements.txt");
    const venv = made(cache, "python-v4", [requirements]);
    await venv.make(async (into) => {
      // On Debian venv is a separate package.
      await command("python3", ["-m", "venv", into]).catch(async () => {
        await installPackages(["python3-venv"]);
        await command("python3", ["-m", "venv", "--clear", into]);
      });
      // Programs in bin/ name the folder that they were made in; the interpreter finds its own.
      const pip = ["-m", "pip", "install", "-q", "--no-cache-dir", "--no-deps", "-r", requirements];
      await command(join(into, "bin", "python"), pip);
    });
    return { program: join(venv.folder, "bin", "python"), args: ["-B", here("server.py")] };
  },
};
