/** Multiplies the runs of every property by FUZZ_FACTOR, for `npm run prove -- fuzz`. */
import type * as fastCheck from "fast-check";
import { vi } from "vitest";

vi.mock("fast-check", async (load) => {
  const module = await load<typeof fastCheck>();
  const assert = (property: fastCheck.IProperty<unknown>, parameters?: fastCheck.Parameters<unknown>) => {
    const numRuns = Math.ceil((parameters?.numRuns ?? 100) * Number(process.env.FUZZ_FACTOR));
    return module.assert(property, { ...parameters, numRuns });
  };
  return { ...module, assert, default: { ...module.default, assert } };
});
