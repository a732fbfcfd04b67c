/** URLs of the documents that messages refer to. */

const folder = "https://github.com/s3-envelope/s3-envelope/blob/main/docs/";

/** The URL of a document of the project. */
export function documentAt(name: "errors.md" | "guides/legacy-objects.md"): string {
  return `${folder}${name}`;
}
