/** Every vector of Cobblestone-256 one byte at a time, the large ones included. */
import "./wycheproof.test.js";
