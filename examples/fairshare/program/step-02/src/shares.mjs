import { formatCents, sumOf } from "./expenses.mjs";

/** Everybody who appears, in the order of the file. */
export function peopleIn(expenses) {
  return [...new Set(expenses.map(({ who }) => who))];
}

/** The cents split evenly, in whole cents, in the order of the people. */
export function splitEvenly(cents, people) {
  const left = cents % people.length; // The first ones take one each, so that nothing is lost.
  return people.map((who, index) => ({ who, cents: Math.floor(cents / people.length) + (index < left ? 1 : 0) }));
}

export function shares(expenses) {
  return splitEvenly(sumOf(expenses), peopleIn(expenses)).map(({ who, cents }) => `${who} ${formatCents(cents)}`);
}
