/**
 * Runs before each test file. The files of a worker share the modules of other packages, such as the AWS SDK, but each
 * evaluates this project's modules anew, so that no file depends on state that another has left in them.
 */
import { vi } from "vitest";

vi.resetModules();
