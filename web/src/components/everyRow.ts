import { formatCount } from "../format/number";
import { tell } from "./toasts";

/** Rows of one request, and of one file: the browser holds all of them at once. */
export const EXPORT_PAGE = 1000;
const EXPORT_MOST = 100_000;

interface PageOf<Row> {
  data: Row[];
  next: string | null;
}

/** Every row of a list, page after page, for a file. Says so where there are more than one file takes. */
export async function everyRow<Row>(read: (cursor: string | null) => Promise<PageOf<Row>>): Promise<Row[]> {
  const found: Row[] = [];
  let cursor: string | null = null;
  do {
    const page: PageOf<Row> = await read(cursor);
    found.push(...page.data);
    cursor = page.next;
  } while (cursor !== null && found.length < EXPORT_MOST);
  if (cursor !== null) tell(`The file has the first ${formatCount(EXPORT_MOST)} rows. Choose a shorter span for the others.`, "warn");
  return found;
}
