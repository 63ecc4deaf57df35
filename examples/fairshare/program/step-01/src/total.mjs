import { formatCents, sumOf } from "./expenses.mjs";

export function total(expenses) {
  return [`total ${formatCents(sumOf(expenses))}`];
}
