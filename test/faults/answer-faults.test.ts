import { answerFaults } from "./answer-faults.js";
import { runFaults } from "./run-faults.js";

runFaults(answerFaults);
