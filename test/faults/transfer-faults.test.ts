import { runFaults } from "./run-faults.js";
import { transferFaults } from "./transfer-faults.js";

runFaults(transferFaults);
