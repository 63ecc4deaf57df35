/**
 * Gives back what it is given, so that a class that extends it puts its private field on that very object. A function, of which the compiler
 * has to be told that it constructs: a class with nothing but this in it would be one for nothing.
 */
const Given = function (of: object) {
  return of;
} as unknown as new (of: object) => object;

/**
 * Makes it once for each thing and remembers it for as long as the thing is there. Of the documents of a task nearly all are, from
 * one change to the next, the very same parsed ones, so most of a page is what it was. `make` must be pure, and what it is given beside the
 * thing must not matter. What is remembered is in a private field of the thing, which no copy has and nothing else sees; the garbage collector
 * looks through a WeakMap of as many entries in one long pause.
 */
export function remembering<Of extends object, Made, Beside extends readonly unknown[] = []>(
  make: (of: Of, ...beside: Beside) => Made,
): (of: Of, ...beside: Beside) => Made {
  class Remembered extends Given {
    readonly #made: Made;
    constructor(of: Of, made: Made) {
      super(of);
      this.#made = made;
    }
    static has(of: object): of is Remembered {
      return #made in of;
    }
    static madeOf(of: Remembered): Made {
      return of.#made;
    }
  }
  return (of, ...beside) => {
    if (Remembered.has(of)) return Remembered.madeOf(of);
    const made = make(of, ...beside);
    void new Remembered(of, made);
    return made;
  };
}
