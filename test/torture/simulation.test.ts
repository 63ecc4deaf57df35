/** Apart from the other parts, so that both run at the same time. */
import { torturedInShort } from "./short.ts";

torturedInShort((name) => name === "simulation");
