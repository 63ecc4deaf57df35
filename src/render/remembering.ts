/**
 * Makes it once for each thing and remembers it for as long as the thing is there. Of the documents of a task nearly all are, from
 * one change to the next, the very same parsed ones, so most of a page is what it was. `make` must be pure.
 */
export function remembering<Of extends object, Made>(make: (of: Of) => Made): (of: Of) => Made {
  const made = new WeakMap<Of, { readonly value: Made }>();
  return (of) => {
    const known = made.get(of);
    if (known !== undefined) return known.value;
    const value = make(of);
    made.set(of, { value });
    return value;
  };
}
