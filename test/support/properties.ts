/**
 * fast-check with one seed for all properties, so that a gate that passed passes again. Another seed asks other questions: `TEST_SEED=7 npx
 * vitest run --project unit`. What a seed found wrong becomes an example of its own.
 */
import * as fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["TEST_SEED"] ?? 1) });

export { fc };
