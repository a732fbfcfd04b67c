/** All operations of the in-process S3 by name. */
import type { Operations } from "../request/operation.js";
import { taggingOperations } from "../request/tagging.js";
import { attributeOperations } from "./attributes.js";
import { bucketOperations } from "./buckets.js";
import { copyOperations } from "./copy.js";
import { deleteOperations } from "./deletion.js";
import { listingOperations } from "./listing.js";
import { multipartOperations } from "./multipart.js";
import { multipartListingOperations } from "./multipart-listing.js";
import { objectOperations } from "./objects.js";

export const operations: Operations = {
  ...bucketOperations,
  ...objectOperations,
  ...deleteOperations,
  ...copyOperations,
  ...taggingOperations,
  ...attributeOperations,
  ...listingOperations,
  ...multipartOperations,
  ...multipartListingOperations,
};
