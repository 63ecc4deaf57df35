/** All parts, in the order in which they run. */
import { agents } from "./agents.ts";
import { chain } from "./chain.ts";
import { damage } from "./damage.ts";
import { fail } from "./fail.ts";
import { fire } from "./fire.ts";
import { kill } from "./kill.ts";
import { simulation } from "./simulation.ts";
import { writers } from "./writers.ts";
import { links } from "./links.ts";
import type { Part } from "./part.ts";

export const parts: readonly Part[] = [kill, fail, writers, simulation, damage, links, chain, fire, agents];
