/** Every call at every deviation of a store. */
import "./store-deviations.test.js";
