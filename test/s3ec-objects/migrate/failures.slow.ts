/** Each failure at every request of a migration. */
import "./failures.test.js";
