/** Streams of every family at every call that takes a body. */
import "./streams.test.js";
