/** All parts that work on real files and processes. */
import { torturedInShort } from "./short.ts";

torturedInShort((name) => name !== "simulation");
