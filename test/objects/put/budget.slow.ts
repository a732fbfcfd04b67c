/** Two hundred puts at once, and parts of full size. */
import "./budget.test.js";
