/** Every frozen object through `get`. */
import "./frozen-get.test.js";
