import { connectionFaults } from "./connection-faults.js";
import { runFaults } from "./run-faults.js";

runFaults(connectionFaults);
