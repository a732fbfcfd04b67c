import { kmsFaults } from "./kms-faults.js";
import { runFaults } from "./run-faults.js";

runFaults(kmsFaults);
