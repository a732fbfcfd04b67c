/** The operations of the in-process S3 on buckets. */
import { malformedXml, readDocument } from "../request/documents.js";
import { firstPage, type Operations, wholeNumber, xml } from "../request/operation.js";
import { continuationToken, continuedKey } from "../request/pages.js";
import { byBytes } from "../storage/order.js";
import type { Versioning } from "../storage/versions.js";
import { s3Fault } from "../wire/s3-fault.js";
import { childText, element, group, type XmlElement, xmlDocument } from "../wire/xml.js";

/** The owner of all buckets. */
export const account = "111122223333";

/** The XML of the owner. */
export const ownerElement = group("Owner", [element("ID", account)]);

/** The parameters with which a list of buckets includes their Regions. */
const bucketListing = ["max-buckets", "continuation-token", "prefix", "bucket-region"];
const mostBuckets = 10_000;

export const bucketOperations: Operations = {
  ListBuckets({ store, request: { query }, region }) {
    const limit = maxBuckets(query.get("max-buckets"));
    const token = query.get("continuation-token");
    const after = token === undefined ? "" : continuedKey(token);
    const prefix = query.get("prefix");
    const here = (query.get("bucket-region") ?? region) === region;
    const asked = bucketListing.some((name) => query.has(name));
    const rest = store.buckets.filter(
      ({ name }) => here && name.startsWith(prefix ?? "") && byBytes(name, after) > 0,
    );
    const { page, truncated } = firstPage(rest, limit);
    const buckets = page.map(({ name, created }) =>
      group("Bucket", [
        element("Name", name),
        element("CreationDate", created.toISOString()),
        element("BucketRegion", asked ? region : undefined),
      ]),
    );
    const result = [
      ownerElement,
      group("Buckets", buckets),
      element("ContinuationToken", truncated ? continuationToken(page.at(-1)?.name ?? "") : undefined),
      element("Prefix", prefix),
    ];
    return { status: 200, headers: xml, body: [xmlDocument("ListAllMyBucketsResult", result)] };
  },

  async CreateBucket({ store, request, bucket, region }) {
    const document = await readDocument(request, "CreateBucketConfiguration", { optional: true });
    requireLocation(document, region);
    // In us-east-1 creating one's own bucket again succeeds.
    if (region !== "us-east-1" || !store.hasBucket(bucket)) store.createBucket(bucket);
    return { status: 200, headers: { location: `/${bucket}` } };
  },

  HeadBucket({ store, bucket, region }) {
    store.requireBucket(bucket);
    return { status: 200, headers: { "x-amz-bucket-region": region } };
  },

  DeleteBucket({ store, uploads, bucket }) {
    const unfinished = uploads.inBucket(bucket);
    store.deleteBucket(bucket);
    for (const upload of unfinished) uploads.abort(upload);
    return { status: 204 };
  },

  GetBucketLocation({ store, bucket, region }) {
    store.requireBucket(bucket);
    const document = `<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${region === "us-east-1" ? "" : region}</LocationConstraint>`;
    return { status: 200, headers: xml, body: [Buffer.from(document)] };
  },

  GetBucketVersioning({ store, bucket }) {
    const status = element("Status", store.versioning(bucket));
    return { status: 200, headers: xml, body: [xmlDocument("VersioningConfiguration", [status])] };
  },

  async PutBucketVersioning({ store, request, bucket }) {
    const document = await readDocument(request, "VersioningConfiguration");
    const mfaDelete = childText(document, "MfaDelete") ?? "Disabled";
    if (mfaDelete !== "Disabled") {
      throw mfaDelete === "Enabled" ? s3Fault("NotImplemented", "MfaDelete Enabled") : malformedXml();
    }
    const status = childText(document, "Status");
    if (status !== "Enabled" && status !== "Suspended") throw malformedXml();
    store.setVersioning(bucket, status satisfies Versioning);
    return { status: 200 };
  },
};

function maxBuckets(stated: string | undefined): number {
  const number = wholeNumber(stated ?? String(mostBuckets));
  if (number >= 1 && number <= mostBuckets) return number;
  throw s3Fault("InvalidArgument", "Argument max-buckets must be an integer between 1 and 10000");
}

/** A bucket is created in the server's Region. us-east-1 has no name as a location. */
function requireLocation(document: XmlElement | undefined, region: string): void {
  if (document?.children.some(({ name }) => name !== "LocationConstraint")) {
    throw s3Fault("NotImplemented", "more than a LocationConstraint");
  }
  const stated = childText(document, "LocationConstraint") ?? "";
  if (stated === "us-east-1" && stated === region) {
    throw s3Fault("InvalidLocationConstraint", "The specified location-constraint is not valid");
  }
  if (stated !== "" && stated !== region) {
    throw s3Fault(
      "IllegalLocationConstraintException",
      `The ${stated} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    );
  }
}
