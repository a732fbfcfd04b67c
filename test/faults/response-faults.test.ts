import { responseFaults } from "./response-faults.js";
import { runFaults } from "./run-faults.js";

runFaults(responseFaults);
