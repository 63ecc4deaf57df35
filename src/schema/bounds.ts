/**
 * The bounds of everything that people and agents hand in. Text is measured in UTF-8 bytes, because that is what is
 * stored. Changing a number here changes what is refused; stored documents are not re-checked against it.
 */
export const bounds = {
  nameCharacters: 200,
  specBytes: 1024 * 1024,
  goalBytes: 16 * 1024,
  criterionBytes: 2 * 1024,
  criteriaPerStep: 50,
  criteriaPerTask: 100,
  noteBytes: 8 * 1024,
  evidenceBytes: 2 * 1024,
  outputTailBytes: 8 * 1024,
  stepsPerCall: 200,
  stepsPerTask: 2000,
  dependencies: 2000,
  checksPerStep: 20,
  commandWords: 64,
  commandWordBytes: 4 * 1024,
  checkTimeoutSeconds: { least: 1, most: 3600, normal: 300 },
  files: 2000,
  fileBytes: 1024,
  testsRun: 100,
  latePerRun: 3,
  statusBytes: 24 * 1024,
  quotationCharacters: 500,
  tasksOnProjectPage: 200,
  refusalsPerRun: 20,
} as const;

/** Length of a text as it is stored. Pure. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text);
}

/** The text, cut where it is longer than so many bytes; never within a character. Pure. */
export function firstBytes(text: string, bytes: number): string {
  if (byteLength(text) <= bytes) return text;
  // Of a character that is cut, a replacement character is left.
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString()
    .replace(/\uFFFD$/, "");
}
