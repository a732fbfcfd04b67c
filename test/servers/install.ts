/** Installs the build tools of the servers of the conformance tests, and builds the servers. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
/** The oldest version that the servers need, and the version to install if the machine's is older. */
const minGoMinor = 26;
const goVersion = "go1.26.8";

/** The folder of the built servers. It is kept between runs, outside the checkout, and owned by this user. */
export function cacheDirectory(): string {
  const directory = process.env.S3_ENVELOPE_SERVERS ?? join(tmpdir(), "s3-envelope-servers");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(directory);
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return directory;
  throw new Error(`${directory} belongs to another user, or others may write to it`);
}

/** Runs a command to its end. Its error contains the last lines of its output. */
export async function command(
  program: string,
  args: string[],
  env: Record<string, string> = {},
  cwd?: string,
) {
  try {
    const options = { env: { ...process.env, ...env }, cwd, maxBuffer: 64 * 1024 * 1024 };
    return (await run(program, args, options)).stdout;
  } catch (error) {
    const { stdout = "", stderr = "", message } = error as Error & { stdout?: string; stderr?: string };
    const said = [stderr, stdout, message].map((text) => text.trim()).find((text) => text !== "") ?? "";
    throw new Error(`${program}: ${said.split("\n").slice(-3).join(" | ")}`);
  }
}

/** Installs Debian packages if a program is missing. */
export async function requireProgram(program: string, packages: string[]): Promise<void> {
  const found = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, program)));
  if (found) return;
  await installPackages(packages).catch((error: Error) => {
    throw new Error(`${program} is not there, and installing ${packages.join(" ")} failed: ${error.message}`);
  });
}

/** Installs Debian packages. */
export async function installPackages(packages: string[]): Promise<void> {
  await command("apt-get", ["update", "-q"]);
  await command("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...packages]);
}

/**
 * Installs Python packages of fixed versions into an environment of their own.
 *
 * @param requirements a file beside this one
 * @returns the folder of its programs
 */
export async function pipInstall(cache: string, name: string, requirements: string): Promise<string> {
  const folder = join(cache, name);
  const done = join(folder, "installed");
  if (existsSync(done)) return join(folder, "bin");
  await requireProgram("python3", ["python3", "python3-venv"]);
  // On Debian venv is a separate package.
  await command("python3", ["-m", "venv", "--clear", folder]).catch(async () => {
    await installPackages(["python3-venv"]);
    await command("python3", ["-m", "venv", "--clear", folder]);
  });
  const list = fileURLToPath(new URL(requirements, import.meta.url));
  await command(join(folder, "bin", "pip"), ["install", "-q", "--no-cache-dir", "--no-deps", "-r", list]);
  writeFileSync(done, "");
  return join(folder, "bin");
}

/** Builds a Go program of a fixed version. */
export async function goBuild(cache: string, name: string, module: string, folder: string): Promise<string> {
  const program = join(cache, "bin", `${name}-${module.replace(/.*@/, "")}`);
  if (existsSync(program)) return program;
  const go = await goProgram(cache);
  const { Dir } = await goDownload(go, cache, module);
  await command(go, ["build", "-o", program, folder], goEnvironment(cache), Dir);
  return program;
}

/**
 * A Go that is new enough: the machine's, or one that an older Go downloads as a module, whose files are not
 * executable at first.
 */
export async function goProgram(cache: string): Promise<string> {
  await requireProgram("go", ["golang-go"]);
  const [, minor = "0"] = /go1\.(\d+)/.exec(await command("go", ["version"])) ?? [];
  if (Number(minor) >= minGoMinor) return "go";
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const { Dir } = await goDownload(
    "go",
    cache,
    `golang.org/toolchain@v0.0.1-${goVersion}.linux-${architecture}`,
  );
  await command("chmod", ["-R", "a+x", join(Dir, "bin"), join(Dir, "pkg", "tool")]);
  return join(Dir, "bin", "go");
}

async function goDownload(go: string, cache: string, module: string): Promise<{ Dir: string }> {
  const args = ["mod", "download", "-json", module];
  return JSON.parse(await command(go, args, goEnvironment(cache), cache)) as { Dir: string };
}

/** The folders of Go for downloads and builds. */
export const goEnvironment = (cache: string) => ({
  GOPATH: join(cache, "go"),
  GOCACHE: join(cache, "go-build"),
  GOFLAGS: "-modcacherw -mod=mod",
});
