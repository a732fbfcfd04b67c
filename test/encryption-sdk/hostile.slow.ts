/** Every byte of a message changed. */
import "./hostile.test.js";
