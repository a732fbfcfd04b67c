/**
 * Tells requests of programs on this machine from those of web pages. A web page can send requests to
 * loopback under the name of its own site (DNS rebinding) or across origins. It must neither read nor change
 * anything, even if it knows the credentials or a presigned URL.
 */
import type { ServiceRequest } from "./service.js";

type Headers = ServiceRequest["headers"];

const localHost = /^(?:(?:([a-z0-9.-]+)\.)?(?:localhost|127(?:\.\d{1,3}){3})|\[::1\])(?::\d{1,5})?$/i;

/** The reason to refuse a request, whoever signed it; undefined if there is none. */
export function foreignTo({ method, headers }: ServiceRequest): string | undefined {
  const { host = "", origin } = headers;
  // The port may be that of a proxy on this machine.
  if (!localHost.test(host)) return "The Host header must name localhost or a loopback address.";
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    return "Requests of web pages of another origin are not allowed.";
  }
  // Following a link shows its target, but gives it to no page.
  const followed = method === "GET" && headers["sec-fetch-mode"] === "navigate";
  if (headers["sec-fetch-site"] === "cross-site" && !followed) {
    return "Requests of web pages of another site are not allowed.";
  }
  return undefined;
}

/** The bucket that a virtual-hosted request names in its Host header, such as "bucket" of "bucket.localhost:9000". */
export function bucketOfHost({ host = "" }: Headers): string | undefined {
  return localHost.exec(host)?.[1]?.toLowerCase();
}
