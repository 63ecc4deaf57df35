/** Ids made from names. Pure. */
import { hash } from "./tool.ts";

/** The name in [a-z0-9-], cut at 60 characters; a name with none of these becomes `<fallback>-` and 8 hex digits of its sha256. */
export function slugOf(name: string, fallback: "project" | "task"): string {
  const slug = name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-/, "")
    .slice(0, 60)
    .replace(/-$/, "");
  return slug === "" ? `${fallback}-${hash(name).slice(0, 8)}` : slug;
}
