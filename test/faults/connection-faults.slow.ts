/** Every fault of a connection. */
import "./connection-faults.test.js";
