/** The least work of any format of 16 KiB chunks on one thread: one cipher for each chunk. */
import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import type { Sink } from "./bytes.js";

const suite = "aes-256-gcm";
const chunkBytes = 16 * 1024;
const tagBytes = 16;
/** Four chunks with their tags. */
export const loopPieceBytes = 4 * (chunkBytes + tagBytes);

/** Seals every 16 KiB of each piece under a nonce of its own. */
export function sealLoop(key: KeyObject, source: Iterable<Buffer>, sink: Sink): void {
  const nonce = Buffer.alloc(12);
  let index = 0;
  for (const piece of source) {
    for (let start = 0; start < piece.length; start += chunkBytes) {
      nonce.writeUInt32BE(index++, 8);
      const cipher = createCipheriv(suite, key, nonce);
      sink(cipher.update(piece.subarray(start, start + chunkBytes)));
      cipher.final();
      sink(cipher.getAuthTag());
    }
  }
}

/** Opens the output of `sealLoop`, in pieces of whole chunks. */
export function openLoop(key: KeyObject, source: Iterable<Buffer>, sink: Sink): void {
  const nonce = Buffer.alloc(12);
  let index = 0;
  for (const piece of source) {
    for (let start = 0; start < piece.length; start += chunkBytes + tagBytes) {
      const sealed = piece.subarray(start, start + chunkBytes + tagBytes);
      nonce.writeUInt32BE(index++, 8);
      const decipher = createDecipheriv(suite, key, nonce).setAuthTag(sealed.subarray(-tagBytes));
      sink(decipher.update(sealed.subarray(0, -tagBytes)));
      decipher.final();
    }
  }
}
