import { formatCents, sumOf } from "./expenses.mjs";
import { peopleIn, splitEvenly } from "./shares.mjs";

/** The payments that make everybody's share come true: who paid too little pays those who paid too much, in order. */
export function settle(expenses) {
  const paid = (who) => sumOf(expenses.filter((expense) => expense.who === who));
  const balances = splitEvenly(sumOf(expenses), peopleIn(expenses)).map(({ who, cents }) => ({
    who,
    cents: paid(who) - cents,
  }));
  const creditors = balances.filter(({ cents }) => cents > 0);
  const payments = [];
  for (const debtor of balances.filter(({ cents }) => cents < 0))
    for (const creditor of creditors) {
      const cents = Math.min(-debtor.cents, creditor.cents);
      if (cents === 0) continue;
      debtor.cents += cents;
      creditor.cents -= cents;
      payments.push(`${debtor.who} pays ${creditor.who} ${formatCents(cents)}`);
    }
  return payments.length === 0 ? ["all even"] : payments;
}
