/** Every length of a key with every kind of character. */
import "./key-lengths.test.js";
