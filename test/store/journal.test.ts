/** The format alone: torn tails, racers, flipped bits, and every order in which writers can meet. */
import { describe, expect, it } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import {
  advance,
  closingOfTornTail,
  createReading,
  formatRecord,
  genesis,
  type Reading,
} from "../../src/store/journal.ts";
import type { JournalRecord } from "../../src/store/store.ts";
import { fc } from "../support/properties.ts";
import { aChange, task } from "./support.ts";

/** The next record after `parent`, with a document that tells records apart. */
function next(parent: { readonly seq: number; readonly sum: string }, id: string, words = "é 🚲 \\u000b") {
  return formatRecord(aChange({ task: `{"by":"${id}", "words":"${words}"}\n` }), id, parent.seq + 1, parent.sum);
}

const start = { seq: 0, sum: genesis };

function readAll(bytes: Buffer): Reading {
  const reading = createReading(task);
  advance(reading, bytes);
  return reading;
}

function stateOf({ seq, sum, documents }: Reading): unknown {
  return { seq, sum, documents: [...documents] };
}

/** The bytes and what the next writer appends to them, who sees a torn tail or does not. */
function appendTo(bytes: Buffer, line: string): Buffer {
  const torn = bytes.length > 0 && bytes.at(-1) !== 0x0a;
  return Buffer.concat([bytes, Buffer.from(`${torn ? closingOfTornTail : ""}${line}\n`)]);
}

describe("a journal", () => {
  it("reads the same in one piece and in any pieces", () => {
    const one = next(start, "one");
    const two = next(one.record, "two");
    const bytes = Buffer.from(`${one.line}\n${two.line}\n`);
    const whole = stateOf(readAll(bytes));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reading = createReading(task);
      advance(reading, bytes.subarray(0, cut));
      advance(reading, bytes.subarray(reading.offset));
      expect(stateOf(reading)).toEqual(whole);
    }
  });

  it("reads a copy whose line ends a version control system changed", () => {
    const one = next(start, "one");
    const two = next(one.record, "two");
    expect(readAll(Buffer.from(`${one.line}\r\n${two.line}\r\n`)).seq).toBe(2);
  });

  it("ignores a line that ends in a space, whatever is in it", { tags: ["s6.closed-line"] }, () => {
    const one = next(start, "one");
    const lost = next(one.record, "lost");
    const two = next(one.record, "two");
    for (const closed of ["", "torn", one.line, lost.line, lost.line.slice(0, -1)]) {
      const reading = readAll(Buffer.from(`${one.line}\n${closed} \n${two.line}\n`));
      expect([closed, reading.seq, reading.sum]).toEqual([closed, 2, two.record.sum]);
    }
  });

  it(
    "lets the first record after a parent win, and knows losers and what was built on them",
    { tags: ["s6.first-wins", "s6.loser"] },
    () => {
      const one = next(start, "one");
      const winner = next(one.record, "winner");
      const loser = next(one.record, "loser");
      const onLoser = next(loser.record, "on the loser");
      const after = next(winner.record, "after");
      const reading = readAll(
        Buffer.from([one, winner, loser, onLoser, after].map(({ line }) => `${line}\n`).join("")),
      );
      expect([reading.seq, reading.sum]).toEqual([3, after.record.sum]);
    },
  );

  it.each([
    ["a record whose parent is missing", (lines: readonly string[]) => [lines[0], lines[2]]],
    ["a line of something else", (lines: readonly string[]) => [lines[0], "hello", lines[1]]],
    ["a record with a wrong sum", (lines: readonly string[]) => [lines[0]?.replace(/.{3}"}$/, 'abc"}'), lines[1]]],
    ["an empty line", (lines: readonly string[]) => [lines[0], "", lines[1]]],
    ["a right sum over wrong fields", () => ['{"id":"x"']],
  ])("takes %s for damage and names the line", { tags: ["s6.damage"] }, (_name, damage) => {
    const one = next(start, "one");
    const two = next(one.record, "two");
    const three = next(two.record, "three");
    const bytes = Buffer.from(
      damage([one.line, two.line, three.line])
        .map((line) => `${line}\n`)
        .join(""),
    );
    expect(() => readAll(bytes)).toThrow(
      /projects\/shop\/tasks\/login-1a2b3c4d\/journal\.jsonl is damaged at line [12]: .*Restore/,
    );
  });

  it("takes a document name that leads elsewhere for damage, even with right sums", () => {
    const { line } = formatRecord(aChange({ "../../task": "{}" }), "one", 1, genesis);
    expect(() => readAll(Buffer.from(`${line}\n`))).toThrow("damaged at line 1");
  });
});

describe("an append of two records that was cut at any byte", () => {
  const base = next(start, "base");
  const first = next(base.record, "first");
  const second = next(first.record, "second");
  const racer = next(base.record, "racer");
  const before = Buffer.from(`${base.line}\n`);
  const group = Buffer.from(`${first.line}\n${second.line}\n`);
  const complete = (cut: number) => group.subarray(0, cut).filter((byte) => byte === 0x0a).length;
  const isTorn = (cut: number) => cut > 0 && group[cut - 1] !== 0x0a;
  const tails: readonly (readonly [string, (cut: number) => { bytes: Buffer; seq: number }])[] = [
    ["alone", (cut) => ({ bytes: group.subarray(0, cut), seq: 1 + complete(cut) })],
    [
      "with zeros behind",
      (cut) => ({ bytes: Buffer.concat([group.subarray(0, cut), Buffer.alloc(40)]), seq: 1 + complete(cut) }),
    ],
    [
      "with a racer's record glued to it",
      (cut) => ({
        bytes: Buffer.concat([group.subarray(0, cut), Buffer.from(`${racer.line}\n`)]),
        seq: cut === 0 ? 2 : 1 + complete(cut),
      }),
    ],
  ];

  it.each(tails)(
    "%s, opens, counts whole lines only, and takes the next record",
    { tags: ["s6.torn-tail"] },
    (_name, tail) => {
      for (let cut = 0; cut <= group.length; cut += 1) {
        const { bytes, seq } = tail(cut);
        const reading = readAll(Buffer.concat([before, bytes]));
        expect([cut, reading.seq]).toEqual([cut, seq]);
        const after = next(reading, "after");
        const later = readAll(appendTo(Buffer.concat([before, bytes]), after.line));
        expect([cut, later.seq, later.sum]).toEqual([cut, seq + 1, after.record.sum]);
      }
    },
  );

  it("is damage in the one place where a racer's record could as well be a valid one behind a changed newline", () => {
    const line = next(base.record, "x", "a Job").line;
    const rest = line.slice(0, line.indexOf(" J") + 2);
    expect(() => readAll(Buffer.from(`${base.line}\n${rest}${racer.line}\n`))).toThrow("damaged at line 2");
    expect(readAll(Buffer.from(`${base.line}\n${rest.slice(0, -1)}${racer.line}\n`)).seq).toBe(1);
  });

  it("never lets a rest come alive, whatever is appended later", { tags: ["s6.torn-tail", "s6.closed-line"] }, () => {
    for (let cut = 1; cut <= group.length; cut += 1) {
      if (!isTorn(cut)) continue;
      const torn = Buffer.concat([before, group.subarray(0, cut)]);
      const seq = readAll(torn).seq;
      const racing = appendTo(appendTo(torn, next(readAll(torn), "a").line), next(readAll(torn), "b").line);
      const reading = readAll(racing);
      expect([cut, reading.seq, reading.documents.get("task")]).toEqual([
        cut,
        seq + 1,
        next(readAll(torn), "a").record.docs["task"],
      ]);
    }
  });
});

describe("one flipped bit", () => {
  it("is an error or changes nothing", { tags: ["s6.damage"] }, () => {
    const one = next(start, "one");
    const two = next(one.record, "two", "a Job * of J");
    const loser = next(one.record, "loser");
    const three = next(two.record, "three");
    const glued = next(three.record, "glued");
    const four = next(three.record, "four");
    const torn = next(four.record, "torn", "a Job * of J");
    const five = next(four.record, "five");
    const six = next(five.record, "six");
    const seven = next(six.record, "seven");
    const ends = ["\n", "cut"] as const;
    for (const end of ends) {
      const text = [
        `${one.line}\n${two.line}\n${loser.line}\n`,
        `${two.line.slice(0, 90)} \n${three.line}\n`,
        `${four.line.slice(0, 60)}${glued.line}\n`,
        ` \n${four.line}\n`,
        `${torn.line} \n${five.line}\n`,
        `${six.line}\n${seven.line}\n`,
        end === "cut" ? next(seven.record, "eight").line.slice(0, 70) : "",
      ].join("");
      const bytes = Buffer.from(text);
      const intact = readAll(bytes);
      expect(intact.seq).toBe(7);
      const whole = JSON.stringify(stateOf(intact));
      let errors = 0;
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        try {
          if (JSON.stringify(stateOf(readAll(bytes))) !== whole)
            expect.fail(`bit ${bit} of byte ${bit >> 3} changed the state in silence`);
        } catch (error) {
          if (!(error instanceof OrchestratorError)) throw error;
          errors += 1;
        }
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      }
      // All of the seven records and the loser are guarded; only torn rests may change unnoticed.
      const guarded = [one, two, loser, three, four, five, six, seven].reduce(
        (sum, { line }) => sum + (line.length + 1) * 8,
        0,
      );
      expect(errors).toBeGreaterThanOrEqual(guarded);
    }
  });
});

describe("writers that meet in any order, some of them cut short", () => {
  type Writer = {
    reading: Reading;
    sees: boolean;
    pending: JournalRecord | undefined;
    acknowledged: JournalRecord[];
    failed: JournalRecord[];
  };
  const step = fc.record({
    writer: fc.nat(2),
    act: fc.constantFrom("look", "append", "check"),
    cutPermille: fc.oneof(fc.constant(1000), fc.nat(1000)),
  });

  it("never lose, double or revive a record, and never see damage", { tags: ["s6.optimistic", "s6.loser"] }, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let file = Buffer.alloc(0);
        let ids = 0;
        const writers: Writer[] = [0, 1, 2].map(() => ({
          reading: createReading(task),
          sees: false,
          pending: undefined,
          acknowledged: [],
          failed: [],
        }));
        const look = (writer: Writer) => {
          advance(writer.reading, file.subarray(writer.reading.offset));
          writer.sees = writer.reading.offset < file.length;
        };
        const settle = (writer: Writer) => {
          const { pending } = writer;
          if (pending === undefined) return;
          look(writer);
          const valid = writer.reading.places[pending.seq - 1]?.sum === pending.sum;
          (valid ? writer.acknowledged : writer.failed).push(pending);
          writer.pending = undefined;
        };
        for (const { writer: index, act, cutPermille } of steps) {
          const writer = writers[index];
          if (writer === undefined) continue;
          if (act === "look" && writer.pending === undefined) look(writer);
          else if (act === "check") settle(writer);
          else if (act === "append" && writer.pending === undefined) {
            const { record, line } = next(writer.reading, `r${(ids += 1)}`);
            const bytes = Buffer.from(`${writer.sees ? closingOfTornTail : ""}${line}\n`);
            file = Buffer.concat([file, bytes.subarray(0, Math.ceil((bytes.length * cutPermille) / 1000))]);
            writer.pending = record;
          }
        }
        for (const writer of writers) settle(writer);
        const end = readAll(file);
        const valid = end.places.map(({ sum }) => sum);
        const acknowledged = writers.flatMap((writer) => writer.acknowledged.map(({ sum }) => sum));
        expect(new Set(valid)).toEqual(new Set(acknowledged));
        expect(acknowledged).toHaveLength(valid.length);
        for (const { sum } of writers.flatMap((writer) => writer.failed)) expect(valid).not.toContain(sum);
      }),
      { numRuns: 500 },
    );
  });
});
