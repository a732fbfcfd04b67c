/** Installs the Java peers: Maven brings the jars, javac compiles the few sources. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command, requireProgram } from "../../servers/install.js";
import { made } from "../made.js";
import type { Peer, PeerCommand } from "../peer.js";

const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/** Bodies of 40 MiB are held whole, a few times over. */
const jvm = [
  "-Xmx512m",
  "-XX:+UseSerialGC",
  // Otherwise each answer waits for a delayed acknowledgement.
  "-Dsun.net.httpserver.nodelay=true",
  // What a bare machine says of its locale must not decide how characters are written.
  "-Dfile.encoding=UTF-8",
];
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The peers in Java; the version of each is the one in its pom.xml. */
export const javaPeers: readonly Peer[] = [
  { name: "java-v4", version: "S3EC-Java 4.0.1", install: (cache) => install(cache, "v4", ["modern"]) },
  { name: "java-v3", version: "S3EC-Java 3.5.0", install: (cache) => install(cache, "v3", ["modern"]) },
  { name: "java-sdk1", version: "AWS SDK for Java 1.12.797", install: (cache) => install(cache, "sdk1", []) },
];

async function install(cache: string, folder: string, others: readonly string[]): Promise<PeerCommand> {
  await requireProgram("javac", ["default-jdk-headless"]);
  await requireProgram("mvn", ["maven"]);
  const pom = here(`${folder}/pom.xml`);
  const sources = [folder, "shared", ...others].flatMap((one) =>
    readdirSync(here(one))
      .filter((name) => name.endsWith(".java"))
      .map((name) => join(here(one), name)),
  );
  const jars = made(cache, `java-${folder}-jars`, [pom]);
  await jars.make((into) => {
    const goal = [copyDependencies, `-DoutputDirectory=${into}`, "-DincludeScope=runtime"];
    return command("mvn", ["-q", "-B", "-f", pom, `-Dmaven.repo.local=${join(cache, "maven")}`, ...goal]);
  });
  const classes = made(cache, `java-${folder}-classes`, [pom, ...sources]);
  const classPath = join(jars.folder, "*");
  return {
    program: "java",
    args: [...jvm, "-cp", `${classes.folder}:${classPath}`, "Main"],
    build: () =>
      classes.make((into) => command("javac", ["-nowarn", "-d", into, "-cp", classPath, ...sources])),
  };
}
