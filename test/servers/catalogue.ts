/** The servers that the conformance tests run against, each of a fixed version. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { goBuild, pipInstall } from "./install.js";
import { credentials, region, type Server } from "./server.js";

const versitygw: Server = {
  name: "versitygw",
  version: "1.8.0",
  services: ["s3"],
  install: (cache) => goBuild(cache, "versitygw", "github.com/versity/versitygw@v1.8.0", "./cmd/versitygw"),
  command(_, port, directory) {
    for (const folder of ["objects", "versions"]) mkdirSync(join(directory, folder));
    const { accessKeyId, secretAccessKey } = credentials;
    const front = ["--access", accessKeyId, "--secret", secretAccessKey, "--region", region, "--quiet"];
    const back = ["posix", "--versioning-dir", join(directory, "versions"), join(directory, "objects")];
    return { args: [...front, "--port", `127.0.0.1:${port}`, ...back] };
  },
};

const seaweedfs: Server = {
  name: "seaweedfs",
  version: "2026-11-09 (7506e5f91cd6)",
  services: ["s3"],
  install: (cache) =>
    goBuild(cache, "weed", "github.com/seaweedfs/seaweedfs@v0.0.0-20261109003541-7506e5f91cd6", "./weed"),
  command(_, port, directory) {
    const { accessKeyId: accessKey, secretAccessKey: secretKey } = credentials;
    const actions = ["Admin", "Read", "Write", "List", "Tagging"];
    const identities = [{ name: "admin", credentials: [{ accessKey, secretKey }], actions }];
    const config = join(directory, "s3.json");
    writeFileSync(config, JSON.stringify({ identities }), { mode: 0o600 });
    const ports = [
      ["master.port", port + 1],
      ["volume.port", port + 2],
      ["filer.port", port + 3],
      ["master.port.grpc", port + 4],
      ["volume.port.grpc", port + 5],
      ["filer.port.grpc", port + 6],
      ["s3.port.grpc", port + 7],
    ].map(([name, value]) => `-${name}=${value}`);
    // Each bucket needs seven volumes.
    const place = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", `-dir=${directory}`, "-volume.max=500"];
    return {
      args: ["server", ...place, ...ports, "-s3", `-s3.port=${port}`, `-s3.config=${config}`],
      // The key that wraps the keys of SSE-S3.
      env: { WEED_S3_SSE_KEY: "servers-testing" },
    };
  },
};

const moto: Server = {
  name: "moto",
  version: "5.2.5",
  services: ["s3", "kms"],
  install: async (cache) =>
    join(await pipInstall(cache, "moto-5.2.5", "moto-requirements.txt"), "moto_server"),
  command: (_, port) => ({ args: ["-H", "127.0.0.1", "-p", String(port)] }),
};

const localKms: Server = {
  name: "local-kms",
  version: "2026-02-28 (2a5e92d09ab6)",
  services: ["kms"],
  install: (cache) =>
    goBuild(cache, "local-kms", "github.com/nsmithuk/local-kms@v0.0.0-20260228092603-2a5e92d09ab6", "."),
  command: (_, port, directory) => ({
    args: [],
    env: { PORT: String(port), KMS_REGION: region, KMS_ACCOUNT_ID: "111122223333", KMS_DATA_PATH: directory },
  }),
};

/** All of them. */
export const catalogue: readonly Server[] = [versitygw, seaweedfs, moto, localKms];
