/** The stores of an in-process S3: in memory, or in a directory. */
import { join } from "node:path";
import { type ByteStore, discardedBytes, FileBytes, memoryBytes } from "./byte-store.js";
import { claimFolder } from "./folder.js";
import { ObjectStore } from "./object-store.js";
import { noRecords, RecordFiles } from "./records.js";
import { UploadStore } from "./upload-store.js";

/** Opens the stores, and claims the directory, if there is one, until `release` is called. */
export function openStores(directory: string | undefined, discardBodies: boolean) {
  if (directory === undefined) {
    return { ...stores(discardBodies ? discardedBytes : memoryBytes, noRecords), release: () => undefined };
  }
  const release = claimFolder(directory);
  try {
    const bytes = new FileBytes(join(directory, "data"));
    const opened = stores(bytes, new RecordFiles(directory));
    bytes.removeOthers(new Set([...opened.store.files(), ...opened.uploads.files()]));
    return { ...opened, release };
  } catch (error) {
    release();
    throw error;
  }
}

function stores(bytes: ByteStore, records: typeof noRecords) {
  const store = new ObjectStore(bytes, records);
  return { store, uploads: new UploadStore(store, records) };
}
