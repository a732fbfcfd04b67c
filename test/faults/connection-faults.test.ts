import { everyNth } from "../support/tier.js";
import { connectionFaults } from "./connection-faults.js";
import { runFaults } from "./run-faults.js";

runFaults(everyNth(connectionFaults, 2));
