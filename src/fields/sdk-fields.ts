/** The fields of an input that belong to the AWS SDK, apart from those of this package. */

/** Names of the SDK's fields: they begin with a capital, those of this package never do. */
type SdkName<T> = Extract<keyof T, Capitalize<string>>;

/**
 * The fields of an input that may go into a command of the SDK. A field of this package cannot be among them, also one that
 * is added later; fields of newer releases of the SDK are.
 *
 * @param input a snapshot of the caller's input whose names have been checked
 */
export function sdkFields<T extends object>(input: T): Pick<T, SdkName<T>> {
  return Object.fromEntries(Object.entries(input).filter(([name]) => /^[A-Z]/.test(name))) as Pick<
    T,
    SdkName<T>
  >;
}
