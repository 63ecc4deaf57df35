/** All parts, in the order in which they run. */
import { kill } from "./kill.ts";
import { chain } from "./chain.ts";
import { damage } from "./damage.ts";
import { fail } from "./fail.ts";
import { simulation } from "./simulation.ts";
import type { Part } from "./part.ts";

export const parts: readonly Part[] = [kill, fail, simulation, damage, chain];
