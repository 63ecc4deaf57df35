// Expenses as lines of text: `<who> <amount> [what for]`. Amounts are whole cents from here on.

const pattern = /^(\S+)\s+(\d+)(?:\.(\d{1,2}))?(?:\s.*)?$/;

/** The expenses in a text. Throws for a line that is none, with its number, and when there are none at all. */
export function parseExpenses(text) {
  const expenses = text.split(/\r?\n/).flatMap((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const [, who, whole, decimals = ""] = pattern.exec(line.trim()) ?? [];
    if (who === undefined) throw new Error(`line ${index + 1}: expected "<who> <amount> [what for]", found "${line}"`);
    return [{ who, cents: Number(whole) * 100 + Number(decimals.padEnd(2, "0")) }];
  });
  if (expenses.length === 0) throw new Error("there are no expenses");
  return expenses;
}

export function sumOf(expenses) {
  return expenses.reduce((sum, { cents }) => sum + cents, 0);
}

/** 1050 is `10.50`. */
export function formatCents(cents) {
  return `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
}
