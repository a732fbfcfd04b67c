/** Refusals of every frozen object. */
import "./frozen.test.js";
