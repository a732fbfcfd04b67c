import { expect, it } from "vitest";
import { Condition } from "../../src/base/condition.js";

it("Condition wakes all who wait, and nobody who begins to wait later", async () => {
  const condition = new Condition();
  const woken: number[] = [];
  condition.notify();
  const first = [condition.wait().then(() => woken.push(1)), condition.wait().then(() => woken.push(2))];
  condition.notify();
  const later = condition.wait().then(() => woken.push(3));
  await Promise.all(first);
  expect(woken).toEqual([1, 2]);
  condition.notify();
  await later;
  expect(woken).toEqual([1, 2, 3]);
});

it("Condition.once calls back once, for each call, unless it is cancelled", () => {
  const condition = new Condition();
  let calls = 0;
  const callback = () => {
    calls += 1;
  };
  condition.once(callback);
  const cancel = condition.once(callback);
  cancel();
  cancel();
  condition.once(callback);
  condition.notify();
  condition.notify();
  expect(calls).toBe(2);
});

it("Condition calls a callback that is added during a notification at the next one", () => {
  const condition = new Condition();
  const calls: string[] = [];
  condition.once(() => {
    calls.push("first");
    condition.once(() => void calls.push("second"));
  });
  condition.notify();
  expect(calls).toEqual(["first"]);
  condition.notify();
  expect(calls).toEqual(["first", "second"]);
});
