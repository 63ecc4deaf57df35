/** Comparing what is kept with its journals: what `get_status` answers to `verify`, and what `npm run verify` prints. */
import type { StatusDetails } from "../schema/details.ts";
import { nameOfStream, type Finding, type Store, type Stream } from "../store/store.ts";
import { quoteText } from "../render/quote.ts";
import { describeFailure } from "./tool.ts";

export type Verified = NonNullable<StatusDetails["verify"]>;

/**
 * Reads the journals of these streams from their start, compares every document and page with what follows from them, mends what
 * differs and says so: which stream and file, what was wrong, whether it is right now. A stream that cannot be read is a finding
 * too and keeps no other from being verified. Never throws for what it finds.
 */
export async function verifyStreams(store: Store, streams: readonly Stream[]): Promise<Verified> {
  const findings: Verified["findings"][number][] = [];
  for (const stream of streams) {
    const found = await tryVerify(store, stream);
    const known = found.length === 0 ? [] : await ownFilesOf(store, stream);
    for (const { name, what, repaired } of found)
      findings.push({
        stream: nameOfStream(stream),
        name: known.includes(name) ? name : quoteText(name),
        what,
        repaired,
      });
  }
  return { streams: streams.length, findings };
}

async function tryVerify(store: Store, stream: Stream): Promise<readonly Finding[]> {
  try {
    return await store.verify(stream);
  } catch (error) {
    return [{ stream, name: "journal.jsonl", what: describeFailure(error).reason, repaired: false }];
  }
}

/** Files that the product has written here; the name of any other one is somebody's text. */
async function ownFilesOf(store: Store, stream: Stream): Promise<readonly string[]> {
  const snapshot = await store.read(stream).catch(() => undefined);
  const documents = Object.keys(snapshot?.documents ?? {});
  return ["journal.jsonl", "*.md", ...documents.flatMap((name) => [`${name}.json`, `${name}.md`])];
}
